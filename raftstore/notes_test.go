package raftstore

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// opened is what users have open by a database, its notes counted in or not.
func opened(t *testing.T, d *disk, noted bool) map[license.UserID]string {
	t.Helper()
	all := map[license.UserID]string{}
	err := d.view(func(txn *badger.Txn) error {
		pos, err := readPosition(txn, d.codec)
		if err != nil {
			return err
		}
		b, err := readNotes(txn, pos)
		if err != nil {
			return err
		}
		if !noted {
			b.young = notes{}
		}
		before := ""
		return b.young.pairs(txn, badger.IteratorOptions{}, func(key []byte, value readValue) error {
			if string(key) <= before {
				return fmt.Errorf("key %x comes after %x", key, before)
			}
			before = string(key)
			if k, err := parseRecordKey(key); err == nil && k.Kind == license.KeyActive {
				return value(func(v []byte) error { all[license.UserID(k.ID)] = string(v); return nil })
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNotesCountUntilTheyAreInTheRecords(t *testing.T) {
	dir, c := t.TempDir(), testCodec(t)
	open := func() (*disk, loaded) {
		t.Helper()
		d, l, err := openDisk(dir, badgers{}, c, testLog(t, "n1"))
		if err != nil {
			t.Fatal(err)
		}
		return d, l
	}
	d, _ := open()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	want := map[license.UserID]string{}
	both, direct := false, 0
	const seals = 2*notedKeys + 100 // no restart keeps the notes from becoming old once
	for i := range uint64(seals) {
		n := 1 + r.IntN(3)
		switch {
		case i == 3:
			n = settleAtOnce + 1000 // when these grow old, one seal does not settle them
		case i > 3 && r.IntN(50) == 0:
			n = fewActivities + 1 + r.IntN(3000)
		}
		s := sealed{pos: position{Index: i + 1, Term: 1}}
		for _, u := range r.Perm(4000)[:n] {
			a := activity{user: userID(u)}
			delete(want, a.user)
			if r.IntN(3) > 0 {
				var err error
				if a.active, err = c.record(&license.Active{User: a.user, Sessions: []license.Session{{ID: testID(u), User: a.user, Token: i + 1}}}); err != nil {
					t.Fatal(err)
				}
				want[a.user] = string(a.active)
			}
			s.active = append(s.active, a)
		}
		if err := d.write(s); err != nil {
			t.Fatal(err)
		}
		both = both || len(d.notes.old.keys) > 0 && len(d.notes.young.keys) > 0
		if d.notes.empty() {
			direct++
		}
		if i%40 == 0 {
			if got := opened(t, d, true); !maps.Equal(got, want) {
				t.Fatalf("seal %d: %d users have something open, want %d, or other things", i, len(got), len(want))
			}
		}
		if (i < 100 || both) && r.IntN(100) == 0 { // as a process does that is killed: what is noted stays so
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			var l loaded
			d, l = open()
			got := map[license.UserID]string{}
			l.state.EachActive(func(a *license.Active) bool {
				b, err := c.record(a)
				got[a.User] = string(b)
				return err == nil
			})
			if !maps.Equal(got, want) {
				t.Fatalf("seal %d: after a restart %d users have something open, want %d, or other things", i, len(got), len(want))
			}
		}
	}
	if !both || direct < 3 {
		t.Errorf("notes of two ages were there: %t, want true; %d seals without notes, want 3 and more", both, direct)
	}
	if some, err := d.settle(true); !some || err != nil {
		t.Errorf("settling: %t, %v; want true", some, err)
	}
	if got := opened(t, d, false); !maps.Equal(got, want) {
		t.Errorf("records tell of %d users, want %d, or of other things", len(got), len(want))
	}
	if pos, _ := d.position(); pos.Notes != 0 || pos.Index != seals {
		t.Errorf("position: %d notes at index %d, want none at %d", pos.Notes, pos.Index, seals)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}

// noting is a store of one node that has notes on disk of more users than go into
// records at once, and leaves them there however long a test takes.
func noting(t *testing.T, dir string) *Store {
	t.Helper()
	s := single(t, dir, func(c *Config) { c.FlushEvery, c.settleIdle = time.Hour, time.Hour })
	do(t, s, fill(inNotes))
	for i := range inNotes {
		do(t, s, start(i, i, "WS-1"))
	}
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

const inNotes = fewActivities + 10

// A store that is closed leaves no notes: a program that knows of none reads on. One
// that is killed leaves them, and such a program reads no further.
func TestAClosedStoreLeavesNoNotes(t *testing.T) {
	dir := t.TempDir()
	s := noting(t, dir)
	want := hashOf(t, s)
	if pos, _ := s.disk.position(); pos.Notes == 0 {
		t.Error("nothing is noted after many starts")
	}
	meta, snapshot := exported(t, s)
	if r, err := openSnapshot(bytes.NewReader(snapshot)); err != nil {
		t.Error(err)
	} else if p, err := s.codec.decodePosition(r.head); err != nil || p.Notes != 0 {
		t.Errorf("a snapshot tells of %d notes, %v", p.Notes, err)
	} else if err := r.all(func(key, _ []byte) error {
		if key[0] == tableNotes {
			return fmt.Errorf("the note %x", key)
		}
		return nil
	}); err != nil {
		t.Errorf("a snapshot has %v, want records only", err)
	}
	if meta.Index == 0 {
		t.Error("the snapshot is of index 0")
	}
	var backup bytes.Buffer
	if _, err := s.Backup(limited(t), &backup, nil); err != nil {
		t.Fatal(err)
	}
	if _, has, err := (BackupReader{}).Verify(&backup); err != nil || has.Sessions != inNotes {
		t.Errorf("a backup has %d sessions, %v; want %d", has.Sessions, err, inNotes)
	}
	if err := s.Close(limited(t)); err != nil {
		t.Fatal(err)
	}
	d, l, err := openDisk(s.cfg.Dir+"/state", badgers{}, s.codec, testLog(t, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if l.pos.Notes != 0 || !d.notes.empty() {
		t.Errorf("a closed store has %d notes", l.pos.Notes)
	}
	if got := hashState(t, s.codec, l.state); got != want {
		t.Errorf("state after closing: %s, want %s", got, want)
	}
}

// A node that was killed with notes is recovered with what they say.
func TestNotesAreRecovered(t *testing.T) {
	dir := t.TempDir()
	s := noting(t, dir)
	if pos, _ := s.disk.position(); pos.Notes == 0 {
		t.Fatal("nothing is noted after many starts")
	}
	do(t, s, stop(3, 3, "WS-1")) // in the log alone
	crash(t, s)
	if _, err := Recover(limited(t), Beginning{Dir: dir, Node: "n1", Logger: testLog(t, "n1")}, func(Recovery) error { return nil }); err != nil {
		t.Fatal(err)
	}
	again := single(t, dir)
	again.View(func(st *license.State) {
		if n := st.Counts().Sessions; n != inNotes-1 || st.Session(testID(3)) != nil {
			t.Errorf("%d sessions are left, want %d", n, inNotes-1)
		}
	})
}

// What is settled at once has a bound in bytes, too.
func TestLargeRecordsAreSettledInParts(t *testing.T) {
	c := testCodec(t)
	var b notebook
	var all []activity
	for i := range 100 {
		all = append(all, activity{userID(i), make([]byte, 100<<10)})
	}
	p := b.next(c, all, false)
	b.written(&p, all)
	settled := 0
	for !b.empty() {
		p := b.next(c, nil, true)
		size := 0
		for _, r := range p.records {
			size += len(r.active)
		}
		if size > settleBytes+100<<10 || p.settled == 0 {
			t.Fatalf("%d users of %d bytes are settled at once, want at most %d bytes and one user", p.settled, size, settleBytes)
		}
		settled += len(p.records)
		b.written(&p, nil)
	}
	if settled != len(all) {
		t.Errorf("%d users were settled, want %d", settled, len(all))
	}
}

func TestNotesAreReadAsTheyWereWritten(t *testing.T) {
	c := testCodec(t)
	var all []activity
	for i := range 5000 {
		a := activity{user: userID(i)}
		if i%3 > 0 {
			a.active = slices.Repeat([]byte{1}, i%200+1)
		}
		all = append(all, a)
	}
	left := all
	for values := 0; len(left) > 0; values++ {
		b, n := c.packNotes(left)
		if len(b) > packedBytes+300 {
			t.Errorf("value %d has %d bytes", values, len(b))
		}
		var got []activity
		if err := unpackNotes(b, func(a activity) { got = append(got, a) }); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, left[:n], func(a, b activity) bool {
			return a.user == b.user && string(a.active) == string(b.active) && (a.active == nil) == (b.active == nil)
		}) {
			t.Fatalf("value %d does not read as it was written", values)
		}
		for _, cut := range []int{0, 3, len(b) / 2, len(b) - 1} {
			read := 0
			if err := unpackNotes(b[:cut], func(activity) { read++ }); err == nil && read == n {
				t.Errorf("value %d was read whole from its first %d bytes", values, cut)
			}
		}
		left = left[n:]
	}
	if err := unpackNotes([]byte{notesVersion + 1, 1}, func(activity) {}); err == nil {
		t.Error("notes of a newer version were read")
	}
}
