// Package canon encodes structs with numbered fields as canonical CBOR (RFC 8949,
// 4.2.1), and decodes what is encoded so, several times as fast as a library that
// can do all of CBOR: the way of each type is found once.
//
// It promises the very bytes that github.com/fxamacker/cbor/v2 makes with its
// CoreDet options and the tags `cbor:"N,keyasint"`, with omitempty or omitzero, and the
// very values that library reads. It knows what the rules' types are made of: integers,
// booleans, strings, bytes, ids (arrays of bytes that marshal as themselves), slices,
// pointers and structs. Whatever else there is, and every input that is not
// canonical, it leaves to the library: false says so.
package canon

import (
	"reflect"
	"sync"
	"unsafe"
)

// Codec remembers the ways of types. The zero value is ready; its methods may be
// called at once from many goroutines.
type Codec struct {
	ways sync.Map // reflect.Type to *way; nil where there is none
}

// way is how values of one type are encoded and decoded. The pointers are to such
// values: going through package reflect for each field would cost more than the
// field.
type way struct {
	write func(b []byte, p unsafe.Pointer) []byte
	// read reads into a zero value; false: it is for the library to read, or refuse.
	read  func(r *reader, p unsafe.Pointer) bool
	empty func(p unsafe.Pointer) bool // left out where omitempty is said
	zero  func(p unsafe.Pointer) bool // left out where omitzero is said
	spare sync.Pool                   // of *T as reflect.Value
}

// Append encodes v, a struct or a pointer to one. False: the library must, and
// nothing has been appended.
func (c *Codec) Append(b []byte, v any) ([]byte, bool) {
	x := reflect.ValueOf(v)
	if x.Kind() == reflect.Pointer {
		if x.IsNil() {
			return b, false
		}
		w := c.of(x.Type().Elem())
		if w == nil {
			return b, false
		}
		return w.write(b, x.UnsafePointer()), true
	}
	w := c.of(x.Type())
	if w == nil {
		return b, false
	}
	p, ok := w.spare.Get().(unsafe.Pointer) // an addressable copy
	if !ok {
		p = reflect.New(x.Type()).UnsafePointer()
	}
	spare := reflect.NewAt(x.Type(), p).Elem()
	spare.Set(x)
	b = w.write(b, p)
	spare.SetZero()
	w.spare.Put(p)
	return b, true
}

// Decode decodes b into the zero struct that into points to. False: the library
// must, or must say what is wrong; the struct may be half filled in.
func (c *Codec) Decode(b []byte, into reflect.Value) bool {
	w := c.of(into.Type().Elem())
	if w == nil {
		return false
	}
	r := reader{b}
	return w.read(&r, into.UnsafePointer()) && len(r.b) == 0
}

func (c *Codec) of(t reflect.Type) *way {
	if w, ok := c.ways.Load(t); ok {
		return w.(*way)
	}
	w := find(t)
	if t.Kind() != reflect.Struct {
		w = nil
	}
	c.ways.Store(t, w)
	return w
}
