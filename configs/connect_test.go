package configs_test

import (
	"fmt"
	"strings"
	"testing"
)

// withDoor is a short configuration with a forward proxy, and more.
func withDoor(connect, more string) string {
	return "api: {listen: 127.0.0.1:8443}\negress: {direct: true}\nsign_in: [{issuer: \"https://sign-in.example.com\", audience: licenses}]\n" +
		"connect: {listen: 127.0.0.1:3128, " + connect + "}\n" + more
}

// What the forward proxy would not start with is found beforehand, once, at the key that it is said at.
func TestTheForwardProxysListIsReadAsItWillBe(t *testing.T) {
	allow := func(a string) string { return fmt.Sprintf("allow: [%q]", a) }
	for name, x := range map[string]struct{ connect, more, want string }{
		"an address in short":          {allow("10.1:443"), "", `connect.allow[1]: "10.1:443": an address is no name`},
		"one in hexadecimal":           {allow("0x7f.1:443"), "", `connect.allow[1]: "0x7f.1:443": an address is no name`},
		"a port with a nought":         {allow("host.example:0443"), "", `connect.allow[1]: "host.example:0443": the target must be name:port`},
		"port 0":                       {allow("host.example:0"), "", `connect.allow[1]: "host.example:0" has port 0`},
		"a wildcard":                   {allow("*.host.example:443"), "", `connect.allow[1]: "*.host.example" is neither`},
		"a sign-in that relays":        {allow("a.example:443"), "relay: {url: \"https://licenses.site.example\", discovery_url: \"https://IMS.bentley.com./discovery.asmx\"}\n", `connect.vendor_hosts: brings ims.bentley.com:443`},
		"a relay to an address":        {allow("a.example:443"), "relay: {url: \"https://licenses.site.example\", discovery_url: \"https://10.1/discovery.asmx\"}\n", ""},
		"the two where it lets tunnel": {allow("a.example:443") + ", relayed: tunnel", "relay: {url: \"https://licenses.site.example\", discovery_url: \"https://ims.bentley.com/discovery.asmx\"}\n", ""},
		"without the vendor's":         {allow("a.example:443") + ", vendor_hosts: false", "relay: {url: \"https://licenses.site.example\", discovery_url: \"https://ims.bentley.com/discovery.asmx\"}\n", ""},
		"few tunnels":                  {allow("a.example:443") + ", tunnels: 50", "", ""},
		"none each":                    {allow("a.example:443") + ", tunnels_each: 0", "", "connect.tunnels_each: is 0"},
		"fine":                         {allow("Host.Example.:8443"), "", ""},
	} {
		_, _, err := load(t, withDoor(x.connect, x.more))
		said := ""
		if err != nil {
			said = err.Error()
		}
		if (x.want == "") != (err == nil) || !strings.Contains(said, x.want) || strings.Count(said, "connect.allow[") > 1 {
			t.Errorf("%s: got %q, want %q once", name, said, x.want)
		}
	}
}
