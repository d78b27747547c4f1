package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
)

// model is what a log must be: the plain way to keep one.
type model struct {
	first, last uint64 // empty: first > last
	logs        map[uint64]raft.Log
	values      map[string]string
}

func newModel() model {
	return model{first: 1, logs: map[uint64]raft.Log{}, values: map[string]string{}}
}

func (m model) clone() model {
	m.logs, m.values = maps.Clone(m.logs), maps.Clone(m.values)
	return m
}

func (m *model) store(logs []*raft.Log) {
	if m.first > m.last {
		m.first = logs[0].Index
	}
	for _, l := range logs {
		m.logs[l.Index] = *l
		m.last = l.Index
	}
}

func (m *model) deleteRange(from, to uint64) {
	for i := max(from, m.first); i <= min(to, m.last); i++ {
		delete(m.logs, i)
	}
	if from <= m.first {
		m.first = to + 1
	} else {
		m.last = from - 1
	}
}

// differs tells how a log differs from the model, or returns nil.
func (m model) differs(w *wal.WAL) error {
	first, err := w.FirstIndex()
	if err != nil {
		return err
	}
	last, err := w.LastIndex()
	if err != nil {
		return err
	}
	want := []uint64{m.first, m.last}
	if m.first > m.last {
		want = []uint64{0, 0}
	}
	if first != want[0] || last != want[1] {
		return fmt.Errorf("the log has entries %d to %d, want %d to %d", first, last, want[0], want[1])
	}
	for i := m.first; i <= m.last; i++ {
		want := m.logs[i]
		var got raft.Log
		if err := w.GetLog(i, &got); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if got.Index != i || got.Term != want.Term || got.Type != want.Type || !bytes.Equal(got.Data, want.Data) ||
			!bytes.Equal(got.Extensions, want.Extensions) || !got.AppendedAt.Equal(want.AppendedAt) {
			return fmt.Errorf("entry %d: got %+v, want %+v", i, got, want)
		}
	}
	for _, i := range []uint64{m.first - 1, m.last + 1} {
		var got raft.Log
		if err := w.GetLog(i, &got); !errors.Is(err, raft.ErrLogNotFound) {
			return fmt.Errorf("entry %d, which there is not: got %+v, %w", i, got, err)
		}
	}
	for key, want := range m.values {
		got, err := w.Get([]byte(key))
		if err != nil || string(got) != want {
			return fmt.Errorf("value %s: got %q, %w; want %q", key, got, err, want)
		}
	}
	return nil
}

// step is one operation: what it makes of the model, and how it is carried out on a
// log.
type step struct {
	name  string
	model func(m *model)
	log   func(w *wal.WAL) error
}

// do carries out a step on both.
func (s step) do(w *wal.WAL, m *model) error {
	s.model(m)
	return s.log(w)
}

// chance is any operation that makes sense for m.
func chance(r *rand.Rand, m model) step {
	empty := m.first > m.last
	n := r.IntN(18)
	if empty && n >= 7 && n <= 9 {
		n = 0
	}
	switch n {
	case 7: // its first entries
		to := m.first + r.Uint64N(m.last-m.first+1)
		return deletion(m.first, to)
	case 8: // its last entries
		from := m.first + r.Uint64N(m.last-m.first+1)
		return deletion(from, m.last)
	case 9: // all, with what is not there around them
		return deletion(m.first-min(m.first, 1), m.last+3)
	case 10, 11:
		value := fmt.Sprint(r.IntN(1000))
		return step{"set " + value, func(m *model) { m.values["vote"] = value },
			func(w *wal.WAL) error { return w.Set([]byte("vote"), []byte(value)) }}
	case 12, 13:
		return step{"prepare", func(*model) {}, (*wal.WAL).Prepare}
	case 14:
		return step{"turn", func(*model) {}, (*wal.WAL).Turn}
	case 15:
		return step{"wipe", func(*model) {}, (*wal.WAL).Wipe}
	default:
		at := m.last + 1
		if empty && m.first > 1 {
			at = m.first + r.Uint64N(10) - r.Uint64N(min(m.first, 5))
		}
		return storing(entries(r, at, 1+r.IntN(4)))
	}
}

func deletion(from, to uint64) step {
	return step{fmt.Sprintf("delete %d to %d", from, to), func(m *model) { m.deleteRange(from, to) },
		func(w *wal.WAL) error { return w.DeleteRange(from, to) }}
}

func storing(logs []*raft.Log) step {
	return step{fmt.Sprintf("store %d to %d", logs[0].Index, logs[len(logs)-1].Index), func(m *model) { m.store(logs) },
		func(w *wal.WAL) error { return w.StoreLogs(logs) }}
}

// entries makes n entries from index on: short ones, long ones, zeros.
func entries(r *rand.Rand, index uint64, n int) []*raft.Log {
	logs := make([]*raft.Log, n)
	for i := range logs {
		l := &raft.Log{Index: index + uint64(i), Term: 1 + r.Uint64N(4), Type: raft.LogType(r.IntN(5))}
		switch r.IntN(6) {
		case 0:
		case 1:
			l.Data = make([]byte, r.IntN(450)) // as a torn write leaves it
		case 2:
			l.Data, l.Extensions = noise(r, r.IntN(450)), noise(r, r.IntN(20))
		default:
			l.Data = noise(r, r.IntN(100))
		}
		if r.IntN(3) > 0 {
			l.AppendedAt = time.Unix(0, r.Int64())
		}
		logs[i] = l
	}
	return logs
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func open(t testing.TB, o wal.Options) *wal.WAL {
	t.Helper()
	w, err := wal.Open(o)
	if err != nil {
		t.Fatalf("opening the log: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("closing the log: %v", err)
		}
	})
	return w
}

func randomness(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
