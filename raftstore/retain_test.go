package raftstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// keysOf are the keys of a table on disk.
func keysOf(t *testing.T, s *Store, table byte) (keys [][]byte) {
	t.Helper()
	err := s.disk.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{table}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// turns starts and stops sessions, one flush each.
func turns(t *testing.T, s *Store, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		do(t, s, start(n, n%3, "WS-1"))
		do(t, s, stop(n, n%3, "WS-1"))
		if err := s.Flush(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// The journal keeps as many events as it should, and all whose usage the cloud does
// not have.
func TestTheJournalIsKeptToItsLength(t *testing.T) {
	s := single(t, t.TempDir(), func(c *Config) { c.JournalEvents, c.fewEvents = 20, 10 })
	do(t, s, fill(3))
	turns(t, s, 0, 30)
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	events, err := s.Journal(limited(t), 0, MaxJournal)
	if err != nil || uint64(len(events)) != head.Seq || events[0].Seq != 1 {
		t.Fatalf("usage waits: %d events are kept, %v; want all %d", len(events), err, head.Seq)
	}
	do(t, s, license.UsageSent{Through: head.Seq - 30, Records: 1})
	turns(t, s, 30, 31)
	s.View(func(st *license.State) { head = st.Head() })
	events, err = s.Journal(limited(t), 0, MaxJournal)
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	first, last := events[0].Seq, events[len(events)-1].Seq
	if last != head.Seq || first > head.UsageSent+1 || first < head.UsageSent-2 {
		t.Errorf("events %d to %d are kept; want those from about %d, whose usage is not sent, to %d", first, last, head.UsageSent+1, head.Seq)
	}
	do(t, s, license.UsageSent{Through: head.Seq, Records: 1, After: head.UsageSent})
	turns(t, s, 31, 32)
	s.View(func(st *license.State) { head = st.Head() })
	events, err = s.Journal(limited(t), 0, MaxJournal)
	if err != nil || len(events) < 20 || len(events) > 25 || events[len(events)-1].Seq != head.Seq {
		t.Errorf("%d events are kept, %v; want 20, and what shares a value with them", len(events), err)
	}
	for i, e := range events {
		if e.Seq != events[0].Seq+uint64(i) {
			t.Fatalf("event %d follows on %d", e.Seq, events[0].Seq+uint64(i)-1)
		}
	}
}

// Where many events were deleted the tables are merged at once: what is deleted would stay
// in them for long.
func TestManyDeletedEventsHaveTheTablesMerged(t *testing.T) {
	const keep = 80
	s := single(t, t.TempDir(), func(c *Config) { c.JournalEvents, c.fewEvents = keep, 10 })
	do(t, s, fill(3))
	turns(t, s, 0, keep)
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	do(t, s, license.UsageSent{Through: head.Seq, Records: keep})
	turns(t, s, keep, keep+2)
	if first, _, err := parseJournalKey(keysOf(t, s, tableJournal)[0]); err != nil || first <= 1+2*keep/mergeShare {
		t.Fatalf("the journal begins before event %d still, %v: this test cannot tell", first, err)
	}
	eventually(t, func() error {
		if cut := s.disk.cut.Load(); cut > keep/mergeShare {
			return fmt.Errorf("%d events were deleted since the tables were merged", cut)
		}
		return nil
	})
}

// Ids that have ended are gone from disk when the state has forgotten them, and are
// what the state has when it is read again.
func TestTombstonesGoWithTheirSeal(t *testing.T) {
	var passed turned
	began := time.Now()
	use := func(c *Config) {
		passed.use(c)
		c.Clock = func() time.Time { return began.Add(passed.mono()) }
	}
	dir := t.TempDir()
	s := single(t, dir, use)
	do(t, s, fill(3))
	turns(t, s, 0, 5)
	if got := len(keysOf(t, s, tableEnded)); got != 5 {
		t.Errorf("%d values of ended ids are on disk, want 5", got)
	}
	passed.turn(license.TombstoneLife / 2)
	turns(t, s, 5, 6)
	passed.turn(license.TombstoneLife/2 + time.Second)
	turns(t, s, 6, 7)
	turns(t, s, 7, 8)
	if got := len(keysOf(t, s, tableEnded)); got != 3 {
		t.Errorf("%d values of ended ids are on disk, want the 3 of the last half of a minute", got)
	}
	want := hashOf(t, s)
	closeStore(t, s)
	again := single(t, dir, use)
	if got := hashOf(t, again); got != want {
		t.Errorf("the state read again is %s, want %s", got, want)
	}
	if out, err := again.Propose(limited(t), stop(7, 1, "WS-1")); err != nil || out.Denial != nil || !out.Repeat {
		t.Errorf("stopping again what has just ended: got %+v, %v; want a repeat", out, err)
	}
}

// Events that were on disk before their state, when the node was stopped, are written
// again, packed otherwise, and there once.
func TestEventsBeyondTheStateAreCutAtTheStart(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir)
	do(t, s, fill(3))
	turns(t, s, 0, 4)
	all, err := s.Journal(limited(t), 0, MaxJournal)
	if err != nil {
		t.Fatal(err)
	}
	seq := all[len(all)-1].Seq
	err = s.disk.writeTxn(func(txn *badger.Txn) error {
		var err error
		for _, n := range []uint64{3, 100} { // as of writes that did not come to their end
			b, _, packed := s.codec.packEvents(all[:3])
			err = errors.Join(err, packed, txn.Set(journalKey(seq+n, 3), b))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	crash(t, s)
	s = single(t, dir)
	turns(t, s, 4, 6)
	again, err := s.Journal(limited(t), 0, MaxJournal)
	if err != nil || !slices.IsSortedFunc(again, func(a, b license.Event) int { return int(a.Seq) - int(b.Seq) }) || len(again) != int(again[len(again)-1].Seq) {
		t.Errorf("%d events, %v; want %d, each once and in order", len(again), err, again[len(again)-1].Seq)
	}
	for after := range seq {
		some, err := s.Journal(limited(t), after, 2)
		if err != nil || len(some) != 2 || some[0].Seq != after+1 || some[1].Seq != after+2 {
			t.Errorf("two events after %d: got %v, %v", after, some, err)
		}
	}
}

// What is much is packed into several values.
func TestLargeAndManyEventsArePacked(t *testing.T) {
	c := testCodec(t)
	var events []license.Event
	for n := range 2*packedEvents + 1 {
		events = append(events, license.Event{Seq: uint64(n + 1), At: 5, Fact: license.Stopped{Freed: n%2 == 0}})
	}
	last := uint64(0)
	for values := 1; len(events) > 0; values++ {
		b, n, err := c.packEvents(events)
		if err != nil || n == 0 || n > packedEvents || len(b) > packedBytes+1024 || values > 4 {
			t.Fatalf("value %d: %d events in %d bytes, %v", values, n, len(b), err)
		}
		last += uint64(n)
		seq := last - uint64(n)
		if err := c.unpackEvents(last, uint64(n), b, func(e license.Event) {
			if seq++; e.Seq != seq || e.Fact.(license.Stopped).Freed != events[0].Fact.(license.Stopped).Freed {
				t.Fatalf("event %+v, want number %d, %+v", e, seq, events[0])
			}
			events = events[1:]
		}); err != nil {
			t.Fatal(err)
		}
		if err := c.unpackEvents(last, uint64(n)+1, b, func(license.Event) {}); err == nil && n > 0 {
			t.Errorf("%d events are read as %d", n, n+1)
		}
	}
}

// More events than go into one transaction are written in several, and all are there.
func TestVeryManyEventsAreWrittenInSeveralTransactions(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(1))
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	pos, head := s.disk.position()
	const many = 30_000
	reason := license.Reason(strings.Repeat("x", 500))
	one := sealed{pos: pos, head: license.Head{Seq: head + many}}
	for n := range many {
		one.events = append(one.events, license.Event{Seq: head + uint64(n) + 1, At: 5, Fact: license.WaitEnded{Reason: reason}})
	}
	if err := s.disk.write(one); err != nil {
		t.Fatal(err)
	}
	var after uint64
	for after < head+many {
		events, err := s.disk.journal(after, MaxJournal)
		if err != nil || len(events) == 0 || events[0].Seq != after+1 {
			t.Fatalf("%d events after %d, %v", len(events), after, err)
		}
		after = events[len(events)-1].Seq
	}
	if got := s.disk.backlog().bytes; got < many*500 {
		t.Errorf("%d bytes are counted, want all of the events, more than %d", got, many*500)
	}
}
