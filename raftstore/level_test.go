package raftstore

import (
	"bufio"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// later is a level that this program cannot do, and a version that can.
const later, laterVersion = license.Level + 1, "v9.9.9"

// wantNewer fails unless the error says which level, and which version it takes.
func wantNewer(t *testing.T, what string, err error) {
	t.Helper()
	var newer *NewerLevel
	if !errors.As(err, &newer) || *newer != (NewerLevel{later, laterVersion}) || !strings.Contains(err.Error(), "install version "+laterVersion) {
		t.Errorf("%s: got %v, want that version %s is needed", what, err, laterVersion)
	}
}

func TestADataFolderOfANewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir)
	do(t, s, fill(1))
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	disk, l, err := openDisk(dir+"/state", badgers{}, s.codec, s.log)
	if err != nil {
		t.Fatal(err)
	}
	raised := l.pos.at(license.Head{Level: later, Program: laterVersion})
	err = disk.db.Update(func(txn *badger.Txn) error {
		b, err := s.codec.position(raised)
		if err != nil {
			return err
		}
		return txn.Set(positionKey(), b)
	})
	if err = errors.Join(err, disk.close()); err != nil {
		t.Fatal(err)
	}
	cfg := s.cfg
	cfg.Registerer = nil
	again, err := Open(cfg)
	if err == nil {
		closeStore(t, again)
	}
	wantNewer(t, "opening it", err)
}

// A log that goes on at a level which this program cannot do ends there, whatever
// comes with it in the same entry.
func TestANodeStopsWhereTheLevelIsRaisedBeyondIt(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(1))
	before := hashOf(t, s)
	var commands [][]byte
	for _, c := range []license.Command{fill(2), license.RaiseLevel{Level: later, Program: laterVersion}} {
		b, err := s.codec.command(c)
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, b)
	}
	s.raft.Apply(s.codec.entry(s.Now(), commands), patience)
	<-s.Done()
	wantNewer(t, "the node", s.Err())
	if after := hashOf(t, s); after != before {
		t.Errorf("the state is %s, was %s before that entry", after, before)
	}
}

func TestASnapshotOfANewerVersionStopsTheNode(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(1))
	pos, _ := s.disk.position()
	head, err := s.codec.position(pos.at(license.Head{Level: later, Program: laterVersion}))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := s.fsm.snaps.Create(1, pos.Index+100, pos.Term, s.raft.GetConfiguration().Configuration(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newSnapshotWriter(bufio.NewWriter(sink))
	w.write([]byte(snapshotMagic))
	w.sized(head)
	w.sized(nil)
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	wantNewer(t, "the snapshot", sink.Close())
	<-s.Done()
	wantNewer(t, "the node", s.Err())
}

func TestWhatALevelCanBeRaisedTo(t *testing.T) {
	can, holds, silent := levelReport{Level: license.Level}, levelReport{Level: license.Level, Holds: true}, levelReport{}
	more := levelReport{Level: later}
	for _, test := range []struct {
		said []levelReport
		want uint32
	}{
		{[]levelReport{can, can, can}, license.Level},
		{[]levelReport{can, more}, license.Level}, // no further than this program
		{[]levelReport{can, holds, can}, 0},
		{[]levelReport{can, silent, can}, 0},
		{[]levelReport{can}, license.Level},
	} {
		if got := raisable(0, test.said); got != test.want {
			t.Errorf("%+v: got %d, want %d", test.said, got, test.want)
		}
	}
	if got := raisable(later, []levelReport{can}); got != later {
		t.Errorf("a level went down to %d", got)
	}
}

// Each node knows what the others' programs can do, and whether one holds the level.
func TestTheRosterTellsOfLevels(t *testing.T) {
	c := newCluster(t, func(cfg *Config) { cfg.HoldLevel = cfg.Node == "n2" })
	for name, s := range c.nodes {
		eventually(t, func() error {
			for _, x := range s.Roster() {
				if x.Level != license.Level || x.HoldsLevel != (x.Name == "n2") {
					return errors.New(name + " does not know of " + x.Name)
				}
			}
			return nil
		})
	}
	if at := c.leader().levelNow(); at != 1 {
		t.Errorf("a new cluster works at level %d, want 1", at)
	}
}

// A question of a later version is answered so that who asks knows: it was not understood.
func TestAQuestionNobodyKnowsIsSaidToBe(t *testing.T) {
	c := newCluster(t, nil)
	s := c.leader()
	for _, m := range s.others() {
		var unknown *remoteError
		if err := s.peer(m.name, m.address).ask(limited(t), method(250), struct{}{}, nil); !errors.As(err, &unknown) {
			t.Errorf("%s: got %v, want its word that it does not know the question", m.name, err)
		}
	}
}

// What a later version adds to what nodes say of themselves is left out; in what
// decides it is refused.
func TestMessagesMayHaveGrown(t *testing.T) {
	c := testCodec(t)
	type grown struct {
		levelReport
		New string `cbor:"200,keyasint"`
	}
	b, err := c.enc.Marshal(grown{levelReport{Level: 3}, "later"})
	if err != nil {
		t.Fatal(err)
	}
	var got levelReport
	if err := c.message(b, reflect.ValueOf(&got)); err != nil || got.Level != 3 {
		t.Errorf("got %+v, %v; want level 3", got, err)
	}
	if err := c.value(b, reflect.ValueOf(&got)); err == nil {
		t.Error("what decides was read though it has a field that nobody knows")
	}
}

func TestANewcomerThatCannotDoTheLevelIsRefused(t *testing.T) {
	s := single(t, t.TempDir())
	s.fsm.mu.Lock()
	head := s.fsm.state.Head()
	head.Level, head.Program = later, laterVersion
	err := s.fsm.state.Put(&head)
	s.fsm.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for level, want := range map[uint32]bool{0: false, 1: false, later: true, later + 1: true} {
		err := s.checkLevel(joinRequest{Version: "v1.0.0", Level: level})
		if want != (err == nil) || err != nil && !strings.Contains(err.Error(), "install version "+laterVersion) {
			t.Errorf("one that can do level %d: got %v, want it let in: %v", level, err, want)
		}
	}
}
