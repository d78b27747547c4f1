package raftstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// A node whose machine was set back to a snapshot has forgotten what it has
// acknowledged and voted for, and would help to elect a leader that lacks what counts.
// It cannot notice that by itself; its peers do. Each remembers of the voters how far
// they have come, as it saw them acknowledge entries and give votes, and the leader
// shares what it has seen. A voter that comes back with less is refused.

// progressed is how far a node was seen to have come: its term, and the end of its log
// in that term. In a term, what has been matched with its leader's log never goes away;
// in a later one it can.
type progressed struct {
	Term  uint64 `cbor:"1,keyasint" json:"term"`
	Index uint64 `cbor:"2,keyasint,omitempty" json:"index"`
}

// before reports whether p is an earlier state of a node than q.
func (p progressed) before(q progressed) bool {
	return p.Term < q.Term || p.Term == q.Term && p.Index < q.Index
}

// memory is what a node remembers of the others, by name.
type memory struct {
	path string

	mu    sync.Mutex
	seen  map[string]progressed // mu guards these
	dirty bool
}

const memoryFile = "peers.json"

// recallEvery is how often the others are asked, memoryEvery how often what is
// remembered is written down.
const (
	recallEvery = time.Second
	memoryEvery = 5 * time.Second
)

func openMemory(dir string) (*memory, error) {
	m := &memory{path: filepath.Join(dir, memoryFile), seen: map[string]progressed{}}
	b, err := os.ReadFile(m.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return m, nil
	case err != nil:
		return nil, fmt.Errorf("reading what is remembered of the other nodes: %w", err)
	}
	object, err := CheckedJSON(b)
	if err == nil {
		err = json.Unmarshal(object, &m.seen)
	}
	if err != nil || m.seen == nil {
		return nil, fmt.Errorf("%s is damaged (%v); remove it: what it tells of the other nodes is learnt again", m.path, err)
	}
	// An earlier program has written down of the checksum what it knows of it: nothing.
	maps.DeleteFunc(m.seen, func(_ string, p progressed) bool { return p == progressed{} })
	return m, nil
}

// note takes down how far a node has come, if that is further than was known.
func (m *memory) note(name string, p progressed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen[name].before(p) {
		m.seen[name], m.dirty = p, true
	}
}

// of is how far a node was seen to have come; zero: nothing is known.
func (m *memory) of(name string) progressed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[name]
}

// all is everything that is remembered.
func (m *memory) all() map[string]progressed {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]progressed, len(m.seen))
	for name, p := range m.seen {
		all[name] = p
	}
	return all
}

// keep forgets all but those nodes: who was removed may come back with nothing.
func (m *memory) keep(voters map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.seen {
		if !voters[name] {
			delete(m.seen, name)
			m.dirty = true
		}
	}
}

// save writes down what has changed.
func (m *memory) save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirty {
		return nil
	}
	b, err := json.Marshal(m.seen)
	if err != nil {
		return fmt.Errorf("writing down what is remembered of the other nodes: %w", err)
	}
	if err := writeFileSync(m.path, WithChecksum(append(b, '\n'))); err != nil {
		return err
	}
	m.dirty = false
	return nil
}

// setBack is why a node is refused that comes back with less than it had.
func setBack(name string, has, had progressed) error {
	return fmt.Errorf("the data folder of %s is older than what %s has acknowledged: its log ends at %d in term %d, and it had come to %d in term %d; was its machine set back to a snapshot? "+
		"It must not vote any more: remove it on another node, sitegate cluster remove %s, move its data folder away, and join again with a token: sitegate cluster join",
		name, name, has.Index, has.Term, had.Index, had.Term, name)
}

// recollection is what a node tells of itself and the others.
type recollection struct {
	Term      uint64                `cbor:"1,keyasint"`
	Committed uint64                `cbor:"2,keyasint"`
	Seen      map[string]progressed `cbor:"3,keyasint,omitempty"`
}

func (s *Store) handleRecall() ([]byte, error) {
	r := recollection{Committed: s.raft.CommitIndex(), Seen: s.memory.all()}
	r.Term = s.raft.CurrentTerm() // last: what is committed was so in this term at the latest
	return s.codec.enc.Marshal(r)
}

// remembering keeps what is remembered up to date while this node runs: it asks the
// others, once a second, how far they have come and what they have seen.
func (s *Store) remembering() {
	tick := time.NewTicker(recallEvery)
	defer tick.Stop()
	saved := time.Now()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		voters := s.votersByName()
		if len(voters) == 0 {
			continue // raft is going down
		}
		s.memory.keep(voters)
		s.recallFrom(voters)
		if time.Since(saved) < memoryEvery {
			continue
		}
		saved = time.Now()
		if err := s.memory.save(); err != nil {
			s.log.Warn("what is known of the other nodes could not be written down", "err", err)
		}
	}
}

func (s *Store) recallFrom(voters map[string]bool) {
	ctx, cancel := context.WithTimeout(s.ctx, silentLimit)
	defer cancel()
	var group sync.WaitGroup
	for _, m := range s.others() {
		group.Go(func() {
			var r recollection
			if err := s.peer(m.name, m.address).ask(ctx, methodRecall, struct{}{}, &r); err != nil {
				return // it is silent, or goes down; the next look asks again
			}
			if m.voter {
				s.memory.note(m.name, progressed{r.Term, r.Committed})
			}
			for name, p := range r.Seen {
				if voters[name] && name != s.cfg.Node {
					s.memory.note(name, p)
				}
			}
		})
	}
	group.Wait()
}

func (s *Store) votersByName() map[string]bool {
	voters := map[string]bool{}
	for _, m := range s.members() {
		if m.voter {
			voters[m.name] = true
		}
	}
	return voters
}

// progress is how far this node has come.
func (s *Store) progress() (progressed, error) {
	select {
	case <-s.up:
		if s.raft != nil {
			index := s.raft.LastIndex() // first: in a later term it may have become less
			return progressed{Term: s.raft.CurrentTerm(), Index: index}, nil
		}
	default:
	}
	term, err := s.wal.GetUint64([]byte(raftTerm))
	if err != nil {
		return progressed{}, fmt.Errorf("reading this node's term: %w", err)
	}
	last, err := s.wal.LastIndex()
	if err != nil {
		return progressed{}, fmt.Errorf("reading the log's end: %w", err)
	}
	pos, _ := s.disk.position()
	return progressed{Term: term, Index: max(last, pos.Index)}, nil
}

// withProgress is a hello that tells how far this node has come.
func (m *mux) withProgress(h hello) (hello, error) {
	var err error
	h.Has, err = m.progress()
	return h, err
}

// lapsed says whether a node comes back with less than it was seen to have. sure: it is
// a voter by this node's own list, which a node that is only starting has not.
//
// A machine that has joined under the name since is another one: what the earlier has
// acknowledged, as a node may still remember that lags behind, is nothing to it. Only the
// CA gives a later generation, once the earlier one was removed.
func (s *Store) lapsed(who caller, has, had progressed) (err error, sure bool) {
	name := who.name
	if !has.before(had) || s.succeeds(who) {
		return nil, true
	}
	if !s.running() {
		return setBack(name, has, had), false
	}
	if !s.votersByName()[name] {
		return nil, true
	}
	return setBack(name, has, had), true
}

// succeeds reports whether a machine has joined under its name after the one that this
// node knows by it.
func (s *Store) succeeds(who caller) (later bool) {
	s.View(func(st *license.State) {
		n := st.Node(who.name)
		later = n != nil && who.generation > n.Generation
	})
	return later
}

// witness is raft's transport, which sees what the other nodes acknowledge.
type witness struct {
	nodeTransport
	note func(name string, p progressed)
}

// AppendEntries sends entries, and notes what a follower has.
func (w *witness) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := w.nodeTransport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	if resp.Success {
		w.note(string(id), progressed{args.Term, args.PrevLogEntry + uint64(len(args.Entries))})
	}
	return nil
}

// RequestVote asks for a vote, and notes that it was given.
func (w *witness) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := w.nodeTransport.RequestVote(id, target, args, resp); err != nil {
		return err
	}
	if resp.Granted {
		w.note(string(id), progressed{Term: args.Term})
	}
	return nil
}
