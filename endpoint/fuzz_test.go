package endpoint

import (
	"encoding/json"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"sitegate/api"
)

// Whatever a client sends, it is refused as malformed or read as the one thing it
// says: what was read and written again reads the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"id":"x","product":"p","machine":{"id":"m","name":"n"}}`, `{"a":[{"b":{}}],"a":1}`, `{"id":"x"}{`,
		`{"ID":"x"}`, "{\"id\":\"\xff\"}", `[[[[[[[[[`, `{"machine":{"id":"a","id":"b"}}`, `{"id":"\u0000"}`, ` null `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var in api.StartRequest
		if err := unmarshal(data, &in); err != nil {
			if e, ok := err.(*trouble); !ok || e.code != api.CodeMalformed || e.detail == "" {
				t.Fatalf("refused with %v; want malformed, with a reason", err)
			}
			return
		}
		written, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var again api.StartRequest
		if err := unmarshal(written, &again); err != nil || !reflect.DeepEqual(in, again) {
			t.Fatalf("%q was read as %+v, and then as %+v, %v", data, in, again, err)
		}
	})
}

// What parseTarget lets through is a name and a port, is its own normal form, and
// is an address to nobody.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"login.vendor.example:443", "LOGIN.vendor.example.:443", "[::1]:443", "10.1:443", "0x7f.1:80", "a@b:1", "a..b:1", ":1", "1e1:1", "a_b:1", "0b1:1", "1_0:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := parseTarget(s)
		if err != nil {
			return
		}
		again, err := parseTarget(target)
		if err != nil || again != target {
			t.Fatalf("%q became %q, and that %q, %v", s, target, again, err)
		}
		name, _, err := net.SplitHostPort(target)
		if err != nil || name != strings.ToLower(name) || strings.HasSuffix(name, ".") {
			t.Fatalf("%q became %q, %v", s, target, err)
		}
		if _, err := netip.ParseAddr(name); err == nil || net.ParseIP(name) != nil {
			t.Fatalf("%q is an address", target)
		}
	})
}
