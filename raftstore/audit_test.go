package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// trailOf reads the audit trail of a node, and says whether it holds.
func trailOf(t testing.TB, s *Store) ([]license.Audited, error) {
	t.Helper()
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	var all []license.Audited
	var trail license.AuditTrail
	for after := uint64(0); ; {
		page, now, err := s.Audit(limited(t), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		all, trail = append(all, page...), now
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Number
	}
	chain := license.AuditChain{Number: trail.After, Hash: trail.Anchor}
	for i := range all {
		if err := chain.Next(&all[i]); err != nil {
			return all, err
		}
	}
	return all, chain.Ends(trail.Number, trail.Hash)
}

func noted(by string) license.Command {
	return license.NoteAct{What: "reload", By: by, Note: "because"}
}

// export writes the audit trail down, as far as the state is concerned.
func export(t testing.TB, s *Store) license.AuditMark {
	t.Helper()
	out, err := s.Propose(limited(t), license.ExportAudit{By: "ida"})
	if err != nil || out.Mark == nil {
		t.Fatalf("beginning an export: %+v, %v", out, err)
	}
	do(t, s, license.ExportAudit{By: "ida", Through: out.Mark.Through, Hash: out.Mark.Hash})
	return *out.Mark
}

// TestTheAuditTrailOutlivesTheJournal: the journal is cut to twenty events, the trail is
// kept until it was exported and the state says that it may go; through restarts.
func TestTheAuditTrailOutlivesTheJournal(t *testing.T) {
	dir := t.TempDir()
	short := func(c *Config) { c.JournalEvents, c.fewEvents = 20, 10 }
	s := single(t, dir, short)
	do(t, s, fill(3))
	do(t, s, license.Block{Machine: license.Machine{Name: "WS-99"}, By: "ida", Note: "left"})
	for n := range 40 {
		turns(t, s, n, n+1)
		do(t, s, noted("ida"))
		var head license.Head
		s.View(func(st *license.State) { head = st.Head() })
		do(t, s, license.UsageSent{Through: head.Seq, Records: 1, After: head.UsageSent})
	}
	records, err := trailOf(t, s)
	if err != nil || len(records) < 41 || records[0].Number != 1 {
		t.Fatalf("got %d records, %v; want all of at least 41", len(records), err)
	}
	if events, err := s.Journal(limited(t), 0, 1); err != nil || len(events) != 1 || events[0].Seq < 20 {
		t.Fatalf("the journal begins with %v, %v; want it cut", events, err)
	}
	closeStore(t, s)
	s = single(t, dir, short)
	if again, err := trailOf(t, s); err != nil || len(again) < len(records) || !reflect.DeepEqual(again[:len(records)], records) {
		t.Fatalf("after a restart: %d records, %v; want those %d as they were", len(again), err, len(records))
	}
	mark := export(t, s)
	do(t, s, noted("dora"))
	do(t, s, license.TrimAudit{Through: mark.Through})
	if left, err := trailOf(t, s); err != nil || len(left) != 3 || left[0].Number != mark.Through+1 {
		t.Fatalf("after the trim: %d records, %v; want the three behind %d", len(left), err, mark.Through)
	}
	kept := func() (n int) {
		for _, key := range keysOf(t, s, tableRecord) {
			if _, err := parseAuditKey(key); err == nil {
				n++
			}
		}
		return n
	}
	for n := 0; kept() > 10; n++ { // a few with each that is written
		if n > 100 {
			t.Fatalf("%d records are left on disk", kept())
		}
		turns(t, s, 100+n, 101+n)
	}
	closeStore(t, s)
	s = single(t, dir, short)
	if left, err := trailOf(t, s); err != nil || left[0].Number != mark.Through+1 {
		t.Fatalf("after a restart: %v; want what is behind %d to hold", err, mark.Through)
	}
}

// TestTamperedDiskIsFound: whoever changes records in a node's database is found out by
// what the state says, at the record.
func TestTamperedDiskIsFound(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(1))
	for range 8 {
		do(t, s, noted("ida"))
	}
	records, err := trailOf(t, s)
	if err != nil {
		t.Fatal(err)
	}
	put := func(at uint64, r *license.Audited) {
		t.Helper()
		err := s.disk.writeTxn(func(txn *badger.Txn) error {
			if r == nil {
				return txn.Delete(auditRecordKey(at))
			}
			b, err := s.codec.record(r)
			if err != nil {
				return err
			}
			return txn.Set(auditRecordKey(at), b)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	last := records[len(records)-1]
	changed, forged := records[3], last
	changed.By = "w-somebody-else"
	forged.What = "nothing"
	forged.Hash = forged.Sum(records[len(records)-2].Hash)
	for name, c := range map[string]struct {
		at  uint64
		r   *license.Audited
		bad uint64
	}{
		"changed":         {4, &changed, 4},
		"dropped":         {4, nil, 4},
		"another's place": {4, &records[5], 4},
		"last dropped":    {last.Number, nil, last.Number},
		"last forged":     {last.Number, &forged, last.Number},
		"one more":        {last.Number + 1, &license.Audited{Number: last.Number + 1, What: "reload"}, last.Number + 1},
	} {
		put(c.at, c.r)
		var broken *license.AuditBroken
		if _, err := trailOf(t, s); !errors.As(err, &broken) || broken.Number != c.bad {
			t.Errorf("%s: got %v, want record %d to be named", name, err, c.bad)
		}
		put(last.Number+1, nil)
		for i := range records {
			put(records[i].Number, &records[i])
		}
	}
	if _, err := trailOf(t, s); err != nil {
		t.Errorf("put back as it was: %v", err)
	}
}

// TestTheAuditTrailComesThroughSnapshotAndBackup: who catches up by a snapshot has all
// of it, and a site that goes on from a backup goes on with its trail, in which the
// restore is a record.
func TestTheAuditTrailComesThroughSnapshotAndBackup(t *testing.T) {
	c := newCluster(t, bySnapshot)
	c.do(fill(1))
	behind := c.follower().cfg.Node
	c.stop(behind)
	for range 40 {
		c.do(noted("ida"))
	}
	eventually(t, func() error {
		first, err := c.leader().logs.FirstIndex()
		if err == nil && first < 20 {
			err = fmt.Errorf("the leader's log still begins at %d", first)
		}
		return err
	})
	s := c.restart(behind)
	c.alike()
	// The leader goes on with its own records, of the members: what was taken before
	// is the beginning of what it has after.
	snapshot, err := trailOf(t, s)
	if err != nil {
		t.Fatal(err)
	}
	file, _ := backupOf(t, c.leader())
	leader, err := trailOf(t, c.leader())
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot) < 40 || len(snapshot) > len(leader) || !reflect.DeepEqual(snapshot, leader[:len(snapshot)]) {
		t.Errorf("%s has %d records by the snapshot; want the first of the leader's %d, 40 or more", behind, len(snapshot), len(leader))
	}
	dir := filepath.Join(t.TempDir(), "store")
	b := beginning(t, dir)
	if _, err := Restore(b, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	got, err := trailOf(t, single(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(got, func(r license.Audited) bool { return r.What == "restored" })
	if at < 40 || at > len(leader) || !reflect.DeepEqual(got[:at], leader[:at]) {
		t.Errorf("restored are %d records, of the restore the one at %d; want it right after those of the backup, the first of the leader's %d", len(got), at, len(leader))
	}
}

// notAudited are facts that say who did something and are no act of an administrator's.
var notAudited = map[string]string{
	"MirrorResumed": "it was accepted before: ShrinkAccepted",
	"KeyBarred":     "whoever blocked the machine did it before: Blocked",
}

// TestWhoeverIsNamedIsAudited: a fact that says by whom it came about is in the audit trail,
// so that no new act is left out of it.
func TestWhoeverIsNamedIsAudited(t *testing.T) {
	for _, fact := range factKinds() {
		typ := reflect.TypeOf(fact)
		filled := filledOf(typ).Elem().Interface().(license.Fact)
		if saysWho(typ) && !license.IsAct(filled) && notAudited[typ.Name()] == "" {
			t.Errorf("license.%s says who did it and is not in the audit trail: add it to actOf (license/auditact.go), or here to those that are not", typ.Name())
		}
	}
}

// saysWho: it has a By of its own, or one of the record that it is about.
func saysWho(typ reflect.Type) bool {
	for i := range typ.NumField() {
		f := typ.Field(i)
		switch {
		case f.Name == "By" && f.Type == reflect.TypeFor[string]():
			return true
		case f.Type == reflect.TypeFor[license.Session](), f.Type == reflect.TypeFor[license.Checkout](): // whoever made it long ago
		case f.Type.Kind() == reflect.Struct:
			if by, is := f.Type.FieldByName("By"); is && by.Type == reflect.TypeFor[string]() {
				return true
			}
		}
	}
	return false
}
