package raftstore

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// space watches how much room the data folder has, and keeps a ballast: a file that
// is given up when there is little, so that the node can go on writing while nothing
// new is granted. A disk must never be full to the last block: the state is mapped
// into memory, and a write to it then ends the process.
type space struct {
	dir     string
	want    int64 // of the ballast, in bytes
	stat    func(dir string) (free, total uint64, err error)
	log     *slog.Logger
	metrics *metrics
	full    atomic.Bool // nothing more may be written

	mu    sync.Mutex
	at    DiskSpace
	blind bool // the last look failed
}

// DiskSpace is the room in a node's data folder.
type DiskSpace struct {
	Free, Total uint64 // bytes; both zero where the system does not tell
	State       DiskState
	Ballast     uint64 // bytes that are given up when there is little room
}

// DiskState is how a node's disk is doing.
type DiskState uint8

// The states of a disk.
const (
	DiskOK   DiskState = 0 // or not known
	DiskWarn DiskState = 1 // less than a tenth is free
	// DiskLow: less than a twentieth is free, or than 512 MiB where that is less. A
	// node whose disk is low grants nothing new.
	DiskLow DiskState = 2
)

// String is the word for it: ok, warn or low.
func (d DiskState) String() string { return [...]string{"ok", "warn", "low"}[min(d, 2)] }

// marks are where a disk of a size changes its state, in free bytes. Below dead the
// node stops, while there is room still for what the database may be about to write by
// itself.
func marks(total uint64) (warn, low, dead uint64) {
	return total / 10, min(total/20, 512<<20), min(total/50, 128<<20)
}

// look measures, gives the ballast up or makes it anew, and reports whether the
// state has changed. An error says that the disk is so full that the node has to
// stop.
func (s *space) look() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, total, err := s.stat(s.dir)
	if err != nil {
		if !s.blind {
			s.log.Warn("how much room the disk has cannot be told", "dir", s.dir, "err", err)
		}
		s.blind = true
		return false, nil
	}
	s.blind = false
	if total == 0 {
		return false, nil
	}
	_, low, dead := marks(total)
	state := s.next(free, total)
	switch {
	case state == DiskLow && s.at.Ballast > 0:
		if err := dropBallast(s.dir); err != nil {
			s.log.Error("the ballast could not be given up", "err", err)
			break
		}
		s.log.Warn("the ballast was given up, since the disk is low", "bytes", s.at.Ballast)
		s.at.Ballast = 0
		if measured, _, err := s.stat(s.dir); err == nil {
			free = measured
		}
	case state != DiskLow && s.at.Ballast == 0 && s.want > 0 && free > uint64(s.want)+low+low/8:
		if err := makeBallast(s.dir, s.want); err != nil {
			s.log.Warn("the ballast could not be made", "bytes", s.want, "err", err)
			break
		}
		s.at.Ballast = uint64(s.want)
		free -= s.at.Ballast
	}
	changed = s.settle(state, free, total)
	return changed, s.enough(free, dead)
}

// enough fails where the disk is full.
func (s *space) enough(free, dead uint64) error {
	if free >= dead {
		return nil
	}
	s.full.Store(true)
	return fmt.Errorf("the disk of %s is full, %d MB are free: make room, then start this node again", s.dir, free>>20)
}

// room fails where the disk is full. It is asked right before the state is written:
// a write to what is mapped into memory, and has no room on the disk, ends the
// process there and then. The ballast is given up for it.
func (s *space) room() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, total, err := s.stat(s.dir)
	if err != nil || total == 0 {
		return nil // not known
	}
	_, _, dead := marks(total)
	if free < dead && s.at.Ballast > 0 {
		if err := dropBallast(s.dir); err != nil {
			return fmt.Errorf("the ballast could not be given up: %w", err)
		}
		s.log.Warn("the ballast was given up, since the disk is full", "bytes", s.at.Ballast)
		s.at.Ballast = 0
		if free, _, err = s.stat(s.dir); err != nil {
			return nil
		}
	}
	return s.enough(free, dead)
}

// next is the state that follows on the current one. A disk that was low stays so
// until there is room for the ballast, and a little more.
func (s *space) next(free, total uint64) DiskState {
	warn, low, _ := marks(total)
	leave := low
	if s.at.State == DiskLow {
		leave += low / 8
		if s.at.Ballast == 0 {
			leave += uint64(s.want)
		}
	}
	switch {
	case free < leave:
		return DiskLow
	case free < warn:
		return DiskWarn
	}
	return DiskOK
}

// settle notes what was found, and reports whether the state has changed.
func (s *space) settle(state DiskState, free, total uint64) (changed bool) {
	changed = state != s.at.State
	s.at.State, s.at.Free, s.at.Total = state, free, total
	s.metrics.diskFree.Set(float64(free))
	s.metrics.diskSize.Set(float64(total))
	s.metrics.diskState.Set(float64(state))
	if !changed {
		return false
	}
	switch state {
	case DiskLow:
		s.log.Error("the disk is nearly full: nothing new is granted by this node until there is room", "dir", s.dir, "free_bytes", free, "size_bytes", total)
	case DiskWarn:
		s.log.Warn("the disk is filling up", "dir", s.dir, "free_bytes", free, "size_bytes", total)
	default:
		s.log.Info("the disk has room again", "dir", s.dir, "free_bytes", free, "size_bytes", total)
	}
	return true
}

func (s *space) get() DiskSpace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// Disk is the room in this node's data folder, as it was a few seconds ago.
func (s *Store) Disk() DiskSpace { return s.space.get() }

// watchSpace looks at the disk until the store closes. A leader whose disk becomes
// low hands over to a node whose disk is not.
func (s *Store) watchSpace() {
	tick := time.NewTicker(s.cfg.SpaceEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		changed, err := s.space.look()
		if err != nil {
			s.halt(err)
			return
		}
		if changed && s.Disk().State == DiskLow {
			s.leaveLow()
		}
	}
}

// leaveLow hands the leadership to a voter whose disk is not low and that is not drained,
// if there is one.
func (s *Store) leaveLow() {
	if _, ok := s.Leading(); !ok {
		return
	}
	heirs, err := s.successors(s.ctx)
	if err != nil || heirs[0].behind() > 0 {
		return
	}
	if err := s.StepDown(s.ctx); err != nil {
		s.log.Warn("the leadership could not be handed over", "err", err)
	}
}

// Room is what this user may still take of the file system of a folder, and its size, in
// bytes; both are zero where the system does not tell.
func Room(dir string) (free, total uint64, err error) { return diskSpace(dir) }
