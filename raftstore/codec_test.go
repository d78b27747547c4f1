package raftstore

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sitegate/license"
)

var update = flag.Bool("update", false, "add what is new to the golden files; what is there is never changed")

func testCodec(t testing.TB) *codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// filled is a value of the type with every field set.
func filled(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		filled(v.Index(0), n)
		filled(v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n + i))
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1000 * *n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%200 + 1))
	default:
		panic("no way to fill a " + v.Type().String())
	}
}

func filledOf(t reflect.Type) reflect.Value {
	v, n := reflect.New(t), 0
	filled(v.Elem(), &n)
	return v
}

// golden compares stored forms with testdata, which only grows: what a release
// has written, every later one must read.
func golden(t *testing.T, file string, now map[string][]byte) map[string][]byte {
	t.Helper()
	path := filepath.Join("testdata", file)
	kept := map[string][]byte{}
	b, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		name, text, ok := strings.Cut(sc.Text(), " ")
		value, err := hex.DecodeString(text)
		if !ok || err != nil {
			t.Fatalf("%s: line %q: %v", path, sc.Text(), err)
		}
		kept[name] = value
	}
	var added []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		for v := 1; ; v++ { // a type that has grown gets one more line
			line := fmt.Sprintf("%s/%d", name, v)
			old, there := kept[line]
			if bytes.Equal(old, now[name]) && there {
				break
			}
			if !there {
				kept[line] = now[name]
				added = append(added, line+" "+hex.EncodeToString(now[name])+"\n")
				break
			}
		}
	}
	switch {
	case len(added) > 0 && *update:
		if err := os.WriteFile(path, append(b, strings.Join(added, "")...), 0o600); err != nil {
			t.Fatal(err)
		}
	case len(added) > 0:
		t.Errorf("%s does not have what is stored now; if the change is meant, go test -update adds it:\n%s", path, strings.Join(added, ""))
	}
	return kept
}

func TestGoldenEntries(t *testing.T) {
	c := testCodec(t)
	now := map[string][]byte{}
	for n, typ := range c.commands.typ {
		encoded, err := c.command(filledOf(typ).Elem().Interface().(license.Command))
		if err != nil {
			t.Fatal(err)
		}
		now[fmt.Sprintf("%02d-%s", n, typ.Name())] = c.entry(1_770_000_000_123, [][]byte{encoded})
	}
	for name, b := range golden(t, "entries.golden", now) {
		at, commands, err := c.decodeEntry(b)
		if err != nil || len(commands) != 1 || at != 1_770_000_000_123 {
			t.Errorf("%s: read %d commands at %d, %v; want one", name, len(commands), at, err)
		} else if kind := fmt.Sprintf("%T", commands[0]); !strings.Contains(name, strings.TrimPrefix(kind, "license.")) {
			t.Errorf("%s is read as a %s", name, kind)
		}
	}
}

func TestGoldenEvents(t *testing.T) {
	c := testCodec(t)
	now := map[string][]byte{}
	for n, typ := range c.facts.typ {
		e := license.Event{Seq: 7, At: 1_770_000_000_123, Fact: filledOf(typ).Elem().Interface().(license.Fact)}
		b, _, err := c.packEvents([]license.Event{e})
		if err != nil {
			t.Fatal(err)
		}
		now[fmt.Sprintf("%02d-%s", n, typ.Name())] = b
	}
	for name, b := range golden(t, "events.golden", now) {
		e, err := unpackOne(c, 7, b)
		if err != nil || e.Seq != 7 || e.At != 1_770_000_000_123 {
			t.Errorf("%s: read %+v, %v", name, e, err)
		}
	}
}

func unpackOne(c *codec, seq uint64, b []byte) (e license.Event, err error) {
	return e, c.unpackEvents(seq, 1, b, func(x license.Event) { e = x })
}

func TestGoldenTombstones(t *testing.T) {
	c := testCodec(t)
	var ended tombstones
	for n := range 2 {
		if err := ended.add(c, &license.Tombstone{ID: testID(n), User: userID(n), Until: license.Time(100 + n)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range golden(t, "ended.golden", map[string][]byte{"two": ended.value}) {
		n := 0
		err := c.unpackTombstones(b, func(x *license.Tombstone) error {
			if want := (license.Tombstone{ID: testID(n), User: userID(n), Until: license.Time(100 + n)}); *x != want {
				t.Errorf("%s: read %+v, want %+v", name, *x, want)
			}
			n++
			return nil
		})
		if err != nil || n != 2 || ended.until != 101 {
			t.Errorf("%s: read %d until %d, %v; want 2 until 101", name, n, ended.until, err)
		}
	}
}

func TestGoldenRecords(t *testing.T) {
	c := testCodec(t)
	now := map[string][]byte{}
	for kind := range license.KeyKind(255) { // the tables' numbers have gaps
		r, err := license.NewRecord(kind)
		if err != nil {
			continue
		}
		b, err := c.record(filledOf(reflect.TypeOf(r).Elem()).Interface())
		if err != nil {
			t.Fatal(err)
		}
		now[fmt.Sprintf("%02d-%s", kind, reflect.TypeOf(r).Elem().Name())] = b
	}
	for name, b := range golden(t, "records.golden", now) {
		var kind license.KeyKind
		if _, err := fmt.Sscanf(name, "%d-", &kind); err != nil {
			t.Fatal(err)
		}
		if _, err := c.decodeRecord(kind, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryValueSurvivesEncoding(t *testing.T) {
	c := testCodec(t)
	for n, typ := range c.commands.typ {
		want := filledOf(typ).Elem().Interface()
		encoded, err := c.command(want.(license.Command))
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := c.decodeEntry(c.entry(5, [][]byte{encoded}))
		if err != nil || !reflect.DeepEqual(got[0], want) {
			t.Errorf("command %d: got %+v, %v; want %+v", n, got, err, want)
		}
	}
	for n, typ := range c.facts.typ {
		want := license.Event{Seq: 9, At: 5, Fact: filledOf(typ).Elem().Interface().(license.Fact)}
		b, _, err := c.packEvents([]license.Event{want})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unpackOne(c, 9, b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("fact %d: got %+v, %v; want %+v", n, got, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	c := testCodec(f)
	cmd, err := c.command(start(1, 1, "WS-1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.entry(7, [][]byte{cmd, cmd}))
	f.Add([]byte{entryVersion, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{journalVersion, 1, 2, 3, 0xa1, 1, 0xa0})
	f.Add([]byte{endedVersion, 2, recordVersion, 0xa0})
	f.Add([]byte{positionVersion, 0xa1, 4, 0x41, 0xff})
	f.Add([]byte(snapshotMagic + "\x03abc\x01k\x01v\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, commands, err := c.decodeEntry(b); err == nil {
			var encoded [][]byte
			for _, cmd := range commands {
				e, err := c.command(cmd)
				if err != nil {
					t.Fatalf("%+v was read and cannot be written: %v", cmd, err)
				}
				encoded = append(encoded, e)
			}
			if _, again, err := c.decodeEntry(c.entry(at, encoded)); err != nil || len(again) != len(commands) {
				t.Fatalf("what was read and written is %d commands, %v; want %d", len(again), err, len(commands))
			}
		}
		for kind := range 256 { // every table there is, or may be
			_, _ = c.decodeRecord(license.KeyKind(kind), b)
		}
		_, _ = unpackOne(c, 1, b)
		_ = c.unpackTombstones(b, func(*license.Tombstone) error { return nil })
		if p, err := c.decodePosition(b); err == nil {
			_, _ = p.configuration()
		}
		_ = checkSnapshot(bytes.NewReader(b))
		_, _, _, _ = readFrame(bytes.NewReader(b))
	})
}
