package raftstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// What was deleted is not gone from the disk by that: the log's segments are filled before
// they are used again, and Badger has deleted values until it merges the tables that they
// are in. On a site where little happens that could take months, so each node sees to it
// once a day: once there are entries of the log that are older than two days all that are
// older than one go, with the segments that hold nothing else; and the tables are merged
// after events were deleted. Where much happens that is done sooner: Badger by itself would
// let the tables grow far beyond what is in them.

const (
	tidyEvery = time.Hour      // how often that is looked at
	tidyAge   = 24 * time.Hour // what is a day
	// mergeShare: once more than one in so many of the events that are kept were deleted, the
	// tables are merged.
	mergeShare = 8
)

func (s *Store) tidying() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var last merges
	for {
		many := false
		select {
		case <-tick.C:
			if err := s.tidyLog(); err != nil {
				s.log.Warn("the log could not be cut to the entries of a day", "err", err)
			}
		case <-s.disk.many:
			many = true
		case <-s.ctx.Done():
			return
		}
		now := s.cfg.mono()
		if !last.due(now, many) {
			continue
		}
		switch done, err := s.mergeTables(); {
		case err != nil:
			last.failed = now
			s.log.Warn("what was deleted may be on disk for longer: its tables could not be merged; this is tried again within the hour", "err", err)
		case done:
			last = merges{done: now}
		}
	}
}

// merges are when tables were merged last, and when that failed since; zero: it has not.
type merges struct{ done, failed time.Duration }

// due reports whether to merge them: once a day, and where many events were deleted at once,
// which is said with each write from then on. What has failed is not tried with each of them.
func (m merges) due(now time.Duration, many bool) bool {
	if many {
		return m.failed == 0 || now-m.failed >= tidyEvery
	}
	return m.done == 0 || now-m.done >= tidyAge-tidyEvery/2 // a tick may be a little early
}

// tidyLog has raft cut the log before the entries of the last day, if it goes back for two.
// A follower that is further behind gets the state instead. It goes by the site's time: a
// clock of this node that is off does not empty its log.
func (s *Store) tidyLog() error { return s.tidyLogAt(s.Now().Std()) }

func (s *Store) tidyLogAt(now time.Time) error {
	leave, some, err := s.wal.aged(now)
	if err == nil && some {
		err = s.wal.Turn()
	}
	if err == nil && some {
		err = s.cutLog(leave)
	}
	if err == nil {
		err = s.wal.Wipe() // what was cut now, and what raft has cut by itself
	}
	return err
}

// cutLog has raft leave so many entries in the log.
func (s *Store) cutLog(leave uint64) error {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	conf := s.raft.ReloadableConfig()
	before := conf.TrailingLogs
	if leave >= before {
		return nil // raft is to cut it soon by itself
	}
	conf.TrailingLogs = leave
	if err := s.raft.ReloadConfig(conf); err != nil {
		return err
	}
	err := s.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		err = nil
	}
	conf.TrailingLogs = before
	return errors.Join(err, s.raft.ReloadConfig(conf))
}

// aged tells how many entries to leave in the log, and whether there are some to cut: not where
// all that came since the last of a day ago is young. A follower that was away for a moment, and
// has none of it yet, asks for what comes after that last one, which has to be there for it.
func (l *logStore) aged(now time.Time) (leave uint64, some bool, err error) {
	first, _, err := l.olderThan(now.Add(-2 * tidyAge))
	if err != nil || first == 0 {
		return 0, false, err
	}
	old, last, err := l.olderThan(now.Add(-tidyAge))
	if err != nil || old == 0 {
		return 0, false, err
	}
	settled, _, err := l.olderThan(now.Add(-tidyEvery / 2))
	return last - old, old == last || settled > old, err
}

// olderThan is the last entry that was appended before a time, by the clock of the node
// that led then, zero where there is none; and the last of all.
func (l *logStore) olderThan(at time.Time) (old, last uint64, err error) {
	first, err := l.FirstIndex()
	if err != nil || first == 0 {
		return 0, 0, err
	}
	if last, err = l.LastIndex(); err != nil {
		return 0, 0, err
	}
	for from, to := first, last; from <= to; { // up to old they are older
		middle := from + (to-from)/2
		var entry raft.Log
		switch err := l.GetLog(middle, &entry); {
		case errors.Is(err, raft.ErrLogNotFound): // cut meanwhile
			from = middle + 1
			continue
		case err != nil:
			return 0, 0, err
		}
		if entry.AppendedAt.Before(at) {
			old, from = middle, middle+1
		} else {
			to = middle - 1
		}
	}
	return old, last, nil
}

// mergeTables merges the database's tables if events were deleted since that was done last.
// It fails where the disk may not have the room that this takes for a while.
func (s *Store) mergeTables() (done bool, err error) {
	if s.ctx.Err() != nil {
		return false, nil
	}
	return s.disk.merge(s.roomBeside)
}

// roomBeside fails where so many bytes more, written for a while, would leave the disk low.
func (s *Store) roomBeside(bytes uint64) error {
	at := s.Disk()
	_, low, _ := marks(at.Total)
	if at.Total > 0 && (at.State == DiskLow || at.Free < low+bytes) {
		return fmt.Errorf("it may take %d MB more for a while, and of the disk %d MB are free, of which %d are to stay so", bytes>>20, at.Free>>20, low>>20)
	}
	return s.space.room()
}

// merge merges Badger's tables if events were deleted since that was done last, or may have
// been before the start: what was deleted is not in them then. What is not in a table yet,
// at most a memtable of 64 MiB, is left as it is until that is full, or the store is opened
// anew. beside fails where the disk has no room for so many bytes beside what is there: each
// table is there until what was merged of it is written.
func (d *disk) merge(beside func(bytes uint64) error) (done bool, err error) {
	d.merging.Lock() // it may take long, and cannot be ended: only who closes the store waits
	defer d.merging.Unlock()
	d.leaving(true) // before db is looked up, so that nobody closes it
	defer d.leaving(false)
	d.mu.RLock()
	db := d.db
	d.mu.RUnlock()
	cut := d.cut.Load()
	if db == nil || cut == 0 || d.viewers.Load() > 0 { // who begins to read now sees nothing that was deleted before
		return false, nil
	}
	var bytes uint64
	for _, level := range db.Levels() {
		bytes += uint64(level.Size)
	}
	if err := beside(bytes); err != nil {
		return false, err
	}
	if err := db.Flatten(1); err != nil {
		return false, err
	}
	d.cut.Add(-cut) // what was deleted meanwhile may be in it still
	return true, nil
}
