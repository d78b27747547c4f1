package wal

import (
	"errors"
	"fmt"
	"slices"
)

// DeleteRange takes the entries from min to max out of the log: its first ones, its
// last ones, or all. They are gone for good when it returns. The segments in front
// that hold nothing else are used again.
func (w *WAL) DeleteRange(min, max uint64) error {
	w.write.Lock()
	defer w.write.Unlock()
	s := w.index.span
	switch {
	case s.empty() || min > max || max < s.first || min > s.last:
		return nil
	case min <= s.first && max >= s.last:
		s.first = s.last + 1
	case min <= s.first:
		s.first = max + 1
	case max >= s.last:
		s.last = min - 1
	default:
		return fmt.Errorf("entries %d to %d cannot be taken out of the middle of %d to %d", min, max, s.first, s.last)
	}
	if err := w.cutTo(s); err != nil {
		return fmt.Errorf("taking entries %d to %d out of the log: %w", min, max, err)
	}
	return w.release()
}

// Turn has what is appended from now on go into a new segment, so that what is in the last
// one can be dropped with it once its entries are.
func (w *WAL) Turn() error {
	w.write.Lock()
	defer w.write.Unlock()
	if n := len(w.segments); n == 0 || w.segments[n-1].end <= sector {
		return nil // it is new
	}
	if err := w.broken.get(); err != nil {
		return err
	}
	_, err := w.rotate()
	return err
}

// Wipe overwrites the segments that are not part of the log any more. Those it keeps to be
// used again hold what was in them until then.
func (w *WAL) Wipe() error {
	w.mu.RLock()
	free := slices.Clone(w.free)
	w.mu.RUnlock()
	var errs []error
	for _, s := range free {
		errs = append(errs, w.wipe(s))
	}
	return errors.Join(errs...)
}

// wipe overwrites a segment if it is free still. An append that needs the next segment made
// ready waits for one of them at the most.
func (w *WAL) wipe(s *segment) error {
	w.making.Lock()
	defer w.making.Unlock()
	w.mu.Lock()
	i := slices.Index(w.free, s)
	if i < 0 || w.closed {
		w.mu.Unlock()
		return nil
	}
	w.free = append(slices.Clone(w.free[:i]), w.free[i+1:]...) // so that nobody removes it
	w.mu.Unlock()
	s.use.Lock()
	err := s.wipe(0)
	s.use.Unlock()
	w.mu.Lock()
	w.free = append([]*segment{s}, w.free...)
	w.mu.Unlock()
	return err
}

// release takes the segments in front that hold no entry of the log out of it. The
// stable file says so first; what a crash leaves of them is cleared away by Open.
func (w *WAL) release() error {
	w.mu.RLock()
	dead := w.dead()
	w.mu.RUnlock()
	if dead == 0 {
		return nil
	}
	if err := w.stable.released(w.segments[dead].seq); err != nil {
		return err
	}
	w.mu.Lock()
	w.free = append(w.free, w.segments[:dead]...)
	w.segments = append([]*segment(nil), w.segments[dead:]...)
	var over []*segment
	if n := len(w.free) - keepFree; n > 0 {
		over, w.free = w.free[:n], append([]*segment(nil), w.free[n:]...)
	}
	w.mu.Unlock()
	var errs []error
	for _, s := range over {
		errs = append(errs, s.discard(w.fs))
	}
	if err := errors.Join(errs...); err != nil {
		w.log.Warn("old segments of the log could not be removed", "err", err)
	}
	return nil
}

// dead counts the segments in front that hold no entry of the log.
func (w *WAL) dead() int {
	live := w.segments[len(w.segments)-1]
	if len(w.index.places) > 0 {
		live = w.index.places[0].segment
	}
	for i, s := range w.segments {
		if s == live {
			return i
		}
	}
	return 0
}

// discard removes the file of a segment that is not part of the log any more.
func (s *segment) discard(fs FS) error {
	s.use.Lock() // until those who read have done
	defer s.use.Unlock()
	return errors.Join(s.file.Close(), fs.Remove(s.name))
}

// newestSegment is the seq of the segment begun last, 0 before the first.
func (s *stable) newestSegment() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// begun notes the newest segment.
func (s *stable) begun(seq uint64) error {
	return s.change(func(next *slot) bool {
		next.newest = seq
		if next.oldest == 0 {
			next.oldest = seq
		}
		return true
	})
}

// released notes the oldest segment that is still part of the log.
func (s *stable) released(oldest uint64) error {
	return s.change(func(next *slot) bool {
		changed := next.oldest != oldest
		next.oldest = oldest
		return changed
	})
}
