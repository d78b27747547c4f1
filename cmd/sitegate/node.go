package main

import (
	"context"
	"errors"
	"sync/atomic"

	"sitegate/gateway"
	"sitegate/license"
	"sitegate/raftstore"
)

// nodeLog is the store as the gateway sees it: the same methods, with the
// gateway's words for what goes wrong. It is there before the store is, because
// the store tells of events while it is being opened.
type nodeLog struct {
	store atomic.Pointer[raftstore.Store]
}

var _ gateway.Log = (*nodeLog)(nil)

// translate turns the store's errors into the gateway's.
func translate(err error) error {
	switch {
	case errors.Is(err, raftstore.ErrUnknown): // first: what comes with it must not say that nothing was done
		return gateway.ErrUnknown
	case errors.Is(err, raftstore.ErrNotLeader):
		return gateway.ErrNotLeader
	case errors.Is(err, raftstore.ErrNoLeader), errors.Is(err, raftstore.ErrClosed):
		return gateway.ErrNoLeader
	}
	return err
}

func (l *nodeLog) Propose(ctx context.Context, c license.Command) (license.Outcome, error) {
	out, err := l.store.Load().Propose(ctx, c)
	return out, translate(err)
}

func (l *nodeLog) Fresh(ctx context.Context) error {
	return translate(l.store.Load().Fresh(ctx))
}

func (l *nodeLog) CatchUp(ctx context.Context) error {
	return translate(l.store.Load().CatchUp(ctx))
}

func (l *nodeLog) View(f func(*license.State)) { l.store.Load().View(f) }

// tryView is false until the store is there, too.
func (l *nodeLog) tryView(f func(*license.State)) bool {
	s := l.store.Load()
	return s != nil && s.TryView(f)
}

func (l *nodeLog) Now() license.Time { return l.store.Load().Now() }

func (l *nodeLog) Renew(ctx context.Context, r []license.Renewal) ([]license.Lease, error) {
	leases, err := l.store.Load().Renew(ctx, r)
	return leases, translate(err)
}

func (l *nodeLog) Forward(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := l.store.Load().Forward(ctx, request)
	return answer, translate(err)
}

func (l *nodeLog) Journal(ctx context.Context, after uint64, limit int) ([]license.Event, error) {
	return l.store.Load().Journal(ctx, after, limit)
}

func (l *nodeLog) Peaks(ctx context.Context, from, until license.Time, product license.ProductID, most int) ([]license.Peak, license.Time, error) {
	return l.store.Load().Peaks(ctx, from, until, product, most)
}

// Leading is false until the store is there.
func (l *nodeLog) Leading() (uint64, bool) {
	s := l.store.Load()
	if s == nil {
		return 0, false
	}
	return s.Leading()
}

func (l *nodeLog) Lead(ctx context.Context, f func(context.Context)) error {
	return l.store.Load().Lead(ctx, f)
}

func (l *nodeLog) AcceptTime(ctx context.Context) (before, now license.Time, err error) {
	before, now, err = l.store.Load().AcceptTime(ctx)
	return before, now, translate(err)
}

func (l *nodeLog) Cluster() gateway.Cluster {
	c := l.store.Load().Cluster()
	seen := gateway.Cluster{Node: c.Node, Leader: c.Leader, Term: c.Term, Index: c.Index, TimeHeld: c.TimeHeld}
	for _, m := range c.Members {
		seen.Members = append(seen.Members, gateway.Member(m))
	}
	return seen
}

// diverged reports whether the nodes were found to have different states.
func (l *nodeLog) diverged() bool {
	s := l.store.Load()
	return s != nil && s.Diverged()
}

// disk is the room on this node's disk.
func (l *nodeLog) disk() gateway.Disk {
	s := l.store.Load()
	if s == nil {
		return gateway.Disk{}
	}
	d := s.Disk()
	return gateway.Disk{Free: d.Free, Total: d.Total, Warn: d.State == raftstore.DiskWarn, Low: d.State == raftstore.DiskLow}
}

// backlog is how much of this node's journal is kept for usage.
func (l *nodeLog) backlog() uint64 {
	s := l.store.Load()
	if s == nil {
		return 0
	}
	return s.Backlog()
}
