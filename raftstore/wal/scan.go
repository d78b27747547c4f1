package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// scan reads the frames of a segment in use, all of which is b, and calls each for
// every whole one, in order. It returns where they end, and whether something that
// was torn off comes behind. It fails where something is missing that had been
// acknowledged, as far as this segment can tell.
func (h header) scan(b []byte, each func(f frame, at int64, payload []byte) error) (end int64, torn bool, err error) {
	end = sector
	for {
		at := frameAt(end)
		if at+frameHead > int64(len(b)) {
			return end, false, nil
		}
		if blank(b[at : at+frameHead]) {
			torn = !blank(b[at:])
			break
		}
		f, err := parseFrame(b[at:], h.seq, h.salt, at)
		if err != nil {
			return end, false, fmt.Errorf("at byte %d: %w", at, err)
		}
		next := at + frameHead + int64(f.length)
		if next > int64(len(b)) {
			return end, false, fmt.Errorf("at byte %d: a frame of %d bytes ends behind the segment", at, f.length)
		}
		payload := b[at+frameHead : next]
		if checksum(h.salt, payload) != f.sum {
			if blankParts(b[at:next], at) <= int(f.blank) {
				return end, false, fmt.Errorf("at byte %d: a frame's payload is damaged", at)
			}
			torn = true
			break
		}
		if err := each(f, at, payload); err != nil {
			return end, false, fmt.Errorf("at byte %d: %w", at, err)
		}
		end = next
	}
	if torn {
		at := frameAt(end)
		if later, ok := h.next(b, at+8); ok {
			return end, true, fmt.Errorf("at byte %d: a frame is damaged that was acknowledged, since there is one behind it at %d", at, later)
		}
	}
	return end, torn, nil
}

// next finds a frame's header at or after an offset.
func (h header) next(b []byte, from int64) (at int64, ok bool) {
	for at := frameAt(from); at+frameHead <= int64(len(b)); at = frameAt(at + 8) {
		if binary.LittleEndian.Uint64(b[at+8:]) != h.seq { // most of what there is
			continue
		}
		if _, err := parseFrame(b[at:], h.seq, h.salt, at); !errors.Is(err, errFrame) {
			return at, true
		}
	}
	return 0, false
}

// replay takes a whole frame of a segment into the index.
func (x *index) replay(s *segment, f frame, at int64, payload []byte) error {
	if f.kind == cut {
		if !x.cut(span{f.first, f.last}) {
			return fmt.Errorf("the log is cut to entries %d to %d, and has %d to %d", f.first, f.last, x.first, x.last)
		}
		return nil
	}
	at += frameHead
	var places []place
	for i := f.first; i <= f.last; i++ {
		n, err := recordLength(payload)
		if err != nil {
			return err
		}
		if got := recordIndex(payload); got != i {
			return fmt.Errorf("entry %d is in the place of %d", got, i)
		}
		places = append(places, place{s, uint32(at), uint32(n)})
		payload, at = payload[n:], at+n
	}
	if len(payload) > 0 {
		return errRecord
	}
	if !x.append(f.first, places) {
		return fmt.Errorf("entries %d to %d do not follow on %d", f.first, f.last, x.last)
	}
	return nil
}
