// Package crashfs is a disk in memory that loses its power: what was not synced is
// then there, or not, or in parts, in any order. It is the disk on which package
// wal is tested.
//
// A write is kept sector by sector, the writes to one sector in their order; a
// file's name is kept apart from its content; Sync and SyncDir are what makes
// either stay. Stop ends everything at one operation, so that a test can go through
// all of them.
//
// It is for tests, and is used by one goroutine at a time.
package crashfs

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"

	"sitegate/raftstore/wal"
)

// Sector is what the disk writes as a whole or not at all.
const Sector = 512

// ErrStopped is what every operation returns from the one on that Stop named.
var ErrStopped = errors.New("the machine has lost its power")

// FS is a folder on such a disk. The zero value is an empty one.
type FS struct {
	names   map[string]*content // as the running system sees them
	durable map[string]*content // as they are on disk
	pending []func(map[string]*content)

	ops     int
	stop    int // 0: never
	stopped bool
	used    int64
	room    int64 // 0: endless
	lies    bool
}

// content is what is in a file.
type content struct {
	data, disk []byte // as the running system sees it, as it was synced
	writes     []write
}

type write struct {
	at int64
	b  []byte
}

var _ wal.FS = (*FS)(nil)

// Stop makes the n-th operation from now on that changes something, and all after
// it, fail. A write that fails so may still get to the disk.
func (f *FS) Stop(n int) { f.stop, f.ops = n, 0 }

// Stopped reports whether the power was lost.
func (f *FS) Stopped() bool { return f.stopped }

// Ops is how many operations have changed something since Stop.
func (f *FS) Ops() int { return f.ops }

// Limit makes the disk have room for so many bytes; 0 is endless.
func (f *FS) Limit(room int64) { f.room = room }

// Lie makes Sync and SyncDir do nothing, as a disk does that has a cache and no
// capacitor.
func (f *FS) Lie() { f.lies = true }

// Flip inverts a bit of what is on disk, and reports whether there is such a byte.
func (f *FS) Flip(name string, at int, bit byte) bool {
	c := f.durable[name]
	if c == nil || at >= len(c.disk) {
		return false
	}
	c.disk[at] ^= bit
	c.data = slices.Clone(c.disk)
	return true
}

// Fate says what becomes of what was not synced.
type Fate int

// The fates.
const (
	Lost    Fate = iota // nothing of it is there
	Kept                // all of it is there: the process was killed, the machine was not
	Sectors             // any sectors, and any changes of names
	Bytes               // the same, and one of each file's sectors in part
)

// Crash is the disk as it may be after the power was lost, by chance.
func (f *FS) Crash(fate Fate, r *rand.Rand) *FS {
	names := maps.Clone(f.durable)
	if names == nil {
		names = map[string]*content{}
	}
	for _, change := range f.pending {
		if fate == Kept || fate >= Sectors && r.IntN(2) == 0 {
			change(names)
		}
	}
	after := &FS{names: map[string]*content{}, durable: map[string]*content{}}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b := names[name].crash(fate, r)
		c := &content{data: b, disk: slices.Clone(b)}
		after.names[name], after.durable[name] = c, c
		after.used += int64(len(b))
	}
	return after
}

// crash is what is left of a file.
func (c *content) crash(fate Fate, r *rand.Rand) []byte {
	if fate == Kept {
		return slices.Clone(c.data)
	}
	b := slices.Clone(c.disk)
	if fate == Lost {
		return b
	}
	pieces := map[int64][]write{}
	for _, w := range c.writes {
		for len(w.b) > 0 {
			n := min(int64(len(w.b)), Sector-w.at%Sector)
			pieces[w.at/Sector] = append(pieces[w.at/Sector], write{w.at, w.b[:n]})
			w = write{w.at + n, w.b[n:]}
		}
	}
	sectors := slices.Sorted(maps.Keys(pieces))
	torn := int64(-1)
	if fate == Bytes && len(sectors) > 0 {
		torn = sectors[r.IntN(len(sectors))]
	}
	for _, s := range sectors {
		keep := r.IntN(len(pieces[s]) + 1)
		for i, w := range pieces[s][:keep] {
			if s == torn && i == keep-1 {
				w.b = w.b[:r.IntN(len(w.b))]
			}
			b = put(b, w)
		}
	}
	return b
}

func put(b []byte, w write) []byte {
	if need := int(w.at) + len(w.b) - len(b); need > 0 {
		b = append(b, make([]byte, need)...)
	}
	copy(b[w.at:], w.b)
	return b
}

// step counts a change that takes more bytes of the room. It reports whether the
// change is to be made, and what the operation returns.
func (f *FS) step(more int64) (do bool, err error) {
	if f.names == nil {
		f.names, f.durable = map[string]*content{}, map[string]*content{}
	}
	if f.stopped {
		return false, ErrStopped
	}
	if more > 0 && f.room > 0 && f.used+more > f.room {
		return false, &os.PathError{Op: "write", Path: "crashfs", Err: syscall.ENOSPC}
	}
	f.used += more
	if f.ops++; f.ops == f.stop {
		f.stopped = true
		return true, ErrStopped
	}
	return true, nil
}

// rename changes names now, and on disk some time later.
func (f *FS) rename(change func(map[string]*content)) {
	change(f.names)
	f.pending = append(f.pending, change)
}

// Create makes an empty file.
func (f *FS) Create(name string) (wal.File, error) {
	do, err := f.step(0)
	c := &content{}
	if do {
		if old := f.names[name]; old != nil {
			f.used -= int64(len(old.data))
		}
		f.rename(func(names map[string]*content) { names[name] = c })
	}
	if err != nil {
		return nil, err
	}
	return &file{f, c}, nil
}

// Open opens a file.
func (f *FS) Open(name string) (wal.File, error) {
	c := f.names[name]
	switch {
	case f.stopped:
		return nil, ErrStopped
	case c == nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return &file{f, c}, nil
}

// Rename changes a name.
func (f *FS) Rename(from, to string) error {
	if f.names[from] == nil {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	do, err := f.step(0)
	if do {
		f.rename(func(names map[string]*content) {
			if c := names[from]; c != nil {
				names[to] = c
				delete(names, from)
			}
		})
	}
	return err
}

// Remove takes a name away.
func (f *FS) Remove(name string) error {
	old := f.names[name]
	if old == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	do, err := f.step(0)
	if do {
		f.used -= int64(len(old.data))
		f.rename(func(names map[string]*content) { delete(names, name) })
	}
	return err
}

// List names all files.
func (f *FS) List() ([]string, error) {
	if f.stopped {
		return nil, ErrStopped
	}
	return slices.Sorted(maps.Keys(f.names)), nil
}

// SyncDir makes the names stay.
func (f *FS) SyncDir() error {
	if _, err := f.step(0); err != nil || f.lies {
		return err
	}
	for _, change := range f.pending {
		change(f.durable)
	}
	f.pending = nil
	return nil
}

type file struct {
	fs *FS
	*content
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	do, err := f.fs.step(max(0, at+int64(len(b))-int64(len(f.data))))
	if do {
		w := write{at, slices.Clone(b)}
		f.writes = append(f.writes, w)
		f.data = put(f.data, w)
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	if f.fs.stopped {
		return 0, ErrStopped
	}
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Sync() error {
	if _, err := f.fs.step(0); err != nil || f.fs.lies {
		return err
	}
	f.disk, f.writes = slices.Clone(f.data), nil
	return nil
}

func (f *file) Size() (int64, error) {
	if f.fs.stopped {
		return 0, ErrStopped
	}
	return int64(len(f.data)), nil
}

func (f *file) Close() error { return nil }
