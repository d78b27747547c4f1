package raftstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"slices"
	"sync"
	"time"
)

// digest is a running checksum (CRC-64) of all facts: whoever has decided the same has
// the same, and two that differ once differ for good. It is computed where facts are
// written to disk, away from who applies, and kept with the position, so that it goes
// on after a restart, in a snapshot, and in a backup. The zero value is before the
// first fact.
type digest struct {
	mu     sync.Mutex
	seq    uint64                // mu guards these
	sum    uint64                // up to the fact with this seq
	recent [recentDigests]uint64 // the latest sums, by seq
	from   uint64                // of those the first that is known
}

// recentDigests is how many facts a node may be behind another, about, and still
// be compared with it.
const recentDigests = 1 << 14

// begin goes on from what is on disk.
func (d *digest) begin(seq, sum uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq, d.sum, d.from = seq, sum, seq
	d.recent[seq%recentDigests] = sum
}

// follow takes n facts in, as packEvents has encoded them.
func (d *digest) follow(packed []byte, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	table := crc64.MakeTable(crc64.ECMA)
	r := reader{b: packed[1:]}
	for range n {
		before := r.b
		r.uvarint()
		r.varint()
		r.bytes(r.uvarint())
		if r.err != nil {
			return fmt.Errorf("reading back event %d: %w", d.seq+1, r.err)
		}
		d.sum = crc64.Update(d.sum, table, before[:len(before)-len(r.b)])
		d.seq++
		d.recent[d.seq%recentDigests] = d.sum
	}
	return nil
}

// now is the sum of all facts so far.
func (d *digest) now() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sum
}

// at is the sum up to a fact; false: it is too old, or not here yet.
func (d *digest) at(seq uint64) (sum uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if seq > d.seq || seq < d.from || d.seq-seq >= recentDigests {
		return 0, false
	}
	return d.recent[seq%recentDigests], true
}

// last is the seq of the last fact.
func (d *digest) last() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seq
}

// digestQuestion asks a node for its last fact and for its sums; a fact it has none
// of is missing in the answer.
type digestQuestion struct {
	Seqs []uint64 `cbor:"1,keyasint"`
}

type digestAnswer struct {
	Sums map[uint64]uint64 `cbor:"1,keyasint,omitempty"`
	Last uint64            `cbor:"2,keyasint,omitempty"`
}

// maxSamples bounds one question.
const maxSamples = 16

func (s *Store) handleDigest(body []byte) ([]byte, error) {
	var q digestQuestion
	if err := s.codec.dec.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("reading a question for digests: %w", err)
	}
	if len(q.Seqs) > maxSamples {
		return nil, fmt.Errorf("%d digests at once, at most %d", len(q.Seqs), maxSamples)
	}
	a := digestAnswer{Sums: map[uint64]uint64{}, Last: s.disk.digest.last()}
	for _, seq := range q.Seqs {
		if sum, ok := s.disk.digest.at(seq); ok {
			a.Sums[seq] = sum
		}
	}
	return s.codec.enc.Marshal(a)
}

func (p *peer) digests(ctx context.Context, seqs []uint64) (a digestAnswer, err error) {
	q, err := p.s.codec.enc.Marshal(digestQuestion{seqs})
	if err != nil {
		return a, err
	}
	b, err := p.call(ctx, methodDigest, q)
	if err != nil {
		return a, err
	}
	return a, p.s.codec.lax.Unmarshal(b, &a)
}

// enoughDoubts is how many comparisons in a row find no majority before that is said:
// a node that is only a little behind decides the next one.
const enoughDoubts = 3

// ErrDiverged says that this node has decided otherwise than the others.
var ErrDiverged = errors.New("the state of this node is not that of the other nodes")

// comparing compares what this node has decided with the others, now and then,
// until the store closes. A node that a majority does not agree with halts: no
// answer of it can be relied on. Where no majority agrees nobody can tell who is
// right, and Diverged says so.
func (s *Store) comparing() {
	tick := time.NewTicker(s.cfg.compare)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.compare()
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Store) compare() {
	ctx, cancel := context.WithTimeout(s.ctx, silentLimit)
	defer cancel()
	voters := slices.DeleteFunc(s.members(), func(m member) bool { return !m.voter })
	// Compared is at the last facts of all of them: the latest that most have.
	seqs := []uint64{s.disk.digest.last()}
	for _, a := range s.askDigests(ctx, voters, nil) {
		seqs = append(seqs, a.Last)
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	slices.Reverse(seqs)
	seqs = seqs[:min(len(seqs), maxSamples)]
	said := s.askDigests(ctx, voters, seqs)
	for _, seq := range seqs {
		own, ok := s.disk.digest.at(seq)
		if !ok {
			continue
		}
		sums := map[uint64]int{}
		answers := 0
		if slices.ContainsFunc(voters, func(m member) bool { return m.name == s.cfg.Node }) {
			sums[own]++
			answers++
		}
		for _, a := range said {
			if sum, ok := a.Sums[seq]; ok {
				sums[sum]++
				answers++
			}
		}
		if answers >= s.majority() {
			s.conclude(seq, own, sums)
			return
		}
	}
}

// askDigests asks the voters but this one, and returns what was answered.
func (s *Store) askDigests(ctx context.Context, voters []member, seqs []uint64) (said []digestAnswer) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, m := range voters {
		if m.name == s.cfg.Node {
			continue
		}
		group.Go(func() {
			if a, err := s.peer(m.name, m.address).digests(ctx, seqs); err == nil {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, a)
			}
		})
	}
	group.Wait()
	return said
}

// conclude draws the conclusion from the sums of a majority at one fact.
func (s *Store) conclude(seq, own uint64, sums map[uint64]int) {
	for sum, n := range sums {
		if n < s.majority() {
			continue
		}
		s.doubts.Store(0)
		if sum != own {
			s.halt(fmt.Errorf("%w (at event %d: %016x here, %016x on %d of them); empty its data folder and let it join anew", ErrDiverged, seq, own, sum, n))
			return
		}
		if s.diverged.Swap(false) {
			s.log.Info("a majority of the nodes agrees on the state again", "seq", seq)
		}
		return
	}
	if s.doubts.Add(1) >= enoughDoubts && !s.diverged.Swap(true) {
		s.log.Error("the nodes do not agree on the state, and no majority does: nothing new is granted; restore a backup, or recover from the node that is right",
			"seq", seq, "states", len(sums))
	}
}

// Diverged reports whether the nodes were found to have different states, with no
// majority for any of them.
func (s *Store) Diverged() bool { return s.diverged.Load() }
