package raftstore

import (
	"bytes"
	"sync"

	"sitegate/license"
	"sitegate/raftstore/wal"
)

// bug is a mistake that a program built with the tag "faults" makes when it is
// told to: the checks that look for such mistakes are shown to find them.
type bug string

const (
	// bugStaleLeader: a leader believes for another two seconds that it leads, and
	// answers by its own state what a majority did not take from it.
	bugStaleLeader bug = "stale-leader"
	// bugLostSync: what was appended to the log is not synced; a process that is
	// killed loses it as a power cut would.
	bugLostSync bug = "lost-sync"
	// bugAnyGeneration: an expiry ends a session whatever came of it since it was
	// found to have run out.
	bugAnyGeneration bug = "any-generation"
	// bugAppliedTwice: a node that starts applies the last entries of its state again.
	bugAppliedTwice bug = "applied-twice"
)

// guess is bugStaleLeader.
func (s *Store) guess(c license.Command) license.Outcome {
	s.fsm.mu.RLock()
	state := s.fsm.state.Clone()
	s.fsm.mu.RUnlock()
	out, _ := license.Apply(state, license.Entry{At: s.clock.now(), Command: c})
	return out
}

// anyGeneration is bugAnyGeneration.
func (f *fsm) anyGeneration(c license.Command) license.Command {
	if e, ok := c.(license.Expire); ok {
		if x := f.state.Session(e.ID); x != nil {
			e.Generation = x.Generation
			return e
		}
	}
	return c
}

// unsynced is bugLostSync, of a node that was started with it: a folder whose files
// keep in this process's memory what is written over what they hold.
type unsynced struct{ wal.FS }

func (u unsynced) Open(name string) (wal.File, error) {
	f, err := u.FS.Open(name)
	return &unsyncedFile{File: f}, err
}

func (u unsynced) Create(name string) (wal.File, error) {
	f, err := u.FS.Create(name)
	return &unsyncedFile{File: f}, err
}

type unsyncedFile struct {
	wal.File
	mu     sync.Mutex
	writes []unsyncedWrite
}

type unsyncedWrite struct {
	at int64
	b  []byte
}

func (f *unsyncedFile) WriteAt(b []byte, at int64) (int, error) {
	if size, err := f.Size(); err != nil || at+int64(len(b)) > size || !planted(bugLostSync) {
		return f.File.WriteAt(b, at) // files are made as ever
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, unsyncedWrite{at, bytes.Clone(b)})
	return len(b), nil
}

func (f *unsyncedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.writes {
		from, to := max(at, w.at), min(at+int64(n), w.at+int64(len(w.b)))
		if from < to {
			copy(b[from-at:to-at], w.b[from-w.at:])
		}
	}
	return n, err
}
