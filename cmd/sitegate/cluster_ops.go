package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/raftstore"
	"sitegate/siteca"
)

// clusterOps is the store as the operator's socket asks for it: the nodes, in the
// words of the API.
type clusterOps struct {
	c     configs.Config
	store *raftstore.Store
	log   *slog.Logger
	left  func() // hears that the node has left its cluster

	leaving func(window time.Duration) bool // tells the clients to go elsewhere, unless they have been told
	staying func()                          // takes it back
	drain   func(over time.Duration)        // sends away who has not gone

	draining sync.Mutex // who drains this node does it alone
}

var _ endpoint.Cluster = (*clusterOps)(nil)

// whyNot turns the store's errors into the endpoint's.
func whyNot(err error) error {
	var d *raftstore.Denied
	var r *raftstore.Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &d):
		return &endpoint.Refusal{Denial: &d.Denial}
	case errors.As(err, &r):
		return &endpoint.Refusal{Text: r.Error()}
	case errors.Is(err, raftstore.ErrUnknown), errors.Is(err, raftstore.ErrNotLeader), errors.Is(err, raftstore.ErrNoLeader), errors.Is(err, raftstore.ErrClosed):
		return fmt.Errorf("%w: %w", translate(err), err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", gateway.ErrUnknown, err)
	}
	return &endpoint.Refusal{Text: err.Error()} // it is about this node, and for its operator's eyes
}

// Members are the nodes, as this one sees them.
func (o *clusterOps) Members() []api.ClusterMember {
	all := []api.ClusterMember{}
	for _, s := range o.store.Roster() {
		m := api.ClusterMember{Name: s.Name, Address: s.Address, Role: api.RoleNewcomer, Self: s.Self, Known: s.Known, LagEntries: s.Lag,
			Reached: s.Reached, Version: s.Version, URL: s.URL, Certificate: s.Ends, HoldsCAKey: s.Signs, Drained: s.Drained,
			Level: uint64(s.Level), HoldsLevel: s.HoldsLevel}
		if d := s.Disk; d.Total > 0 {
			m.Disk = &api.DiskStatus{State: d.State.String(), Free: d.Free, Total: d.Total}
		}
		switch {
		case s.Leader:
			m.Role = api.RoleLeader
		case s.Voter:
			m.Role = api.RoleVoter
		}
		all = append(all, m)
	}
	return all
}

// urls are where clients reach the nodes, as far as they have said so.
func (o *clusterOps) urls() []string {
	var urls []string
	for _, s := range o.store.Roster() {
		if !s.Drained {
			urls = append(urls, s.URL)
		}
	}
	return urls
}

// Token makes a join token; for it, a node that was alone opens its peer port.
func (o *clusterOps) Token(ctx context.Context, r api.TokenRequest) (api.JoinToken, error) {
	if r.Listen != "" {
		if err := o.open(ctx, r); err != nil {
			return api.JoinToken{}, whyNot(err)
		}
	}
	t, until, err := o.store.IssueToken(ctx, r.By, time.Duration(r.ForMS)*time.Millisecond)
	if err != nil {
		return api.JoinToken{}, whyNot(err)
	}
	return api.JoinToken{Token: t.Text(), Expires: until.Std(), Cluster: t.Cluster}, nil
}

func (o *clusterOps) open(ctx context.Context, r api.TokenRequest) error {
	m := membership{Listen: r.Listen, Advertise: r.Advertise}
	if m.Advertise == "" {
		m.Advertise = r.Listen
	}
	switch at := o.store.Advertised(); at {
	case "":
	case m.Advertise:
		return nil // it is open already
	default:
		return fmt.Errorf("the peer port of %s is open already, at %s: leave --peer-listen out", o.c.Node, at)
	}
	l, err := net.Listen("tcp", m.Listen)
	if err != nil {
		return cannotListen("the other nodes", "--peer-listen", err)
	}
	if err := m.write(o.c); err != nil { // before anybody can join
		return errors.Join(err, l.Close())
	}
	return o.store.Listen(ctx, l, m.Advertise)
}

// Remove takes a node out of the cluster.
func (o *clusterOps) Remove(ctx context.Context, node string, r api.RemoveRequest) error {
	if node == o.c.Node {
		return &endpoint.Refusal{Text: fmt.Sprintf("%s is the node that you are asking. To take it out, say sitegate cluster leave.", node)}
	}
	return whyNot(o.store.Remove(ctx, raftstore.Removal{Node: node, By: r.By, Note: r.Note, Force: r.Force}))
}

// Rekey replaces the site's CA.
func (o *clusterOps) Rekey(ctx context.Context, r api.RekeyRequest) error {
	before := o.store.Replacement().Root
	if err := o.store.Rekey(ctx, raftstore.Rekey{By: r.By, Note: r.Note, Overlap: time.Duration(r.OverlapMS) * time.Millisecond, CutOff: r.CutOff}); err != nil {
		return whyNot(err)
	}
	waiting, cancel := context.WithTimeout(ctx, successionTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for bytes.Equal(o.store.Replacement().Root, before) { // so that who asks sees it here
		select {
		case <-tick.C:
		case <-waiting.Done():
			return nil // it is in the log
		}
	}
	return nil
}

// Replacement tells of the replacement of the site's CA as long as there is something to
// see to: until the nodes, and the clients, are to trust the new one only.
func (o *clusterOps) Replacement() *api.Replacement {
	r := o.store.Replacement()
	if len(r.Root) == 0 || !r.Going() && len(r.Left) == 0 && o.store.Now() >= r.Until {
		return nil
	}
	return &api.Replacement{Fingerprint: siteca.Fingerprint(r.Root), Since: r.Since.Std(), Until: r.Until.Std(), Over: r.Over.Std(),
		Waiting: r.Waits, Keyless: r.Keyless, Left: r.Left}
}

// successionTime is how long an operator waits to hear who leads next.
const successionTime = 3 * time.Second

// StepDown has the leader hand over.
func (o *clusterOps) StepDown(ctx context.Context) (api.SteppedDown, error) {
	from, err := o.store.HandOver(ctx)
	if err != nil {
		return api.SteppedDown{}, whyNot(err)
	}
	s := api.SteppedDown{From: from}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(successionTime)
	defer late.Stop()
	for {
		if leader := o.store.Cluster().Leader; leader != "" && leader != from {
			s.To = leader
			return s, nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return s, nil
		case <-ctx.Done():
			return s, nil
		}
	}
}

// Drain makes a node ready to be stopped: this one where none is named.
func (o *clusterOps) Drain(ctx context.Context, node string, over time.Duration) error {
	if node != "" && !strings.EqualFold(node, o.c.Node) {
		return whyNot(o.store.DrainOther(ctx, node, over))
	}
	return whyNot(o.drainHere(ctx, over))
}

func (o *clusterOps) drainHere(ctx context.Context, over time.Duration) error {
	o.draining.Lock()
	defer o.draining.Unlock()
	if err := o.store.MayDrain(ctx); err != nil { // before anybody is sent away
		return err
	}
	told := o.leaving(over - over/3)
	if err := o.store.Drain(ctx); err != nil {
		if told { // and not somebody else, who still means it
			o.staying()
		}
		return err
	}
	o.drain(over)
	return nil
}

// drainBy drains this node as another was asked to. Until it is up, it cannot be.
func drainBy(ops *atomic.Pointer[clusterOps]) func(context.Context, time.Duration) error {
	return func(ctx context.Context, over time.Duration) error {
		if o := ops.Load(); o != nil {
			return o.drainHere(ctx, over)
		}
		return errors.New("it is still starting; try again in a moment")
	}
}

// Leave takes this node out of its cluster; it then ends.
func (o *clusterOps) Leave(ctx context.Context) error {
	if err := o.store.Leave(ctx); err != nil {
		return whyNot(err)
	}
	o.left() // the door lets the answer out before it closes
	return nil
}
