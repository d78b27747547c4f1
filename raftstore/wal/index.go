package wal

// span is a range of entries, both ends in it; it is empty where first > last.
type span struct{ first, last uint64 }

func (s span) empty() bool { return s.first > s.last }

// index says where the entries of the log are: 24 bytes an entry.
type index struct {
	span
	// places are those of the last entries of the span. While Open reads segments, the
	// entries before them may be missing: they were in segments that are gone, and
	// must be cut off by a later frame.
	places []place
}

// place is where an entry's record is.
type place struct {
	segment    *segment
	at, length uint32 // in bytes
}

// known is the first entry whose place is known.
func (x *index) known() uint64 { return x.last + 1 - uint64(len(x.places)) }

// append adds the entries from first on. It refuses a gap, except in an empty log.
func (x *index) append(first uint64, places []place) bool {
	if x.empty() {
		x.first, x.last = first, first-1
		x.places = nil
	}
	if first != x.last+1 {
		return false
	}
	x.last += uint64(len(places))
	x.places = append(x.places, places...)
	return true
}

// cut leaves the entries of s. It refuses to leave what is not there.
func (x *index) cut(s span) bool {
	if s.first < x.first || s.last > x.last {
		return false
	}
	known := x.known()
	switch {
	case s.empty() || s.last < known:
		x.places = nil
	default:
		from := max(s.first, known)
		x.places = x.places[from-known : s.last+1-known]
	}
	x.span = s
	return true
}

// find is the place of an entry.
func (x *index) find(i uint64) (place, bool) {
	if i < x.first || i > x.last || i < x.known() {
		return place{}, false
	}
	return x.places[i-x.known()], true
}
