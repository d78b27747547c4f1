package raftstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Every third bit of the small files that a node goes by is flipped once: that is said, with the
// file's name and the way out, or the file still says the same.
func TestRottenBitsOfSmallFilesAreNoticed(t *testing.T) {
	dir := t.TempDir()
	id := identity{Cluster: testCluster, Node: "n1", Instance: "8d6f0c1a-7d1b-4b7e-9d9e-0a0b0c0d0e0f", Joined: true,
		Members: []Peer{{Name: "n2", Address: "10.0.0.2:8484"}}, Founders: map[string]string{"n1": "a", "n2": "b"}}
	seen := map[string]progressed{"n2": {Term: 3, Index: 1042}, "n3": {Term: 3, Index: 977}}
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	d := testDisk(t, state, c)
	name := d.name
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(state, string(name[:5])+"0"+name[6:]), 0o700); err != nil { // what a crash has left beside it
		t.Fatal(err)
	}
	m := &memory{path: filepath.Join(dir, memoryFile), seen: seen, dirty: true}
	if err := errors.Join(id.write(filepath.Join(dir, identityFile)), m.save()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file, way string
		read      func() (any, error)
		want      any
	}{
		{filepath.Join(dir, identityFile), "restore it from a copy of this very node", func() (any, error) { return readIdentity(filepath.Join(dir, identityFile)) }, id},
		{filepath.Join(dir, memoryFile), "remove it", func() (any, error) {
			m, err := openMemory(dir)
			if err != nil {
				return nil, err
			}
			return m.all(), nil
		}, seen},
		{filepath.Join(state, currentFile), "restore the data folder from a backup", func() (any, error) { return d.current() }, name},
	} {
		t.Run(filepath.Base(test.file), func(t *testing.T) {
			whole, err := os.ReadFile(test.file)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := test.read(); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Fatalf("the whole file: got %+v, %v; want %+v", got, err, test.want)
			}
			noticed := 0
			for bit := 0; bit < 8*len(whole); bit += 3 {
				rotten := bytes.Clone(whole)
				rotten[bit/8] ^= 1 << (bit % 8)
				if err := os.WriteFile(test.file, rotten, 0o600); err != nil {
					t.Fatal(err)
				}
				got, err := test.read()
				switch {
				case err != nil && strings.Contains(err.Error(), test.file) && strings.Contains(err.Error(), test.way):
					noticed++
				case err != nil:
					t.Errorf("bit %d: %v; want it to name %s, and to say %q", bit, err, test.file, test.way)
				case !reflect.DeepEqual(got, test.want):
					t.Errorf("bit %d: it says %+v, and was %+v:\n%s", bit, got, test.want, rotten)
				}
			}
			if noticed < 7*len(whole)/3 {
				t.Errorf("%d of %d bits were noticed, want nearly all", noticed, 8*len(whole)/3)
			}
		})
	}
}

// What programs before the checksums have written is read, and what is written now is read
// by them.
func TestSmallFilesOfEarlierProgramsAreRead(t *testing.T) {
	dir := t.TempDir()
	id := identity{Cluster: testCluster, Node: "n1", Instance: "8d6f0c1a-7d1b-4b7e-9d9e-0a0b0c0d0e0f"}
	path := filepath.Join(dir, identityFile)
	old, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(old, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := identify(dir, "n1", "")
	if err == nil {
		got, err = got.summed(path)
	}
	if err != nil || !reflect.DeepEqual(got, id) {
		t.Errorf("whose data folder it is: got %+v, %v; want %+v", got, err, id)
	}
	now, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(now, []byte(checksumBefore)) {
		t.Errorf("after the first start: %v\n%s\nwant it with a checksum", err, now)
	}
	var then identity
	if err := json.Unmarshal(now, &then); err != nil || !reflect.DeepEqual(then, id) {
		t.Errorf("an earlier program reads %+v, %v; want %+v", then, err, id)
	}
	for text, want := range map[string]map[string]progressed{
		`{"n2":{"term":3,"index":7}}` + "\n": {"n2": {3, 7}},
		"{}\n":                               {},
		`{"checksum":{"term":3,"index":7},"n2":{"term":3,"index":9}}` + "\n":                          {"checksum": {3, 7}, "n2": {3, 9}},
		`{"a1":{"term":3,"index":7},"checksum":{"term":3,"index":8}}` + "\n":                          {"a1": {3, 7}, "checksum": {3, 8}},
		`{"a":{"term":3,"index":7},"checksum-2":{"term":3,"index":8}}` + "\n":                         {"a": {3, 7}, "checksum-2": {3, 8}},
		`{"checksum":{"term":0,"index":0},"n2":{"term":3,"index":7}}` + "\n":                          {"n2": {3, 7}}, // after one of these programs, an earlier one
		`{"a":{"term":3,"index":7},"checksum":{"term":0,"index":0},"n2":{"term":3,"index":7}}` + "\n": {"a": {3, 7}, "n2": {3, 7}},
	} {
		if err := os.WriteFile(filepath.Join(dir, memoryFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := openMemory(dir)
		if err != nil || !reflect.DeepEqual(m.all(), want) {
			t.Errorf("what is remembered: got %+v, %v; want %+v:\n%s", m, err, want, text)
			continue
		}
		m.dirty = true
		if err := m.save(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(m.path)
		if err != nil {
			t.Fatal(err)
		}
		var then map[string]progressed
		if err := json.Unmarshal(b, &then); err != nil || then["n2"] != want["n2"] {
			t.Errorf("an earlier program remembers %+v, %v; want %+v", then, err, want)
		}
		if m, err := openMemory(dir); err != nil || !reflect.DeepEqual(m.all(), want) {
			t.Errorf("what is remembered, written anew: got %+v, %v; want %+v", m, err, want)
		}
		if b, err = json.Marshal(then); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := openMemory(dir); err != nil || !reflect.DeepEqual(m.all(), want) {
			t.Errorf("what an earlier program has written of it: got %+v, %v; want %+v:\n%s", m, err, want, b)
		}
	}
}

// Where the name of the current state is lost, none is begun beside those that are there.
func TestAStateWithoutItsNameIsNotBegunAnew(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"plain", "a[b]c", "a[b"} {
		dir := filepath.Join(t.TempDir(), folder)
		d := testDisk(t, dir, c)
		stateHistory(t, d, 2, func(int) {})
		if err := errors.Join(d.close(), os.Remove(filepath.Join(dir, currentFile))); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openDisk(dir, badgers{}, c, testLog(t, "n1")); err == nil || !strings.Contains(err.Error(), "is missing") || !strings.Contains(err.Error(), filepath.Join(dir, d.name)) {
			t.Errorf("%s: opened with %v; want a refusal that names the state", folder, err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, d.name)); err != nil || len(left) == 0 {
			t.Errorf("%s: left of the state: %v, %v; want all of it", folder, left, err)
		}
	}
}

// The logs of a state are found whatever its folder is called.
func TestLogsAreFoundWhateverTheFolderIsCalled(t *testing.T) {
	for _, folder := range []string{"a[b]c", "a[b"} {
		dir := filepath.Join(t.TempDir(), folder)
		o := badgerOptions(dir, slog.New(slog.DiscardHandler))
		if err := checkFiles(o); err != nil {
			t.Errorf("%s: before there is one: %v", folder, err)
		}
		empty, torn := filepath.Join(dir, "00001.mem"), filepath.Join(dir, "00002.mem")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(empty, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := checkFiles(o); err != nil {
			t.Errorf("%s: with an empty log: %v", folder, err)
		}
		if _, err := os.Stat(empty); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the empty log: %v; want it removed", folder, err)
		}
		for _, path := range []string{empty, torn} {
			if err := os.WriteFile(path, bytes.Repeat([]byte("no log"), 100), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkFiles(o); !errors.Is(err, errStateDamaged) {
			t.Errorf("%s: with a damaged log: %v; want %v", folder, err, errStateDamaged)
		}
	}
}

// A folder that cannot have its name is not left behind.
func TestAFolderWithoutItsNameIsNotLeft(t *testing.T) {
	dir := t.TempDir()
	const longest = 4095                           // bytes of a path
	for room := longest - len("/04294967295"); ; { // a folder fits in, a longer name does not
		rest := room - len(dir) - 1
		if rest < 1 {
			break
		}
		if rest > 200 {
			rest = 100
		}
		dir = filepath.Join(dir, strings.Repeat("d", rest))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &disk{dir: dir}
	if name, err := d.receive(); err == nil {
		t.Fatalf("it is called %s; want its name to be too long", name)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v; want none", left, err)
	}
}
