package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// pretended is a disk of a size whose free room a test sets. What the ballast takes
// is taken of it.
type pretended struct {
	mu    sync.Mutex
	total uint64
	free  map[string]uint64 // by folder
	err   error
}

func (p *pretended) set(dir string, free uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == nil {
		p.free = map[string]uint64{}
	}
	p.free[dir] = free
}

func (p *pretended) stat(dir string) (free, total uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	free, ok := p.free[dir]
	if !ok {
		free = p.total / 2
	}
	return free - min(free, ballastSize(dir)), p.total, p.err
}

func TestDiskStates(t *testing.T) {
	const gb = 1 << 30
	for name, c := range map[string]struct {
		total, free uint64
		want        DiskState
	}{
		"a large disk, 9 %":        {1000 * gb, 90 * gb, DiskWarn},
		"a large disk, 11 %":       {1000 * gb, 110 * gb, DiskOK},
		"a large disk, 513 MB":     {1000 * gb, 513 << 20, DiskWarn},
		"a large disk, 511 MB":     {1000 * gb, 511 << 20, DiskLow},
		"a small disk, 6 %":        {4 * gb, 4 * gb * 6 / 100, DiskWarn},
		"a small disk, 4 %":        {4 * gb, 4 * gb * 4 / 100, DiskLow},
		"a system that tells zero": {0, 0, DiskOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := &space{dir: t.TempDir(), stat: func(string) (uint64, uint64, error) { return c.free, c.total, nil }, log: testLog(t, "n1"),
				metrics: newMetrics(nothing, nothing)}
			if _, err := s.look(); err != nil || s.get().State != c.want {
				t.Errorf("got %v, %v; want %v", s.get().State, err, c.want)
			}
		})
	}
}

func TestBallastIsGivenUpAndMadeAnew(t *testing.T) {
	dir := t.TempDir()
	disk := &pretended{total: 1 << 30} // low below 51.2 MB
	s := &space{dir: dir, want: 8 << 20, stat: disk.stat, log: testLog(t, "n1"), metrics: newMetrics(nothing, nothing)}
	for i, c := range []struct {
		free    uint64 // with the ballast
		want    DiskState
		ballast bool
	}{
		{500 << 20, DiskOK, true},
		{90 << 20, DiskWarn, true},
		{60 << 20, DiskWarn, true},
		{59 << 20, DiskLow, false}, // 51 of them without the ballast
		{60 << 20, DiskLow, false}, // it would be low again with a ballast
		{65 << 20, DiskLow, false},
		{70 << 20, DiskWarn, true},
		{200 << 20, DiskOK, true},
		{40 << 20, DiskLow, false},
	} {
		disk.set(dir, c.free)
		if _, err := s.look(); err != nil {
			t.Fatalf("%d: %d MB free: %v", i, c.free>>20, err)
		}
		got, _ := os.Stat(filepath.Join(dir, ballastFile))
		if s.get().State != c.want || (got != nil) != c.ballast || (s.get().Ballast > 0) != c.ballast {
			t.Errorf("%d: %d MB free: got %+v, ballast on disk %t; want %v, %t", i, c.free>>20, s.get(), got != nil, c.want, c.ballast)
		}
		if got != nil && got.Size() != 8<<20 {
			t.Errorf("%d: the ballast has %d bytes, want %d", i, got.Size(), 8<<20)
		}
	}
	disk.set(dir, 9<<20)
	if _, err := s.look(); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("9 MB of 1 GB: got %v, want an error that says what to do", err)
	}
	disk.err = errors.New("no such system call")
	if changed, err := s.look(); changed || err != nil || s.get().State != DiskLow {
		t.Errorf("where the disk cannot be asked: got %t, %v, %v; want what was known", changed, err, s.get().State)
	}
}

func TestRealDiskTells(t *testing.T) {
	free, total, err := diskSpace(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Errorf("got %d free of %d, %v", free, total, err)
	}
}

// Each node knows how much room the others have.
func TestTheRosterTellsOfDisks(t *testing.T) {
	disk := &pretended{total: 1 << 30}
	c := newCluster(t, func(cfg *Config) {
		cfg.statfs, cfg.SpaceEvery = disk.stat, 10*time.Millisecond
	})
	disk.set(c.dirs["n2"], 30<<20)
	for name, s := range c.nodes {
		eventually(t, func() error {
			for _, x := range s.Roster() {
				want := DiskOK
				if x.Name == "n2" {
					want = DiskLow
				}
				if x.Disk.State != want || x.Disk.Total != 1<<30 || (x.Disk.Free == 30<<20) != (x.Name == "n2") {
					return fmt.Errorf("%s knows %+v of %s", name, x.Disk, x.Name)
				}
			}
			return nil
		})
	}
}

func TestLowLeaderHandsOverToANodeWithRoom(t *testing.T) {
	disk := &pretended{total: 1 << 30}
	c := newCluster(t, func(cfg *Config) {
		cfg.statfs, cfg.SpaceEvery, cfg.Ballast = disk.stat, 10*time.Millisecond, 1<<20
	})
	c.do(fill(2))
	first := c.leader()
	for name, s := range c.nodes { // one of the others is low, too
		if s != first {
			disk.set(c.dirs[name], 30<<20)
			eventually(t, func() error {
				if got := s.Disk().State; got != DiskLow {
					return errors.New(got.String())
				}
				return nil
			})
			break
		}
	}
	disk.set(first.cfg.Dir, 30<<20)
	eventually(t, func() error {
		for _, s := range c.nodes {
			if leads(s) == nil && s.Disk().State == DiskOK {
				return nil
			}
		}
		return errors.New("no node with room leads")
	})
	c.do(start(1, 1, "WS-1"))
}

func TestNodeStopsBeforeTheDiskIsFull(t *testing.T) {
	disk := &pretended{total: 1 << 30}
	dir := t.TempDir()
	full := func(c *Config) { c.statfs, c.SpaceEvery = disk.stat, 10*time.Millisecond }
	s := single(t, dir, full)
	do(t, s, fill(2))
	disk.set(dir, 1<<20)
	receive(t, s.Done())
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
	closeStore(t, s)
	if err := s.disk.close(); err != nil { // as the end of the process does: nothing is written to a full disk
		t.Error(err)
	}
	if again, err := Open(Config{Dir: dir, Node: "n1", Logger: testLog(t, "n1"), statfs: disk.stat}); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("opened on a full disk: got %v, %v", again, err)
	}
	disk.set(dir, 1<<29)
	s = single(t, dir, full)
	if got := s.Disk().State; got != DiskOK {
		t.Errorf("with room again: got %v", got)
	}
}
