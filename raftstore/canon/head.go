package canon

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// The major types, in the upper three bits of a head (RFC 8949, 3.1), and the
// values that have no content.
const (
	majorUint     = 0 << 5
	majorNegative = 1 << 5
	majorBytes    = 2 << 5
	majorText     = 3 << 5
	majorArray    = 4 << 5
	majorMap      = 5 << 5

	cborFalse = 0xf4
	cborTrue  = 0xf5
	null      = 0xf6
)

// head appends a major type and its argument, as short as it can be.
func head(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// reader takes canonical CBOR apart.
type reader struct{ b []byte }

// head reads a head of a major type; false: it is another, or longer than it has to
// be, or cut short.
func (r *reader) head(major byte) (uint64, bool) {
	if len(r.b) == 0 || r.b[0]&0xe0 != major {
		return 0, false
	}
	return r.argument()
}

func (r *reader) argument() (n uint64, ok bool) {
	short := r.b[0] & 0x1f
	if short < 24 {
		r.b = r.b[1:]
		return uint64(short), true
	}
	if short > 27 {
		return 0, false
	}
	size := 1 << (short - 24)
	if len(r.b) < 1+size {
		return 0, false
	}
	for _, x := range r.b[1 : 1+size] {
		n = n<<8 | uint64(x)
	}
	r.b = r.b[1+size:]
	switch size {
	case 1:
		return n, n >= 24
	case 2:
		return n, n > math.MaxUint8
	case 4:
		return n, n > math.MaxUint16
	default:
		return n, n > math.MaxUint32
	}
}

// sized reads a string of a major type.
func (r *reader) sized(major byte) ([]byte, bool) {
	n, ok := r.head(major)
	if !ok || n > uint64(len(r.b)) {
		return nil, false
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s, true
}

// null reads a null, if there is one.
func (r *reader) null() bool {
	if len(r.b) == 0 || r.b[0] != null {
		return false
	}
	r.b = r.b[1:]
	return true
}

func isZero[T comparable](p unsafe.Pointer) bool {
	var zero T
	return *(*T)(p) == zero
}

func writeBool(b []byte, p unsafe.Pointer) []byte {
	if *(*bool)(p) {
		return append(b, cborTrue)
	}
	return append(b, cborFalse)
}

func readBool(r *reader, p unsafe.Pointer) bool {
	if len(r.b) == 0 || r.b[0] != cborTrue && r.b[0] != cborFalse {
		return false
	}
	*(*bool)(p) = r.b[0] == cborTrue
	r.b = r.b[1:]
	return true
}

func writeString(b []byte, p unsafe.Pointer) []byte {
	s := *(*string)(p)
	return append(head(b, majorText, uint64(len(s))), s...)
}

func readString(r *reader, p unsafe.Pointer) bool {
	s, ok := r.sized(majorText)
	if ok && len(s) > 0 {
		*(*string)(p) = string(s)
	}
	return ok
}

func writeBytes(b []byte, p unsafe.Pointer) []byte {
	s := *(*[]byte)(p)
	if s == nil {
		return append(b, null)
	}
	return append(head(b, majorBytes, uint64(len(s))), s...)
}

func readBytes(r *reader, p unsafe.Pointer) bool {
	if r.null() {
		return true
	}
	s, ok := r.sized(majorBytes)
	if ok {
		*(*[]byte)(p) = append([]byte{}, s...)
	}
	return ok
}

func uintWay[T uint8 | uint16 | uint32 | uint64]() *way {
	return &way{
		write: func(b []byte, p unsafe.Pointer) []byte { return head(b, majorUint, uint64(*(*T)(p))) },
		read: func(r *reader, p unsafe.Pointer) bool {
			n, ok := r.head(majorUint)
			*(*T)(p) = T(n)
			return ok && uint64(T(n)) == n
		},
		empty: isZero[T],
		zero:  isZero[T],
	}
}

func intWay[T int | int64]() *way {
	return &way{
		write: func(b []byte, p unsafe.Pointer) []byte {
			n := int64(*(*T)(p))
			if n < 0 {
				return head(b, majorNegative, uint64(^n))
			}
			return head(b, majorUint, uint64(n))
		},
		read: func(r *reader, p unsafe.Pointer) bool {
			if len(r.b) == 0 || r.b[0]&0xe0 > majorNegative {
				return false
			}
			negative := r.b[0]&0xe0 == majorNegative
			u, ok := r.argument()
			if !ok || u > math.MaxInt64 {
				return false
			}
			n := int64(u)
			if negative {
				n = ^n
			}
			*(*T)(p) = T(n)
			return int64(T(n)) == n
		},
		empty: isZero[T],
		zero:  isZero[T],
	}
}
