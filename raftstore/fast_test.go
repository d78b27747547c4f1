package raftstore

import (
	"reflect"
	"testing"

	"sitegate/license"
)

// What goes through the log and to disk is encoded the fast way: left to the library, it costs
// several times as much, on each node, and nobody is told.
func TestEverythingIsEncodedTheFastWay(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	fast := func(v any) {
		x := reflect.New(reflect.TypeOf(v))
		b, ok := c.fast.Append(nil, x.Interface())
		if !ok {
			t.Errorf("a %T is left to the library: a field of it is of a kind, or has options, that package canon does not know", v)
		} else if !c.fast.Decode(b, reflect.New(x.Type().Elem())) {
			t.Errorf("%x, a %T, cannot be decoded the fast way", b, v)
		}
	}
	for _, command := range commandKinds() {
		fast(command)
	}
	for _, fact := range factKinds() {
		fast(fact)
	}
	records := 0
	for kind := range license.KeyKind(255) {
		if r, err := license.NewRecord(kind); err == nil {
			fast(reflect.ValueOf(r).Elem().Interface())
			records++
		}
	}
	if records == 0 {
		t.Error("no kind of record was found")
	}
}
