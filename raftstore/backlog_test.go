package raftstore

import (
	"testing"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// counted is the backlog as it is in the database, counted from the beginning.
func counted(t *testing.T, s *Store) (n uint64) {
	t.Helper()
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	err := s.disk.view(func(txn *badger.Txn) (err error) {
		n, err = journalBytes(txn, head.UsageSent, head.Seq)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is kept of the journal for usage is known at any time, also after a restart,
// without looking at all of it; what the cloud has acknowledged is not kept for it.
func TestTheBacklogIsCounted(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir)
	do(t, s, fill(3))
	check := func(when string) uint64 {
		t.Helper()
		if err := s.Flush(limited(t)); err != nil {
			t.Fatal(err)
		}
		got, want := s.Backlog(), counted(t, s)
		if got != want {
			t.Errorf("%s: %d bytes, want %d", when, got, want)
		}
		return got
	}
	turns(t, s, 0, 20)
	first := check("after twenty turns")
	turns(t, s, 20, 40)
	second := check("after forty")
	if first < 20*100 || second < first+20*100 {
		t.Errorf("twenty turns make it %d bytes, forty %d", first, second)
	}
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	do(t, s, license.UsageSent{Through: head.Seq / 2, Records: 20})
	third := check("with half of it acknowledged")
	if third > second*2/3 || third < second/3 {
		t.Errorf("with half of it acknowledged it is %d bytes of %d", third, second)
	}
	closeStore(t, s)
	s = single(t, dir)
	if got := s.Backlog(); got != third {
		t.Errorf("after a restart: %d bytes, want %d", got, third)
	}
	turns(t, s, 40, 41)
	check("after a restart and another turn")
	s.View(func(st *license.State) { head = st.Head() })
	do(t, s, license.UsageSent{Through: head.Seq, Records: 20, After: head.UsageSent})
	if left := check("with all of it acknowledged"); left > 500 {
		t.Errorf("with all of it acknowledged %d bytes are left", left)
	}
}
