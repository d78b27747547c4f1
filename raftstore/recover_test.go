package raftstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
	"sitegate/raftstore/wal"
)

func yes(Recovery) error { return nil }

// survivor is a cluster of which one node is left, which had applied everything.
func survivor(t *testing.T) (c *cluster, name string, left *Store) {
	t.Helper()
	c = newCluster(t, nil)
	c.do(fill(3))
	s := start(1, 0, "WS-1")
	s.Fences = true
	c.do(s)
	c.alike()
	left = c.follower()
	if err := left.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	name = left.cfg.Node
	for other := range c.nodes {
		if other != name {
			c.crash(other)
		}
	}
	return c, name, left
}

// I3: what the survivor has is kept, and the site goes on with it alone, in a new epoch
// that waits.
func TestARecoveredNodeGoesOnAlone(t *testing.T) {
	c, name, left := survivor(t)
	epoch, index := left.fsm.epoch(), left.fsm.applied.get()
	c.crash(name)
	b := Beginning{Dir: c.dirs[name], Node: name, Address: left.cfg.Advertise, Cluster: testCluster, Logger: testLog(t, name)}
	var heard Recovery
	begun, err := Recover(limited(t), b, func(r Recovery) error { heard = r; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if heard.Node != name || heard.Epoch != epoch || heard.Index < index || heard.Time == 0 || len(heard.Others) != 2 || heard.Again {
		t.Errorf("heard %+v; want what %s has, and two others", heard, name)
	}
	if begun.Index != heard.Index || begun.Epoch <= epoch {
		t.Errorf("begun %+v", begun)
	}
	s := c.restart(name)
	eventually(t, func() error { return leads(s) })
	s.View(func(st *license.State) {
		h := st.Head()
		if h.Epoch != begun.Epoch || !h.Restored.Recovered || h.Restored.Pending || st.Session(testID(1)) == nil || st.Counts().Users != 3 {
			t.Errorf("head %+v, session %v, %+v", h, st.Session(testID(1)), st.Counts())
		}
	})
	if m := s.Cluster().Members; len(m) != 1 || m[0].Name != name || m[0].Address != left.cfg.Advertise {
		t.Errorf("members %+v, want %s alone at %s", m, name, left.cfg.Advertise)
	}
	out, err := s.Propose(limited(t), start(2, 1, "WS-2"))
	if err != nil || out.Denial == nil || out.Denial.Reason != license.AfterRestore {
		t.Errorf("a capped start after it: %+v, %v", out, err)
	}
	leases, err := s.Renew(limited(t), []license.Renewal{{Session: testID(1), User: userID(0), Machine: license.Machine{ID: "WS-1"}}})
	if err != nil || leases[0].Denial != nil {
		t.Errorf("what ran: %+v, %v; want it renewed", leases, err)
	}
}

// What is in the log and not on disk yet counts, and so does what only this node has.
func TestRecoveringAppliesTheLogsTail(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir, func(c *Config) { c.FlushEvery = time.Hour; c.Cluster = testCluster })
	do(t, s, fill(3))
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	do(t, s, start(1, 0, "WS-1"))
	last := s.raft.LastIndex()
	crash(t, s)
	b := beginning(t, dir)
	begun, err := Recover(limited(t), b, yes)
	if err != nil || begun.Index != last {
		t.Fatalf("%+v, %v; want index %d", begun, err, last)
	}
	s = single(t, dir)
	s.View(func(st *license.State) {
		if st.Session(testID(1)) == nil {
			t.Error("the session of the log's tail is lost")
		}
	})
}

func TestARecoveryThatIsNotAgreedToChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir, func(c *Config) { c.Cluster = testCluster })
	do(t, s, fill(1))
	epoch := s.fsm.epoch()
	closeStore(t, s)
	no := errors.New("rather not")
	path := filepath.Join(dir, identityFile)
	summed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	earlier, err := CheckedJSON(summed) // as an earlier program has written it
	if err != nil {
		t.Fatal(err)
	}
	for what, file := range map[string][]byte{"with a checksum": summed, "without a checksum": earlier} {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Recover(limited(t), beginning(t, dir), func(Recovery) error { return no }); !errors.Is(err, no) {
			t.Errorf("%s: got %v, want %v", what, err, no)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, file) {
			t.Errorf("whose data folder it is, %s: got %q, %v; want %q as before", what, got, err, file)
		}
	}
	s = single(t, dir)
	if got := s.fsm.epoch(); got != epoch {
		t.Errorf("epoch %d, want %d as before", got, epoch)
	}
}

// Whose folder it is counts by its checksum for a recovery that was interrupted, too.
func TestARecoveryDoesNotGoByARottenIdentity(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir, func(c *Config) { c.Cluster = testCluster })
	do(t, s, fill(1))
	closeStore(t, s)
	path := filepath.Join(dir, identityFile)
	id, err := readIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	id.Recovering = true
	if err := id.write(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rotten := bytes.Clone(whole)
	rotten[bytes.Index(rotten, []byte(testCluster))] ^= 1
	if err := os.WriteFile(path, rotten, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Recover(limited(t), beginning(t, dir), yes)
	if err == nil || !strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "if it is alone, restore the latest backup") {
		t.Errorf("got %v, want it to name the damage, and what a node does that is alone", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, rotten) {
		t.Errorf("the file is %q, %v; want it as it was", got, err)
	}
}

// A recovery that was interrupted is not a member of the old cluster any more, and not
// yet of the new: it does not start before it is complete.
func TestAnInterruptedRecoveryIsBegunAgain(t *testing.T) {
	for name, interrupt := range map[string]func(t *testing.T, dir string) error{
		"before the state is written": func(t *testing.T, dir string) error {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := Recover(ctx, beginning(t, dir), func(Recovery) error { cancel(); return nil })
			return err
		},
		"before the folder is released": func(t *testing.T, dir string) error {
			if _, err := Recover(t.Context(), beginning(t, dir), yes); err != nil {
				t.Fatal(err)
			}
			id, err := identify(dir, "n1", "")
			if err != nil {
				t.Fatal(err)
			}
			id.Recovering = true
			return errors.Join(errors.New("cut off"), id.write(filepath.Join(dir, identityFile)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := single(t, dir, func(c *Config) { c.Cluster = testCluster; c.FlushEvery = time.Hour })
			do(t, s, fill(2))
			crash(t, s)
			if err := interrupt(t, dir); err == nil {
				t.Fatal("it was not interrupted")
			}
			_, err := Open(Config{Dir: dir, Node: "n1", Logger: testLog(t, "n1")})
			if err == nil || !strings.Contains(err.Error(), "run sitegate cluster recover again") {
				t.Errorf("starting in between: %v", err)
			}
			var heard Recovery
			if _, err := Recover(limited(t), beginning(t, dir), func(r Recovery) error { heard = r; return nil }); err != nil || !heard.Again {
				t.Fatalf("again: %+v, %v", heard, err)
			}
			s = single(t, dir)
			s.View(func(st *license.State) {
				if st.Counts().Users != 2 || st.Head().Restored.At == 0 {
					t.Errorf("%+v, %+v", st.Counts(), st.Head().Restored)
				}
			})
		})
	}
}

func TestARecoveryIsRefusedWhereItCannotBe(t *testing.T) {
	t.Run("while the node runs", func(t *testing.T) {
		dir := t.TempDir()
		single(t, dir, func(c *Config) { c.Cluster = testCluster })
		if _, err := Recover(limited(t), beginning(t, dir), yes); err == nil || !strings.Contains(err.Error(), "in use by another running node") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without data", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := Recover(limited(t), beginning(t, dir), yes); err == nil || !strings.Contains(err.Error(), "no node's data") {
			t.Errorf("got %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("it left %v, %v", left, err)
		}
	})
	t.Run("with another node's data", func(t *testing.T) {
		dir := t.TempDir()
		closeStore(t, single(t, dir, func(c *Config) { c.Cluster = testCluster }))
		b := beginning(t, dir)
		b.Node = "n2"
		if _, err := Recover(limited(t), b, yes); err == nil || !strings.Contains(err.Error(), `belongs to node "n1"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with a damaged log", func(t *testing.T) {
		dir := t.TempDir()
		s := single(t, dir, func(c *Config) { c.Cluster = testCluster; c.FlushEvery = time.Hour })
		do(t, s, fill(1))
		l := &raft.Log{Index: s.raft.LastIndex() + 1, Term: s.raft.CurrentTerm(), Data: []byte{99}}
		crash(t, s)
		w, err := wal.Open(wal.Options{FS: wal.OS(filepath.Join(dir, "log"))})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.StoreLog(l), w.Close()); err != nil {
			t.Fatal(err)
		}
		asked := false
		_, err = Recover(limited(t), beginning(t, dir), func(Recovery) error { asked = true; return nil })
		if err == nil || asked || !strings.Contains(err.Error(), "install the newer version") {
			t.Errorf("got %v, asked %t", err, asked)
		}
	})
	t.Run("with a clock that is behind", func(t *testing.T) {
		dir := t.TempDir()
		s := single(t, dir, func(c *Config) { c.Cluster = testCluster })
		do(t, s, fill(1))
		closeStore(t, s)
		b := beginning(t, dir)
		b.Clock = func() time.Time { return time.Now().Add(-time.Hour) }
		if _, err := Recover(limited(t), b, yes); !errors.As(err, new(*WrongTime)) {
			t.Errorf("got %v", err)
		}
	})
}
