package raftstore

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
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

// FuzzNodeRequests: what comes over the peer port about members is read whole, and
// reads again as the same, or is refused.
func FuzzNodeRequests(f *testing.F) {
	c := testCodec(f)
	for _, m := range []any{
		joinRequest{Protocol: protocol, Secret: []byte("secret"), Node: "gw2", Instance: "i", Address: "10.20.0.2:7443", CSR: []byte{1, 2, 3}, Version: "v1"},
		joinAnswer{Certificate: []byte{1}, Members: []joinMember{{"gw1", "10.20.0.1:7443"}}, Tempo: "lan"},
		joinAnswer{verdict: verdict{Refused: "no"}},
		Removal{Node: "gw2", By: "root", Note: "lost", Force: true}, about{Applied: 7, Last: 8, Version: "v1", Ends: 9, Signs: true},
		moved{"10.20.0.9:7443"}, toSign{[]byte{1}}, signed{[]byte{1}}, verdict{Refused: "no"},
		hello{Protocol: 1, Cluster: testCluster, Node: "gw1", Instance: "i", Address: "10.20.0.1:7443"},
	} {
		b, err := c.enc.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{&joinRequest{}, &joinAnswer{}, &Removal{}, &about{}, &moved{}, &toSign{}, &signed{}, &verdict{}, &hello{}} {
			if len(b) > 1<<16-1 {
				return
			}
			framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
			if err := readMessage(bytes.NewReader(framed), c, into); err != nil {
				continue
			}
			if r, ok := into.(*joinRequest); ok && r.check() == nil && (checkAddress(r.Address) != nil || !nodeName.MatchString(r.Node)) {
				t.Fatalf("%+v passes", r)
			}
			again, err := c.enc.Marshal(into)
			if err != nil {
				t.Fatalf("%T does not encode: %v", into, err)
			}
			second := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			if err := c.dec.Unmarshal(again, second); err != nil {
				t.Fatalf("%T does not read what it wrote: %v", into, err)
			}
			if third, err := c.enc.Marshal(second); err != nil || !bytes.Equal(again, third) {
				t.Fatalf("%T changes as it is read: %x, %x, %v", into, again, third, err)
			}
		}
	})
}
