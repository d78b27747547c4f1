package raftstore

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/raftstore/wal"
)

// slowDisks are folders whose syncs wait while they are held, or each for a while.
type slowDisks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // by folder; closed when it is let go
	each map[string]time.Duration // by folder
}

// slow has each sync of a folder take so much longer from now on.
func (d *slowDisks) slow(dir string, each time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.each == nil {
		d.each = map[string]time.Duration{}
	}
	d.each[dir] = each
}

func (d *slowDisks) hold(t *testing.T, dir string) (letGo func()) {
	gate := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		d.held = map[string]chan struct{}{}
	}
	d.held[dir] = gate
	letGo = sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.held, dir)
		close(gate)
	})
	t.Cleanup(letGo)
	return letGo
}

func (d *slowDisks) wait(dir string) {
	d.mu.Lock()
	gate, each := d.held[dir], d.each[dir]
	d.mu.Unlock()
	time.Sleep(each)
	if gate != nil {
		<-gate
	}
}

func (d *slowDisks) fs(dir string) wal.FS { return slowFS{wal.OS(dir), d, dir} }

type slowFS struct {
	wal.FS
	disks *slowDisks
	dir   string
}

func (f slowFS) Open(name string) (wal.File, error) {
	x, err := f.FS.Open(name)
	return slowFile{x, f}, err
}

func (f slowFS) Create(name string) (wal.File, error) {
	x, err := f.FS.Create(name)
	return slowFile{x, f}, err
}

type slowFile struct {
	wal.File
	fs slowFS
}

func (f slowFile) Sync() error {
	f.fs.disks.wait(f.fs.dir)
	return f.File.Sync()
}

// logDir is where a store's log is.
func logDir(s *Store) string { return s.cfg.Dir + "/log" }

func TestLeaderWithAHangingDiskIsReplaced(t *testing.T) {
	var disks slowDisks
	c := newCluster(t, func(cfg *Config) {
		cfg.logFS = disks.fs
		cfg.Stalls = StallLimits{StepDown: 300 * time.Millisecond, Halt: time.Minute}
	})
	c.do(fill(4))
	old := c.leader()
	letGo := disks.hold(t, logDir(old))
	go old.Propose(context.Background(), start(1, 1, "WS-1")) // what finds the disk hanging
	eventually(t, func() error {
		for _, s := range c.nodes {
			if s != old && leads(s) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s still leads", old.cfg.Node)
	})
	eventually(t, func() error { // though its raft waits for the disk, and does not know
		if leads(old) == nil {
			return fmt.Errorf("%s says that it leads", old.cfg.Node)
		}
		return nil
	})
	c.do(start(2, 2, "WS-2"))
	if err := old.Err(); err != nil {
		t.Errorf("the node with the hanging disk stopped too soon: %v", err)
	}
	letGo()
	c.alike()
}

func TestNodeWithADeadDiskStops(t *testing.T) {
	for name, hold := range map[string]func(t *testing.T, s *Store, disks *slowDisks) (letGo func()){
		"the log": func(t *testing.T, s *Store, disks *slowDisks) func() { return disks.hold(t, logDir(s)) },
		"the state": func(_ *testing.T, s *Store, _ *slowDisks) func() {
			s.disk.mu.Lock()
			return s.disk.mu.Unlock
		},
	} {
		t.Run(name, func(t *testing.T) {
			var disks slowDisks
			dir, err := os.MkdirTemp("", "dead-disk-")
			if err != nil {
				t.Fatal(err)
			}
			// What was given up while the disk hung may still write for a moment.
			t.Cleanup(func() { eventually(t, func() error { return os.RemoveAll(dir) }) })
			s, err := Open(Config{Dir: dir, Node: "n1", Logger: testLog(t, "n1"), logFS: disks.fs, segment: 1 << 20,
				Stalls: StallLimits{StepDown: time.Second, Halt: 4 * time.Second}}) // longer than a busy machine's write
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error { return leads(s) })
			do(t, s, fill(2))
			letGo := hold(t, s, &disks)
			go s.Propose(context.Background(), start(1, 1, "WS-1"))
			receive(t, s.Done())
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), "the disk has not taken "+name) {
				t.Errorf("got %v, want one that says that the disk has not taken %s", err, name)
			}
			if _, ok := s.Leading(); ok {
				t.Error("it leads")
			}
			closed := make(chan error, 1)
			go func() { closed <- s.Close(limited(t)) }()
			if err := receive(t, closed); err == nil {
				t.Error("closing while the disk hangs: got no error, want one")
			}
			letGo()
			s.groups.wait.Wait() // so that nothing is left behind
			eventually(t, func() error {
				if s.stalls.stuck() {
					return fmt.Errorf("a write is still under way")
				}
				return nil
			})
		})
	}
}

func TestPausedProcessHasNoSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		w := newStalls(StallLimits{StepDown: 2 * time.Second, Halt: 10 * time.Second}, testLog(t, "n1"), func() time.Duration { return time.Duration(now.Load()) })
		var slow, stopped []time.Duration
		w.slow = func(_ string, d time.Duration) { slow = append(slow, d) }
		w.stop = func(_ string, d time.Duration) { stopped = append(stopped, d) }
		done := make(chan struct{})
		go w.watch(done)
		run := func(d time.Duration) {
			for range d / (10 * time.Millisecond) {
				now.Add(int64(10 * time.Millisecond))
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
			}
		}
		end := w.begin("the log")
		run(time.Second)
		now.Add(int64(time.Hour)) // SIGSTOP
		run(900 * time.Millisecond)
		if len(slow) != 0 {
			t.Errorf("a write of 1.9 s, and a pause of an hour: told %v, want nothing", slow)
		}
		run(500 * time.Millisecond)
		if len(slow) != 1 || len(stopped) != 0 {
			t.Errorf("a write of 2.4 s: slow %v, stopped %v; want one slow", slow, stopped)
		}
		run(9 * time.Second)
		if len(slow) != 1 || len(stopped) != 1 || !w.stuck() {
			t.Errorf("a write of 11.4 s: slow %v, stopped %v; want one of each", slow, stopped)
		}
		end()
		if w.stuck() {
			t.Error("a write that has ended is still under way")
		}
		close(done)
	})
}
