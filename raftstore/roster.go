package raftstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// The roster is what a node knows of the members beyond the list: each node asks
// the others about themselves once a second. The leader acts on it: newcomers get
// a vote when they have caught up, who was removed comes off the list, and, where
// the operator wants it, so does who has been dead for long.

const (
	// wellWithin is how recently a member must have answered to count as well.
	wellWithin = 5 * time.Second
	// readyLooks is for how many looks on end a newcomer must have caught up, and
	// readyLag how many entries it may lack in a look.
	readyLooks = 3
	readyLag   = 1024
	// maxMembers bounds a cluster: more nodes make it slower, and no safer.
	maxMembers = 9
)

// about is what a node says of itself.
type about struct {
	Applied uint64 `cbor:"1,keyasint"`
	Last    uint64 `cbor:"2,keyasint"` // of its log
	Version string `cbor:"3,keyasint,omitempty"`
	URL     string `cbor:"4,keyasint,omitempty"` // of its API
	Ends    int64  `cbor:"5,keyasint,omitempty"` // its certificate's end, in Unix seconds
	Signs   bool   `cbor:"6,keyasint,omitempty"` // it holds the CA's key
	Drained bool   `cbor:"7,keyasint,omitempty"` // its clients have been sent elsewhere
	// By is the CA that its certificate is by, Newest the newest that it knows: the
	// SHA-256 of their certificates. Signs is about the latter.
	By     license.Digest `cbor:"420,keyasint,omitzero"`
	Newest license.Digest `cbor:"421,keyasint,omitzero"`
	// The room in its data folder, in bytes; zero: it did not say, or cannot tell.
	DiskFree  uint64    `cbor:"492,keyasint,omitempty"`
	DiskTotal uint64    `cbor:"493,keyasint,omitempty"`
	DiskState DiskState `cbor:"494,keyasint,omitempty"`
}

type roster struct {
	book      atomic.Pointer[map[raft.ServerID]raft.ServerAddress] // see address.go
	leaving   atomic.Bool                                          // this node leaves by its own wish
	isOut     chan struct{}                                        // closed: it has left
	outOnce   sync.Once
	drained   atomic.Bool
	newcomers *newcomers
	atDoor    chan struct{} // one place for each newcomer that is being answered

	mu    sync.Mutex
	seen  map[string]sighting // mu guards it
	ready map[string]int      // of the goroutine of keepRoster, like all below
	last  uint64              // the end of the log, a look ago
	reign uint64              // the term that clean counts in
	since time.Time           // when that began
	swept time.Time           // when clean last took a member out
	// complained is when this node last said that its certificate is not renewed.
	complained time.Time
}

// sighting is what a member said last, and when.
type sighting struct {
	about
	levelReport // zero: it did not say
	at          time.Time
}

// Standing is what this node knows of a member.
type Standing struct {
	Member
	Leader  bool
	Self    bool
	Known   bool      // it has said something of itself, or is this node: see what follows
	Lag     uint64    // entries of the log that it has not applied yet, by this node's word
	Version string    // of its program
	URL     string    // of its API
	Ends    time.Time // its certificate does; zero: it did not say
	Signs   bool      // it holds the CA's key
	Drained bool      // its clients have been sent elsewhere
	// Level is the highest that its program can do; zero: it did not say. HoldsLevel: its
	// operator wants the cluster to stay at the level that it is at.
	Level      uint32
	HoldsLevel bool
	Disk       DiskSpace // in its data folder, without the ballast of another node; zero: it did not say
}

// Roster tells of every member. Where this node cannot reach one, that is seen by
// when it was last heard of.
func (s *Store) Roster() []Standing {
	cluster := s.Cluster()
	end := s.raft.LastIndex()
	s.roster.mu.Lock()
	seen := make(map[string]sighting, len(s.roster.seen))
	for name, x := range s.roster.seen {
		seen[name] = x
		if name == cluster.Leader {
			end = max(end, x.Last)
		}
	}
	s.roster.mu.Unlock()
	seen[s.cfg.Node] = sighting{s.aboutThis(), s.ownLevel(), time.Now()}
	all := make([]Standing, len(cluster.Members))
	for i, m := range cluster.Members {
		x, known := seen[m.Name]
		all[i] = Standing{Member: m, Leader: m.Name == cluster.Leader, Self: m.Name == s.cfg.Node, Known: known,
			Version: x.Version, URL: x.URL, Signs: x.Signs, Drained: x.Drained, Level: x.Level, HoldsLevel: x.Holds,
			Disk: DiskSpace{Free: x.DiskFree, Total: x.DiskTotal, State: min(x.DiskState, DiskLow)}}
		if x.Ends != 0 {
			all[i].Ends = time.Unix(x.Ends, 0)
		}
		if known && end > x.Applied {
			all[i].Lag = end - x.Applied
		}
	}
	return all
}

func (s *Store) aboutThis() about {
	a := about{Applied: s.appliedAll(), Last: s.raft.LastIndex(), Version: s.cfg.Version, URL: s.cfg.URL, Drained: s.roster.drained.Load()}
	disk := s.Disk()
	a.DiskFree, a.DiskTotal, a.DiskState = disk.Free, disk.Total, disk.State
	if k := s.cfg.Keys; k != nil {
		a.Ends, a.Signs, a.By, a.Newest = k.Expires().Unix(), k.Signs(), k.Pin(), k.Newest()
	}
	return a
}

// appliedAll is how far this node has applied the log, the entries that raft keeps
// to itself included.
func (s *Store) appliedAll() uint64 { return max(s.raft.AppliedIndex(), s.fsm.applied.get()) }

// keepRoster looks after it all until the store closes.
func (s *Store) keepRoster() {
	tick := time.NewTicker(s.cfg.look)
	defer tick.Stop()
	r := &s.roster
	for look := 0; ; look++ {
		s.seeLeader() // elections that nobody has won
		s.askAbout()
		s.rebook()
		s.mux.recheck()
		if err := s.announce(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Warn("this node's new address is not on the list of members yet", "err", err)
		}
		s.followCAOrHalt()
		s.seeToKeys(look)
		if rg := s.reigning(); rg != nil {
			if rg.term != r.reign {
				r.reign, r.since = rg.term, time.Now()
			}
			s.lookAfter(rg.ctx)
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Store) askAbout() {
	ctx, cancel := context.WithTimeout(s.ctx, silentLimit)
	defer cancel()
	var group sync.WaitGroup
	for _, m := range s.others() {
		group.Go(func() {
			var a about
			if err := s.peer(m.name, m.address).ask(ctx, methodAbout, struct{}{}, &a); err != nil {
				return
			}
			l, _ := s.peer(m.name, m.address).level(ctx)
			s.roster.mu.Lock()
			s.roster.seen[m.name] = sighting{a, l, time.Now()}
			s.roster.mu.Unlock()
		})
	}
	group.Wait()
}

// sightingOf is what a member said last.
func (s *Store) sightingOf(name string) (sighting, bool) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	x, ok := s.roster.seen[name]
	return x, ok
}

// well reports whether a member has answered lately.
func (s *Store) well(name string) bool {
	x, ok := s.sightingOf(name)
	return name == s.cfg.Node || ok && time.Since(x.at) < wellWithin
}

// lookAfter is what the leader does for the list of members, once a second.
func (s *Store) lookAfter(ctx context.Context) {
	members := s.configured()
	if len(members) > 1 {
		s.enroll(ctx, members)
	}
	if s.roster.drained.Load() && s.handOn(ctx) {
		return
	}
	s.strike(ctx, members)
	s.promote(ctx, members)
	s.clean(ctx, members)
	s.raise(ctx, members)
	s.endRekey(ctx, members)
	s.roster.last = s.raft.LastIndex()
}

// enroll notes which data folder goes by the name of a node that has none on
// record, and with which key.
func (s *Store) enroll(ctx context.Context, members []member) {
	for _, m := range members {
		who, here := s.mux.who(m.name)
		if m.name == s.cfg.Node {
			who, here = caller{name: m.name, instance: s.identity.Instance}, true
			if s.cfg.Keys != nil {
				who.generation, who.key = s.cfg.Keys.Generation(), s.cfg.Keys.KeyDigest()
			}
		}
		c := license.Enroll{Node: who.name, Instance: who.instance, Generation: who.generation, Key: who.key}
		known := false
		s.View(func(st *license.State) {
			n := st.Node(m.name)
			known = n != nil && (who.key == license.Digest{} || n.Key == who.key || n.Removed != 0 || n.Instance != who.instance ||
				n.Key != license.Digest{} && st.Head().CAOut != 0)
		})
		if !here || known {
			continue
		}
		if out, err := s.Propose(ctx, c); err != nil || out.Denial != nil {
			s.log.Warn("a member's data folder could not be noted", "peer", m.name, "denial", reasonOf(out.Denial), "err", err)
		}
	}
}

func reasonOf(d *license.Denial) string {
	if d == nil {
		return ""
	}
	return string(d.Reason)
}

// strike takes members off the list that were removed while they joined.
func (s *Store) strike(ctx context.Context, members []member) {
	for _, m := range members {
		removed := false
		s.View(func(st *license.State) { n := st.Node(m.name); removed = n != nil && n.Removed != 0 })
		if !removed || m.name == s.cfg.Node {
			continue
		}
		if err := s.changeMembers(ctx, s.raft.RemoveServer(raft.ServerID(m.name), 0, enqueueWithin)); err != nil {
			s.log.Warn("a member that was removed is still on the list", "peer", m.name, "err", err)
		}
	}
}

// promote gives those a vote that have caught up, and stayed so.
func (s *Store) promote(ctx context.Context, members []member) {
	r := &s.roster
	for _, m := range members {
		x, ok := s.sightingOf(m.name)
		if m.voter || !ok || !s.well(m.name) || x.Drained || x.Applied+readyLag < r.last || x.Applied < min(r.last, 1) {
			delete(r.ready, m.name)
			continue
		}
		if r.ready[m.name]++; r.ready[m.name] <= readyLooks {
			continue
		}
		delete(r.ready, m.name)
		if len(s.answering(ctx, []string{m.name})) == 0 {
			continue // it may be the one that a majority needs as soon as it has a vote
		}
		if err := s.changeMembers(ctx, s.raft.AddVoter(raft.ServerID(m.name), raft.ServerAddress(m.address), 0, enqueueWithin)); err != nil {
			s.log.Warn("a node that has caught up could not be given a vote", "peer", m.name, "err", err)
			continue
		}
		s.log.Info("a node has caught up and votes from now on", "peer", m.name, "index", x.Applied)
	}
}

// clean takes a member out that has not been heard of for RemoveDeadAfter: one at a
// time and never another within that time, only while most voters are well, and
// only as far as a majority of those that were on the list stays on it.
func (s *Store) clean(ctx context.Context, members []member) {
	r, after := &s.roster, s.cfg.RemoveDeadAfter
	if after <= 0 || time.Since(r.swept) < after || time.Since(r.since) < after {
		return
	}
	voters, well := 0, 0
	dead, silent := "", after
	deadVotes := false
	for _, m := range members {
		if m.voter {
			voters++
			if s.well(m.name) {
				well++
			}
		}
		if s.well(m.name) {
			continue
		}
		x, _ := s.sightingOf(m.name)
		from := r.since
		if x.at.After(from) {
			from = x.at
		}
		if d := time.Since(from); d >= silent {
			dead, silent, deadVotes = m.name, d, m.voter
		}
	}
	majority := voters/2 + 1
	if dead == "" || well < majority || deadVotes && voters-1 < majority {
		return
	}
	r.swept = time.Now()
	err := s.removeHere(ctx, Removal{Node: dead, By: "clean-up", Note: fmt.Sprintf("not heard of for %s", silent.Round(time.Second))})
	if err != nil {
		s.log.Warn("a dead member could not be taken out", "peer", dead, "err", err)
	}
}
