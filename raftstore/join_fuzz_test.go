package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

// FuzzToken: whatever is given for a token, it is read as the token it was made as,
// or refused; and a slip of the keyboard is noticed.
func FuzzToken(f *testing.F) {
	t, err := newToken(testCluster, [32]byte{1, 2, 3}, []string{"10.20.0.1:7443", "gw2.example:7443"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(t.Text(), 20)
	f.Add(" "+t.Text()+"\r\n", 40)
	f.Add(tokenPrefix, 0)
	f.Add("sitegate-join-9.AAAA", 3)
	f.Add(strings.Repeat("sitegate-join-1.", 400), 1)
	f.Fuzz(func(t *testing.T, text string, at int) {
		got, err := ParseToken(text)
		if err != nil {
			return
		}
		if got.Text() != strings.TrimSpace(text) {
			t.Fatalf("%q reads as a token that is written %q", text, got.Text())
		}
		if strings.Contains(got.String(), text) {
			t.Fatal("a token shows its secret")
		}
		bad := []byte(got.Text())
		at = len(tokenPrefix) + max(at, -at-1)%(len(bad)-len(tokenPrefix))
		if bad[at]++; bad[at] == '+' || bad[at] == '/' {
			return
		}
		if other, err := ParseToken(string(bad)); err == nil && !reflect.DeepEqual(other, got) {
			t.Fatalf("%q was mistyped and is taken", bad)
		}
	})
}

// nodeMessages are what nodes send each other, but for what is forwarded: requests and
// answers, and what a newcomer and a node that connects say.
func nodeMessages() []any {
	return []any{
		joinRequest{Protocol: protocol, Secret: []byte("secret"), Node: "gw2", Instance: "i", Address: "10.20.0.2:7443", CSR: []byte{1, 2, 3}, Version: "v1"},
		joinAnswer{Certificate: []byte{1}, Members: []joinMember{{"gw1", "10.20.0.1:7443"}}, Tempo: "lan"},
		joinAnswer{verdict: verdict{Refused: "no"}},
		Removal{Node: "gw2", By: "root", Note: "lost", Force: true}, about{Applied: 7, Last: 8, Version: "v1", Ends: 9, Signs: true},
		moved{"10.20.0.9:7443"}, toSign{[]byte{1}}, signed{[]byte{1}}, verdict{Refused: "no"},
		hello{Protocol: 1, Cluster: testCluster, Node: "gw1", Instance: "i", Address: "10.20.0.1:7443", Has: progressed{3, 4}},
		termReport{Term: 3, Wall: 1_770_000_000_123, Now: 1_770_000_000_000, Leading: true, Last: 1042, Disk: DiskLow, Drained: true},
		loss{Leader: "gw1", Term: 3, LastTerm: 3, LastIndex: 1042, Stands: true},
		digestQuestion{[]uint64{1, 1042}}, digestAnswer{Sums: map[uint64]uint64{1: 2, 1042: 1 << 63}, Last: 1042},
		levelReport{Level: 2, Holds: true}, recollection{Term: 3, Committed: 1042, Seen: map[string]progressed{"gw1": {3, 1042}, "gw2": {2, 7}}}, committed{1042},
		renewMessage{[]license.Renewal{{}, {}}}, renewAnswer{[]license.Lease{{}}},
		drainWish{time.Minute}, Rekey{By: "it", Note: "lost", Overlap: time.Hour, CutOff: true},
		license.IssueToken{By: "it", Until: 1_770_000_000_123, NotAfter: 1_770_000_000_000},
	}
}

// FuzzNodeRequests: what comes over the peer port is read whole, and reads again as the
// same, or is refused; by each of the ways that nodes read: strictly what decides, and
// without what a later version has added what another node says of itself.
func FuzzNodeRequests(f *testing.F) {
	c := testCodec(f)
	var types []reflect.Type
	for _, m := range nodeMessages() {
		b, err := c.enc.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if t := reflect.TypeOf(m); !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	ways := map[string]func(b []byte, into any) error{
		"greeting": func(b []byte, into any) error {
			if len(b) > 1<<16-1 {
				return errors.New("too long")
			}
			return readMessage(bytes.NewReader(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)), c, into)
		},
		"request":        func(b []byte, into any) error { return c.value(b, reflect.ValueOf(into)) },
		"strict request": func(b []byte, into any) error { return c.dec.Unmarshal(b, into) },
		"answer":         func(b []byte, into any) error { return c.message(b, reflect.ValueOf(into)) },
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, typ := range types {
			for way, read := range ways {
				into := reflect.New(typ).Interface()
				if err := read(b, into); err != nil {
					continue
				}
				if r, ok := into.(*joinRequest); ok && r.check() == nil && (checkAddress(r.Address) != nil || !nodeName.MatchString(r.Node)) {
					t.Fatalf("%+v passes", r)
				}
				again, err := c.enc.Marshal(into)
				if err != nil {
					t.Fatalf("%s: %T does not encode: %v", way, into, err)
				}
				second := reflect.New(typ).Interface()
				if err := read(again, second); err != nil {
					t.Fatalf("%s: %T does not read what it wrote: %v", way, into, err)
				}
				if third, err := c.enc.Marshal(second); err != nil || !bytes.Equal(again, third) {
					t.Fatalf("%s: %T changes as it is read: %x, %x, %v", way, into, again, third, err)
				}
			}
		}
	})
}
