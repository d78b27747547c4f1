package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// Denied is an outcome that says no, as an error.
type Denied struct{ Denial license.Denial }

// Error names the reason.
func (d *Denied) Error() string { return "refused: " + string(d.Denial.Reason) }

// Refused is a wish about the cluster that cannot be granted as things are; its
// text says why and what to do.
type Refused struct{ text string }

// Error is why, and what to do.
func (r *Refused) Error() string { return r.text }

func refusef(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// verdict carries those two errors to another node; the zero value is yes.
type verdict struct {
	Denial  *license.Denial `cbor:"1,keyasint,omitempty"`
	Refused string          `cbor:"2,keyasint,omitempty"`
}

// verdictOf makes an answer of an error; others stay errors.
func verdictOf(err error) (verdict, error) {
	var d *Denied
	var r *Refused
	switch {
	case errors.As(err, &d):
		return verdict{Denial: &d.Denial}, nil
	case errors.As(err, &r):
		return verdict{Refused: r.text}, nil
	}
	return verdict{}, err
}

func (v verdict) err() error {
	switch {
	case v.Denial != nil:
		return &Denied{*v.Denial}
	case v.Refused != "":
		return &Refused{v.Refused}
	}
	return nil
}

// decide proposes a command about the cluster, as the leader.
func (s *Store) decide(ctx context.Context, c license.Command) (license.Outcome, error) {
	out, err := s.Propose(ctx, c)
	if err == nil && out.Denial != nil {
		err = &Denied{*out.Denial}
	}
	return out, err
}

// Removal is the wish to take a node out of the cluster for good.
type Removal struct {
	Node string `cbor:"1,keyasint"`
	By   string `cbor:"2,keyasint,omitempty"` // who
	Note string `cbor:"3,keyasint,omitempty"` // why
	// Force takes it out though no majority of those that stay answers. It needs a Note.
	Force bool `cbor:"4,keyasint,omitempty"`
}

// Remove takes a node out of the cluster: it counts for no majority any more, and
// its data folder and certificate are refused by all. *Refused: it would leave no
// majority, or nothing.
func (s *Store) Remove(ctx context.Context, r Removal) error {
	return s.atLeader(ctx, true, func(ctx context.Context) error { return s.removeHere(ctx, r) },
		func(ctx context.Context, p *peer) error { return p.wish(ctx, methodRemove, r) })
}

// removeHere does it as the leader: first the node comes off the list, then nobody
// takes it for a member any more. The other way round, a leader that ends in
// between would leave a cluster of two without the other's vote. The same wish
// again finishes what was left half done.
func (s *Store) removeHere(ctx context.Context, r Removal) error {
	// Whoever asked may be the one that is cut off by it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveLimit)
	defer cancel()
	var names, stay []string
	var found *member
	for _, m := range s.members() {
		names = append(names, m.name)
		switch {
		case strings.EqualFold(m.name, r.Node):
			found = &m
		case m.voter:
			stay = append(stay, m.name)
		}
	}
	if found == nil {
		return s.removeUnlisted(ctx, r, names)
	}
	well := s.answering(ctx, stay)
	r.Node = found.name
	switch need := len(stay)/2 + 1; {
	case len(stay) == 0:
		return refusef("%s is the last voting node: nothing would be left.", r.Node)
	case len(well) >= need || !found.voter:
	case !r.Force:
		return refusef("Without %s the voters are %s, a majority of which is %d, and %s. Nothing could be decided any more. "+
			"Bring the others back first. With --force and --note, sitegate cluster remove does it all the same, on %s.", r.Node, strings.Join(stay, ", "), need, these(well), s.cfg.Node)
	case r.Note == "":
		return refusef("To force this, say why.")
	}
	if r.Node == s.cfg.Node {
		if err := s.StepDown(ctx); err != nil {
			return err
		}
		return ErrNotLeader // the next one does it
	}
	if found.voter {
		if missing := s.record(ctx, names, r.Node); len(missing) > 0 && !r.Force {
			return refusef("It is not on record yet which machine is %s, and once %s is out, which has had the key of the site's CA, who is not on record is refused. "+
				"Have it run for a few seconds, or remove it first if it is gone. With --force and --note, sitegate cluster remove does it all the same, on %s.", strings.Join(missing, " or "), r.Node, s.cfg.Node)
		}
	}
	if err := s.changeMembers(ctx, s.raft.RemoveServer(raft.ServerID(r.Node), 0, enqueueWithin)); err != nil {
		return err
	}
	s.rebook()
	s.log.Info("a node was removed", "peer", r.Node, "by", r.By, "note", r.Note, "force", r.Force)
	_, err := s.decide(ctx, license.RemoveNode{Node: r.Node, By: r.By, Note: r.Note, Signer: found.voter})
	return err
}

// recordWithin is how long a removal waits for members to be put on record, and recordEvery how
// often it tries: what cannot be put there is told of each time.
const (
	recordWithin = 5 * time.Second
	recordEvery  = 200 * time.Millisecond
)

// record puts the members on record, all but one, as far as they are here, and says who is
// missing. In a cluster that has just begun it is nobody yet.
func (s *Store) record(ctx context.Context, names []string, but string) (missing []string) {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	for {
		s.enroll(ctx, s.configured())
		missing = nil
		s.View(func(st *license.State) {
			for _, name := range names {
				if name != but && st.Node(name) == nil && !slices.Contains(missing, name) {
					missing = append(missing, name)
				}
			}
		})
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return missing
		case <-time.After(recordEvery):
		}
	}
}

// removeUnlisted finishes the removal of a node that is off the list already.
func (s *Store) removeUnlisted(ctx context.Context, r Removal, members []string) error {
	var known *license.Node
	s.View(func(st *license.State) {
		if n := st.Node(r.Node); n != nil {
			copied := *n
			known = &copied
		}
	})
	switch {
	case known == nil:
		return refusef("There is no node %s: the members are %s.", r.Node, strings.Join(members, ", "))
	case known.Removed != 0:
		return nil // before
	}
	_, err := s.decide(ctx, license.RemoveNode{Node: known.Name, By: r.By, Note: r.Note, Signer: true}) // whether it voted, nobody knows any more
	return err
}

// answerWithin is how soon a node must answer that is to be part of a majority.
const answerWithin = time.Second

// answering are those of the nodes that answer now. What was heard of a moment ago can
// be gone, and a change of the members' list that no majority takes leaves a cluster
// without a leader.
func (s *Store) answering(ctx context.Context, names []string) []string {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answers := make([]bool, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		if answers[i] = name == s.cfg.Node; answers[i] {
			continue
		}
		address := s.mux.movedTo(name, s.listed(name))
		group.Go(func() {
			_, err := s.peer(name, address).term(ctx)
			answers[i] = err == nil
		})
	}
	group.Wait()
	var well []string
	for i, name := range names {
		if answers[i] {
			well = append(well, name)
		}
	}
	return well
}

func these(names []string) string {
	switch len(names) {
	case 0:
		return "none of them answers"
	case 1:
		return "only " + names[0] + " answers"
	}
	return "only " + strings.Join(names, ", ") + " answer"
}

// Leave takes this node out of the cluster for good, so that it no longer counts
// for a majority. *Refused: those that stay would have none. The store is to be
// closed afterwards; its data folder is of no use any more.
func (s *Store) Leave(ctx context.Context) error {
	s.roster.leaving.Store(true)
	err := s.leave(ctx)
	if err != nil {
		s.roster.leaving.Store(false)
	}
	return err
}

// errOut: the others have taken this node out.
var errOut = errors.New("this node is out of its cluster")

// out notes that the others have taken this node out, while it leaves.
func (s *Store) out() { s.roster.outOnce.Do(func() { close(s.roster.isOut) }) }

func (s *Store) leave(ctx context.Context) error {
	// The answer may not come: the others cut off who has left.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.spawn(func() {
		select {
		case <-s.roster.isOut:
			cancel(errOut)
		case <-ctx.Done():
		}
	})
	for {
		if s.lastVoter() {
			return refusef("%s is the last voting node and cannot leave: nothing would be left.", s.cfg.Node)
		}
		if s.raft.State() == raft.Leader {
			if err := s.StepDown(ctx); err != nil && !errors.Is(err, ErrNotLeader) {
				return err
			}
		}
		led := false
		err := s.atLeader(ctx, true, func(context.Context) error { led = true; return nil },
			func(ctx context.Context, p *peer) error { return p.wish(ctx, methodLeave, struct{}{}) })
		if err != nil && !errors.Is(context.Cause(ctx), errOut) {
			return err
		}
		if !led {
			return s.identity.leave(s.cfg.Dir, "")
		}
		if ctx.Err() != nil { // it was made the leader again
			return context.Cause(ctx)
		}
	}
}

// lastVoter reports whether nobody but this node votes.
func (s *Store) lastVoter() bool {
	return !slices.ContainsFunc(s.configured(), func(m member) bool { return m.voter && m.name != s.cfg.Node })
}

// HandOver has the leader step down, wherever it is, and tells who that was.
func (s *Store) HandOver(ctx context.Context) (from string, err error) {
	err = s.atLeader(ctx, false, func(ctx context.Context) error {
		from = s.cfg.Node
		if s.lastVoter() {
			return refusef("%s is the only voting node: there is none to hand over to.", s.cfg.Node)
		}
		return s.StepDown(ctx)
	}, func(ctx context.Context, p *peer) error {
		from = p.name
		return p.wish(ctx, methodStepDown, struct{}{})
	})
	if errors.Is(err, ErrUnknown) && s.succeeded(ctx, from) {
		return from, nil // who waits for a leader's answer waits no more when there is another
	}
	return from, err
}

// succeeded waits a moment until another node leads.
func (s *Store) succeeded(ctx context.Context, from string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		mark := s.changes.get()
		if _, leader := s.raft.LeaderWithID(); leader != "" && string(leader) != from {
			return true
		}
		if err := s.waitChange(ctx, mark, 50*time.Millisecond); err != nil {
			return false
		}
	}
}
