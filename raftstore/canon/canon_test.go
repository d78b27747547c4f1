package canon

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

type id [4]byte

func (x id) MarshalBinary() ([]byte, error) { return x[:], nil }

func (x *id) UnmarshalBinary(b []byte) error { copy(x[:], b); return nil }

// never says that it is zero, whatever it is.
type never [4]byte

func (never) MarshalBinary() ([]byte, error) { return make([]byte, 4), nil }
func (never) IsZero() bool                   { return true }

type small uint8

type inner struct {
	Name string `cbor:"1,keyasint,omitempty"`
	On   bool   `cbor:"2,keyasint,omitempty"`
}

type outer struct {
	ID     id             `cbor:"1,keyasint"`
	Text   string         `cbor:"2,keyasint"`
	Small  small          `cbor:"3,keyasint,omitempty"`
	Signed int64          `cbor:"4,keyasint,omitempty"`
	Long   uint64         `cbor:"300,keyasint,omitempty"`
	Inner  inner          `cbor:"24,keyasint,omitempty"`
	Ptr    *inner         `cbor:"23,keyasint,omitempty"`
	Wait   *time.Duration `cbor:"7,keyasint"`
	List   []inner        `cbor:"8,keyasint"`
	IDs    []id           `cbor:"9,keyasint,omitempty"`
	Words  []string       `cbor:"10,keyasint,omitempty"`
	Plain  bool           `cbor:"11,keyasint"`
	Two    uint16         `cbor:"12,keyasint,omitempty"`
	Bytes  []byte         `cbor:"13,keyasint"`
	Fewer  []byte         `cbor:"14,keyasint,omitempty"`
	Key    id             `cbor:"15,keyasint,omitzero"`
	Proof  proof          `cbor:"16,keyasint,omitzero"`
	Empty  proof          `cbor:"17,keyasint,omitempty"`
	Whole  whole          `cbor:"18,keyasint,omitzero"`
}

// proof is never empty to the library: its fields are left out where they are zero.
type proof struct {
	Key  id       `cbor:"1,keyasint,omitzero"`
	Name string   `cbor:"2,keyasint,omitempty"`
	List []string `cbor:"3,keyasint,omitzero"`
	Ptr  *inner   `cbor:"4,keyasint,omitzero"`
}

// whole has something of everything that can be zero.
type whole struct {
	On     bool   `cbor:"1,keyasint"`
	Signed int    `cbor:"2,keyasint,omitzero"`
	Small  small  `cbor:"3,keyasint,omitzero"`
	Bytes  []byte `cbor:"4,keyasint,omitzero"`
	Text   string `cbor:"5,keyasint,omitzero"`
}

func values() []outer {
	wait := -time.Second
	long := make([]inner, 300)
	long[7].Name = string(bytes.Repeat([]byte("x"), 70_000))
	return []outer{
		{},
		{ID: id{1, 2, 3, 4}, Text: "ä", Small: 255, Signed: -1, Long: 1 << 63, Inner: inner{On: true}, Ptr: &inner{}, Wait: &wait,
			List: []inner{{}, {Name: "n"}}, IDs: []id{{}, {9}}, Words: []string{"", "w"}, Plain: true},
		{Signed: 23, Long: 24, Text: "\xff\xfe", List: []inner{}},
		{Signed: -25, Long: 255, List: long},
		{Signed: 1 << 62, Long: 256, Words: []string{}},
		{Signed: -1 << 63, Long: 65536},
		{Two: 65535, Bytes: []byte{}, Fewer: []byte{}, Key: id{1}, Proof: proof{Key: id{0, 0, 0, 1}}, Empty: proof{Name: "x"}},
		{Two: 1, Bytes: []byte{1, 2}, Fewer: []byte{0}, Proof: proof{List: []string{}, Ptr: &inner{}}, Empty: proof{Key: id{9}}},
		{Whole: whole{On: true}}, {Whole: whole{Signed: -1}}, {Whole: whole{Small: 1}}, {Whole: whole{Bytes: []byte{}}}, {Whole: whole{Text: "t"}},
		{Signed: 65535, Long: 1 << 32},
	}
}

func library(t testing.TB) (cbor.EncMode, cbor.DecMode) {
	t.Helper()
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return enc, dec
}

func TestTheBytesAndValuesAreTheLibrarys(t *testing.T) {
	enc, dec := library(t)
	var c Codec
	for i, v := range values() {
		want, err := enc.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []any{v, &v} {
			if got, ok := c.Append([]byte("before"), x); !ok || string(got) != "before"+string(want) {
				t.Errorf("value %d: encoded as %.200x, want %.200x", i, got, want)
			}
		}
		var mine, theirs outer
		if err := dec.Unmarshal(want, &theirs); err != nil {
			t.Fatal(err)
		}
		if ok := c.Decode(want, reflect.ValueOf(&mine)); !ok || !reflect.DeepEqual(mine, theirs) {
			t.Errorf("value %d: decoded (%t) as %+v, want %+v", i, ok, mine, theirs)
		}
		for cut := range min(len(want), 200) {
			var part outer
			if c.Decode(want[:cut], reflect.ValueOf(&part)) {
				t.Errorf("value %d was read from its first %d bytes", i, cut)
			}
		}
	}
}

// What the package does not know it leaves alone.
func TestOtherTypesAreLeftToTheLibrary(t *testing.T) {
	var c Codec
	type noTag struct{ A int }
	type aMap struct {
		A map[string]int `cbor:"1,keyasint"`
	}
	type bothOmit struct {
		A int `cbor:"1,keyasint,omitempty,omitzero"`
	}
	type float struct {
		A float64 `cbor:"1,keyasint"`
	}
	type named struct {
		A int `cbor:"a"`
	}
	type when struct {
		A time.Time `cbor:"1,keyasint"`
	}
	type raw struct {
		A cbor.RawMessage `cbor:"1,keyasint"`
	}
	type toZeroer struct {
		A *never `cbor:"1,keyasint,omitzero"`
	}
	for _, v := range []any{raw{A: cbor.RawMessage{1}}, toZeroer{A: new(never)}, noTag{}, aMap{}, bothOmit{}, float{}, named{}, when{}, 7, "text", (*outer)(nil)} {
		if b, ok := c.Append(nil, v); ok || b != nil {
			t.Errorf("%T was encoded as %x", v, b)
		}
	}
	var m aMap
	if c.Decode([]byte{0xa0}, reflect.ValueOf(&m)) {
		t.Error("a struct with a map was decoded")
	}
}

// What is not canonical is the library's to take or to refuse.
func TestOnlyCanonicalInputIsDecoded(t *testing.T) {
	var c Codec
	for what, b := range map[string][]byte{
		"a long head":        {0xa1, 0x04, 0x18, 0x01},
		"keys out of order":  {0xa2, 0x04, 0x01, 0x03, 0x01},
		"a key twice":        {0xa2, 0x04, 0x01, 0x04, 0x01},
		"an unknown key":     {0xa1, 0x05, 0x01},
		"too large a number": {0xa1, 0x03, 0x19, 0x01, 0x00},
		"a float":            {0xa1, 0x04, 0xf9, 0x00, 0x00},
		"a tag":              {0xc1, 0xa0},
		"no definite length": {0xbf, 0xff},
		"a short id":         {0xa1, 0x01, 0x43, 1, 2, 3},
		"something behind":   {0xa0, 0xa0},
		"a huge list":        {0xa1, 0x08, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"nothing":            {},
	} {
		var v outer
		if c.Decode(b, reflect.ValueOf(&v)) {
			t.Errorf("%s: %x was decoded as %+v", what, b, v)
		}
	}
}

// FuzzDecode: what is decoded is what the library decodes, and encodes as it came.
func FuzzDecode(f *testing.F) {
	enc, dec := library(f)
	for _, v := range values() {
		b, err := enc.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 4096 {
			f.Add(b)
		}
	}
	var c Codec
	f.Fuzz(func(t *testing.T, b []byte) {
		var mine, theirs outer
		if !c.Decode(b, reflect.ValueOf(&mine)) {
			return
		}
		if err := dec.Unmarshal(b, &theirs); err != nil || !reflect.DeepEqual(mine, theirs) {
			t.Fatalf("%x is decoded as %+v; the library has %+v, %v", b, mine, theirs, err)
		}
		again, ok := c.Append(nil, mine)
		want, err := enc.Marshal(mine)
		if !ok || err != nil || !bytes.Equal(again, want) {
			t.Fatalf("%+v is encoded as %x; the library says %x, %v", mine, again, want, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	var c Codec
	v := values()[1]
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = c.Append(buf[:0], v)
	}
}

func BenchmarkDecode(b *testing.B) {
	var c Codec
	buf, _ := c.Append(nil, values()[1])
	b.ReportAllocs()
	for b.Loop() {
		var v outer
		c.Decode(buf, reflect.ValueOf(&v))
	}
}

func BenchmarkLibrary(b *testing.B) {
	enc, dec := library(b)
	v := values()[1]
	buf, err := enc.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			enc.Marshal(v)
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			var v outer
			dec.Unmarshal(buf, &v)
		}
	})
}
