package wal

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
)

// Open reads a log back, or makes a new one in an empty folder. What was torn by a
// crash is cut off; ErrDamaged: something that was acknowledged is missing.
func Open(o Options) (_ *WAL, err error) {
	w := &WAL{fs: o.FS, size: cmp.Or(o.SegmentSize, defaultSegment), log: o.Logger, broken: &failure{}, index: index{span: span{1, 0}}, wanted: make(chan struct{}, 1)}
	if w.size < smallest || w.size%sector != 0 || w.size > biggest {
		return nil, fmt.Errorf("a segment of %d bytes: use a multiple of %d from %d to %d", w.size, sector, smallest, biggest)
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.closeFiles())
		}
	}()
	names, err := w.fs.List()
	if err != nil {
		return nil, fmt.Errorf("looking for the log: %w", err)
	}
	slices.Sort(names)
	if err := w.openStable(names); err != nil {
		return nil, err
	}
	inUse, err := w.openSegments(names)
	if err != nil {
		return nil, err
	}
	if err := w.read(inUse); err != nil {
		return nil, err
	}
	if len(w.segments) > 0 {
		if err := w.release(); err != nil { // what a crash has kept from being released
			return nil, err
		}
	}
	return w, nil
}

// openStable opens the stable file, or makes it in a new folder.
func (w *WAL) openStable(names []string) error {
	segments, unfinished := 0, false
	for _, name := range names {
		if strings.HasSuffix(name, suffixNew) {
			unfinished = true
			if err := w.fs.Remove(name); err != nil {
				return fmt.Errorf("clearing away what was not finished: %w", err)
			}
		}
		if _, ok := segmentNumber(name); ok {
			segments++
		}
	}
	if unfinished { // before another file gets that name, and then its own
		if err := w.fs.SyncDir(); err != nil {
			return fmt.Errorf("clearing away what was not finished: %w", err)
		}
	}
	f, err := w.fs.Open(stableName)
	switch {
	case errors.Is(err, os.ErrNotExist) && segments == 0:
		if w.stable, err = newStable(w.fs, w.broken); err != nil {
			w.stable = nil
			return full(err)
		}
		return nil
	case errors.Is(err, os.ErrNotExist):
		return damaged("the file %s is missing: it held this node's votes", stableName)
	case err != nil:
		return fmt.Errorf("opening the file %s: %w", stableName, err)
	}
	if w.stable, err = openStable(f, w.broken); err != nil {
		return errors.Join(damaged("%w", err), f.Close())
	}
	return nil
}

// openSegments opens all segments and sorts out the free ones. Those in use come in
// their order, none missing.
func (w *WAL) openSegments(names []string) (inUse []*segment, err error) {
	var odd []error
	for _, name := range names {
		n, ok := segmentNumber(name)
		if !ok {
			continue
		}
		w.number = max(w.number, n)
		s, err := w.openSegment(name)
		if err != nil {
			return nil, err
		}
		b := make([]byte, sector)
		if _, err := s.file.ReadAt(b, 0); err == nil && blank(b) {
			w.free = append(w.free, s)
			continue
		}
		if s.header, err = parseHeader(b); err == nil && s.header.size != uint64(s.size) {
			err = fmt.Errorf("it has %d bytes, and had %d", s.size, s.header.size)
		}
		switch {
		case err != nil: // it may be a free one; then none is missing
			odd = append(odd, fmt.Errorf("%s: %w", name, err))
			w.free = append(w.free, s)
		case s.seq < w.stable.oldest || s.seq == w.stable.newest+1:
			if err := s.wipe(0); err != nil { // a crash has kept it from being wiped, or noted
				return nil, errors.Join(err, s.file.Close())
			}
			w.free = append(w.free, s)
		default:
			inUse = append(inUse, s)
			w.segments = append(w.segments, s) // to be closed on an error
		}
	}
	if err := w.complete(inUse); err != nil {
		return nil, errors.Join(append([]error{err}, odd...)...)
	}
	for _, err := range odd {
		w.log.Warn("a segment that is not in use is damaged, and will be wiped", "err", err)
	}
	return inUse, w.checkFree()
}

// complete sorts the segments in use and looks whether all are there.
func (w *WAL) complete(inUse []*segment) error {
	slices.SortFunc(inUse, func(a, b *segment) int { return cmp.Compare(a.seq, b.seq) })
	want := w.stable.oldest
	for _, s := range inUse {
		switch {
		case s.seq > w.stable.newest:
			return damaged("%s is segment %d, and %d was the newest: the file %s is older than it", s.name, s.seq, w.stable.newest, stableName)
		case s.seq != want:
			return damaged("segment %d of %d to %d is missing or there twice", min(s.seq, want), w.stable.oldest, w.stable.newest)
		}
		want++
	}
	if w.stable.newest > 0 && want <= w.stable.newest {
		return damaged("segment %d of %d to %d is missing", want, w.stable.oldest, w.stable.newest)
	}
	return nil
}

func (w *WAL) openSegment(name string) (*segment, error) {
	f, err := w.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the segment %s: %w", name, err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the segment %s: %w", name, err), f.Close())
	}
	if size > biggest {
		return nil, errors.Join(damaged("%s has %d bytes, more than a segment can have", name, size), f.Close())
	}
	return &segment{name: name, file: f, size: size}, nil
}

// checkFree drops free segments that are of another size than new ones.
func (w *WAL) checkFree() error {
	keep := w.free[:0]
	var errs []error
	for _, s := range w.free {
		if s.size == w.size && len(keep) < keepFree {
			keep = append(keep, s)
			continue
		}
		errs = append(errs, s.discard(w.fs))
	}
	w.free = keep
	return errors.Join(errs...)
}

// read reads the segments in use into the index, oldest first.
func (w *WAL) read(inUse []*segment) error {
	w.segments = inUse
	var b []byte
	for i, s := range inUse {
		last := i == len(inUse)-1
		if i == 0 {
			w.index.span = s.log
		} else if s.log != w.index.span {
			return damaged("%s begins with entries %d to %d in the log, the one before it ends with %d to %d",
				s.name, s.log.first, s.log.last, w.index.first, w.index.last)
		}
		if int64(cap(b)) < s.size {
			b = make([]byte, s.size)
		}
		b = b[:s.size]
		if _, err := s.file.ReadAt(b, 0); err != nil {
			return damaged("reading %s: %w", s.name, err)
		}
		end, torn, err := s.scan(b, func(f frame, at int64, payload []byte) error { return w.index.replay(s, f, at, payload) })
		switch {
		case err != nil:
			return damaged("%s: %w", s.name, err)
		case torn && last:
			if err := s.wipe(end); err != nil {
				return err
			}
			w.log.Info("a write that was torn by a crash was cut off the log", "segment", s.name, "offset", end, "last", w.index.last)
		}
		s.end = end
		if last {
			// What a process that was killed has written may be in memory only.
			if err := s.file.Sync(); err != nil {
				return fmt.Errorf("syncing %s: %w", s.name, err)
			}
		}
	}
	if !w.index.empty() && w.index.known() > w.index.first {
		return damaged("entries %d to %d are missing", w.index.first, w.index.known()-1)
	}
	return nil
}
