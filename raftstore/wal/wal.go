package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hashicorp/raft"
)

// Options are what a log is made of. FS is needed.
type Options struct {
	// FS is the folder; nobody else may write there.
	FS FS
	// SegmentSize is what a new segment takes on disk: 4 KiB to 32 MiB in sectors of
	// 512 bytes, default 8 MiB. Segments of other sizes are read.
	SegmentSize int64
	// Logger hears what Open has cut off or cleared away: default nobody.
	Logger *slog.Logger
}

const (
	defaultSegment = 8 << 20
	smallest       = 4 << 10
	biggest        = 32 << 20
	// reserve is kept free at the end of a segment for frames that cut the log, so
	// that on a full disk room can still be made.
	reserve = 2 * sector
	// keepFree is how many free segments are kept to be used again.
	keepFree = 4
)

// WAL is an open log.
type WAL struct {
	fs     FS
	size   int64 // of new segments
	log    *slog.Logger
	stable *stable
	broken *failure

	// write is held by who appends or cuts. It guards buf, and the fields below that
	// are only changed by its holder.
	write sync.Mutex
	buf   []byte

	// making is held by who makes the next segment ready.
	making sync.Mutex
	number int // of the segment file made last

	// mu guards what follows.
	mu       sync.RWMutex
	index    index
	segments []*segment // oldest first; the last takes what is appended
	free     []*segment // not part of the log any more, not wiped
	spare    *segment   // zeros: the next
	closed   bool

	wanted chan struct{}
}

var (
	_ raft.LogStore          = (*WAL)(nil)
	_ raft.MonotonicLogStore = (*WAL)(nil)
	_ raft.StableStore       = (*WAL)(nil)
)

var errClosed = errors.New("the log is closed")

// IsMonotonic tells raft that entries have no gaps.
func (w *WAL) IsMonotonic() bool { return true }

// FirstIndex is the index of the first entry, 0 where there is none.
func (w *WAL) FirstIndex() (uint64, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.index.empty() {
		return 0, nil
	}
	return w.index.first, nil
}

// LastIndex is the index of the last entry, 0 where there is none.
func (w *WAL) LastIndex() (uint64, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.index.empty() {
		return 0, nil
	}
	return w.index.last, nil
}

// GetLog reads an entry: raft.ErrLogNotFound where there is none, ErrDamaged where
// it cannot be read back as it was written.
func (w *WAL) GetLog(i uint64, l *raft.Log) error {
	w.mu.RLock()
	p, ok := w.index.find(i)
	closed := w.closed
	if ok && !closed {
		p.segment.use.RLock() // before mu is let go: it may not be wiped meanwhile
	}
	w.mu.RUnlock()
	switch {
	case closed:
		return errClosed
	case !ok:
		return raft.ErrLogNotFound
	}
	defer p.segment.use.RUnlock()
	b := make([]byte, p.length)
	if _, err := p.segment.file.ReadAt(b, int64(p.at)); err != nil {
		return damaged("reading entry %d in %s: %w", i, p.segment.name, err)
	}
	if err := parseRecord(b, p.segment.salt, l); err != nil {
		return damaged("entry %d in %s: %w", i, p.segment.name, err)
	}
	if l.Index != i {
		return damaged("entry %d in %s is in the place of %d", l.Index, p.segment.name, i)
	}
	return nil
}

// StoreLog appends one entry.
func (w *WAL) StoreLog(l *raft.Log) error { return w.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries that follow on the last one, or any to an empty log.
// They are on disk when it returns; where it fails, none of them is in the log.
// After a crash meanwhile there are all or none of them, or, of more than half a
// segment, the first ones.
func (w *WAL) StoreLogs(logs []*raft.Log) error {
	w.write.Lock()
	defer w.write.Unlock()
	if len(logs) == 0 {
		return nil
	}
	before := w.index.span
	if !before.empty() && logs[0].Index != before.last+1 {
		return fmt.Errorf("%w: %d follows on %d", ErrGap, logs[0].Index, before.last)
	}
	for i, l := range logs {
		if l.Index != logs[0].Index+uint64(i) {
			return fmt.Errorf("%w: entry %d follows on %d", ErrGap, l.Index, logs[i-1].Index)
		}
		if err := storable(l, w.size/2); err != nil {
			return err
		}
	}
	for stored := 0; stored < len(logs); {
		n := fitting(logs[stored:], w.size/2)
		if err := w.appendLogs(logs[stored : stored+n]); err != nil {
			if stored > 0 && errors.Is(err, ErrFull) { // take back what had room
				err = errors.Join(err, w.cutTo(span{w.index.first, logs[0].Index - 1}))
			}
			return err
		}
		stored += n
	}
	return nil
}

// fitting is how many of the entries fit into limit bytes, at least one.
func fitting(logs []*raft.Log, limit int64) int {
	size := int64(0)
	for i, l := range logs {
		if size += recordSize(l); size > limit && i > 0 {
			return i
		}
	}
	return len(logs)
}

// appendLogs appends entries as one frame.
func (w *WAL) appendLogs(logs []*raft.Log) error {
	size := int64(frameHead)
	for _, l := range logs {
		size += recordSize(l)
	}
	s, err := w.room(size + reserve)
	if err != nil {
		return err
	}
	at := frameAt(s.end)
	b := append(w.buf[:0], zeros[:frameHead]...)
	places := make([]place, len(logs))
	for i, l := range logs {
		from := len(b)
		b = appendRecord(b, s.salt, l)
		places[i] = place{s, uint32(at) + uint32(from), uint32(len(b) - from)}
	}
	if cap(b) <= 1<<20 {
		w.buf = b
	}
	f := frame{kind: entries, first: logs[0].Index, last: logs[len(logs)-1].Index}
	if err := w.writeFrame(s, b, f, at); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index.append(f.first, places)
	return nil
}

// cutTo leaves the entries of s in the log, as one frame.
func (w *WAL) cutTo(s span) error {
	if x := w.index.span; s.first < x.first || s.last > x.last {
		return fmt.Errorf("the log has entries %d to %d and cannot be cut to %d to %d", x.first, x.last, s.first, s.last)
	}
	tail, err := w.room(frameHead)
	if err != nil {
		return err
	}
	b := append(w.buf[:0], zeros[:frameHead]...)
	if err := w.writeFrame(tail, b, frame{kind: cut, first: s.first, last: s.last}, frameAt(tail.end)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index.cut(s)
	return nil
}

// writeFrame writes a frame with one write and one sync. When it returns an error, it
// is not known what the disk holds, and the log is at its end.
func (w *WAL) writeFrame(s *segment, b []byte, f frame, at int64) error {
	f.seq = s.seq
	seal(b, f, s.salt, at)
	_, err := s.file.WriteAt(b, at)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return w.broken.set(fmt.Errorf("writing %s: %w", s.name, err))
	}
	s.end = at + int64(len(b))
	return nil
}

// room is the segment that takes a frame of so many bytes: the last, or the next.
func (w *WAL) room(size int64) (*segment, error) {
	if err := w.broken.get(); err != nil {
		return nil, err
	}
	w.mu.RLock()
	var s *segment
	if n := len(w.segments); n > 0 {
		s = w.segments[n-1]
	}
	closed := w.closed
	w.mu.RUnlock()
	if closed {
		return nil, errClosed
	}
	if s != nil && frameAt(s.end)+size <= s.size {
		return s, nil
	}
	return w.rotate()
}

// rotate begins the next segment. It is noted in the stable file before anything is
// appended to it: a last segment that is lost is missed.
func (w *WAL) rotate() (*segment, error) {
	if err := w.Prepare(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	s := w.spare
	w.spare = nil
	select {
	case w.wanted <- struct{}{}:
	default:
	}
	log := w.index.span
	w.mu.Unlock()
	if s == nil {
		return nil, errClosed
	}
	seq := w.stable.newestSegment() + 1
	if err := s.begin(seq, log); err != nil {
		return nil, w.broken.set(err)
	}
	if err := w.stable.begun(seq); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.segments = append(w.segments, s)
	w.mu.Unlock()
	return s, nil
}

// Prepare makes the next segment ready if it is not. An append that needs one and
// finds none does so itself; called now and then from elsewhere, Prepare saves
// appends the time. ErrFull: there is no room for one.
func (w *WAL) Prepare() error {
	w.making.Lock()
	defer w.making.Unlock()
	w.mu.Lock()
	if w.spare != nil || w.closed {
		w.mu.Unlock()
		return nil
	}
	var s *segment
	if n := len(w.free); n > 0 {
		s, w.free = w.free[n-1], w.free[:n-1]
	}
	w.mu.Unlock()
	if s != nil {
		s.use.Lock()
		err := s.wipe(0)
		s.use.Unlock()
		if err != nil {
			return errors.Join(err, s.file.Close(), w.fs.Remove(s.name))
		}
	} else {
		var err error
		if s, err = newSegment(w.fs, segmentName(w.number+1), w.size); err != nil {
			return full(err)
		}
		w.number++
	}
	w.mu.Lock()
	w.spare = s
	w.mu.Unlock()
	return nil
}

// Wanted says when there is something to prepare.
func (w *WAL) Wanted() <-chan struct{} { return w.wanted }

// Close closes the files. What was acknowledged is on disk already.
func (w *WAL) Close() error {
	w.making.Lock()
	defer w.making.Unlock()
	w.write.Lock()
	defer w.write.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	return w.closeFiles()
}

func (w *WAL) closeFiles() error {
	var errs []error
	all := append(append([]*segment(nil), w.segments...), w.free...)
	if w.spare != nil {
		all = append(all, w.spare)
	}
	for _, s := range all {
		s.use.Lock()
		errs = append(errs, s.file.Close())
		s.use.Unlock()
	}
	if w.stable != nil {
		errs = append(errs, w.stable.file.Close())
	}
	return errors.Join(errs...)
}
