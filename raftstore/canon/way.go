package canon

import (
	"bytes"
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// find is the way of a type, or nil.
func find(t reflect.Type) *way {
	switch {
	case isID(t):
		return idWay(t)
	case saysItself(t):
		return nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return &way{write: writeBool, read: readBool, empty: isZero[bool], zero: isZero[bool]}
	case reflect.String:
		return &way{write: writeString, read: readString, empty: isZero[string], zero: isZero[string]}
	case reflect.Int:
		return intWay[int]()
	case reflect.Int64:
		return intWay[int64]()
	case reflect.Uint8:
		return uintWay[uint8]()
	case reflect.Uint16:
		return uintWay[uint16]()
	case reflect.Uint32:
		return uintWay[uint32]()
	case reflect.Uint64:
		return uintWay[uint64]()
	case reflect.Slice:
		return sliceWay(t)
	case reflect.Pointer:
		return pointerWay(t)
	case reflect.Struct:
		return structWay(t)
	}
	return nil
}

// saysItself reports whether a type, or a pointer to it, says itself how it is encoded, or
// when omitzero leaves it out: the library asks it.
func saysItself(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	return t.Implements(reflect.TypeFor[encoding.BinaryMarshaler]()) || t.Implements(reflect.TypeFor[interface{ MarshalCBOR() ([]byte, error) }]()) || t.Implements(reflect.TypeFor[interface{ IsZero() bool }]())
}

// isID reports whether a type is an array of bytes that marshals as these bytes.
func isID(t reflect.Type) bool {
	if t.Kind() != reflect.Array || t.Elem().Kind() != reflect.Uint8 || !t.Implements(reflect.TypeFor[encoding.BinaryMarshaler]()) {
		return false
	}
	p := reflect.New(t)
	if z, says := p.Interface().(interface{ IsZero() bool }); says && !z.IsZero() {
		return false
	}
	raw := p.Elem().Bytes()
	for i := range raw {
		raw[i] = byte(i + 1)
	}
	if z, says := p.Interface().(interface{ IsZero() bool }); says && z.IsZero() {
		return false
	}
	b, err := p.Elem().Interface().(encoding.BinaryMarshaler).MarshalBinary()
	again, ok := reflect.New(t).Interface().(encoding.BinaryUnmarshaler)
	return err == nil && ok && bytes.Equal(b, raw) && again.UnmarshalBinary(b) == nil &&
		bytes.Equal(reflect.ValueOf(again).Elem().Bytes(), raw)
}

func idWay(t reflect.Type) *way {
	size := t.Len()
	zeros := make([]byte, size)
	return &way{
		write: func(b []byte, p unsafe.Pointer) []byte {
			return append(head(b, majorBytes, uint64(size)), unsafe.Slice((*byte)(p), size)...)
		},
		read: func(r *reader, p unsafe.Pointer) bool {
			b, ok := r.sized(majorBytes)
			return ok && len(b) == size && copy(unsafe.Slice((*byte)(p), size), b) == size
		},
		empty: func(unsafe.Pointer) bool { return size == 0 },
		zero:  func(p unsafe.Pointer) bool { return bytes.Equal(unsafe.Slice((*byte)(p), size), zeros) },
	}
}

func sliceWay(t reflect.Type) *way {
	if t.Elem() == reflect.TypeFor[byte]() {
		return &way{write: writeBytes, read: readBytes, empty: func(p unsafe.Pointer) bool { return len(*(*[]byte)(p)) == 0 }, zero: isNil}
	}
	each := find(t.Elem())
	if each == nil || t.Elem().Kind() == reflect.Uint8 {
		return nil
	}
	size := t.Elem().Size()
	return &way{
		write: func(b []byte, p unsafe.Pointer) []byte {
			v := reflect.NewAt(t, p).Elem()
			if v.IsNil() {
				return append(b, null)
			}
			b = head(b, majorArray, uint64(v.Len()))
			first := v.UnsafePointer()
			for i := range v.Len() {
				b = each.write(b, unsafe.Add(first, uintptr(i)*size))
			}
			return b
		},
		read: func(r *reader, p unsafe.Pointer) bool {
			if r.null() {
				return true
			}
			n, ok := r.head(majorArray)
			if !ok || n > uint64(len(r.b)) {
				return false
			}
			v := reflect.MakeSlice(t, int(n), int(n))
			reflect.NewAt(t, p).Elem().Set(v)
			first := v.UnsafePointer()
			for i := range int(n) {
				if !each.read(r, unsafe.Add(first, uintptr(i)*size)) {
					return false
				}
			}
			return true
		},
		empty: func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Elem().Len() == 0 },
		zero:  isNil,
	}
}

func pointerWay(t reflect.Type) *way {
	to := find(t.Elem())
	if to == nil || t.Elem().Kind() == reflect.Slice || t.Elem().Kind() == reflect.Pointer { // null has two meanings there
		return nil
	}
	return &way{
		write: func(b []byte, p unsafe.Pointer) []byte {
			there := *(*unsafe.Pointer)(p)
			if there == nil {
				return append(b, null)
			}
			return to.write(b, there)
		},
		read: func(r *reader, p unsafe.Pointer) bool {
			if r.null() {
				return true
			}
			made := reflect.New(t.Elem())
			reflect.NewAt(t, p).Elem().Set(made)
			return to.read(r, made.UnsafePointer())
		},
		empty: isNil,
		zero:  isNil,
	}
}

// isNil is of a pointer, or of a slice, which begins with one.
func isNil(p unsafe.Pointer) bool { return *(*unsafe.Pointer)(p) == nil }

// field is one field of a struct.
type field struct {
	*way
	offset uintptr
	number uint64
	key    []byte                      // number, encoded
	omit   func(p unsafe.Pointer) bool // whether it is left out; nil: never
	// omitsEmpty: where it is empty, as others are where they are zero. To the library a struct
	// is empty only if all fields are of the first kind.
	omitsEmpty bool
}

// maxFields is how many fields a struct may have: a bit each.
const maxFields = 64

func structWay(t reflect.Type) *way {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		number, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		n, err := strconv.ParseUint(number, 10, 63)
		w := find(f.Type)
		if !f.IsExported() || f.Anonymous || err != nil || w == nil {
			return nil
		}
		one := field{way: w, offset: f.Offset, number: n, key: head(nil, majorUint, n)}
		switch options {
		case "keyasint":
		case "keyasint,omitempty":
			one.omit, one.omitsEmpty = w.empty, true
		case "keyasint,omitzero":
			one.omit = w.zero
		default:
			return nil
		}
		fields = append(fields, one)
	}
	if len(fields) > maxFields {
		return nil
	}
	slices.SortFunc(fields, func(a, b field) int { return bytes.Compare(a.key, b.key) })
	return &way{
		write: func(b []byte, p unsafe.Pointer) []byte {
			var there, n uint64
			for i := range fields {
				if f := &fields[i]; f.omit == nil || !f.omit(unsafe.Add(p, f.offset)) {
					there |= 1 << i
					n++
				}
			}
			b = head(b, majorMap, n)
			for i := range fields {
				if there&(1<<i) != 0 {
					f := &fields[i]
					b = f.write(append(b, f.key...), unsafe.Add(p, f.offset))
				}
			}
			return b
		},
		read: func(r *reader, p unsafe.Pointer) bool {
			n, ok := r.head(majorMap)
			if !ok {
				return false
			}
			i := 0
			for range n {
				key, ok := r.head(majorUint)
				for ok && i < len(fields) && fields[i].number != key {
					i++
				}
				if !ok || i == len(fields) || !fields[i].read(r, unsafe.Add(p, fields[i].offset)) {
					return false // unknown, out of order, twice
				}
				i++
			}
			return true
		},
		empty: func(p unsafe.Pointer) bool {
			for i := range fields {
				if f := &fields[i]; !f.omitsEmpty || !f.omit(unsafe.Add(p, f.offset)) {
					return false
				}
			}
			return true
		},
		zero: func(p unsafe.Pointer) bool {
			for i := range fields {
				if f := &fields[i]; !f.zero(unsafe.Add(p, f.offset)) {
					return false
				}
			}
			return true
		},
	}
}
