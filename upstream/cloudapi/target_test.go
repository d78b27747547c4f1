package cloudapi_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"sitegate/upstream/cloudapi"
)

// What ParseTarget lets through is a name and a port, is its own normal form, and is an address to nobody.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"login.vendor.example:443", "LOGIN.vendor.example.:443", "[::1]:443", "10.1:443", "0x7f.1:80", "a@b:1", "a..b:1", ":1", "1e1:1", "a_b:1", "0b1:1", "1_0:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := cloudapi.ParseTarget(s)
		if err != nil {
			return
		}
		again, err := cloudapi.ParseTarget(target)
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
