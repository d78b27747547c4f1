package configs

import (
	"strings"
	"testing"
)

// Whatever a file holds, reading it ends, and nothing invalid passes for valid.
func FuzzRead(f *testing.F) {
	f.Add(SingleNode)
	f.Add("cluster: {peers: [{name: a, address: 'a:1'}]}\nrules: {lease_ttl: 1d}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, d := Default(), &decoder{file: "f.yaml", dir: "/etc", origins: Origins{}}
		if err := d.read(strings.NewReader(text), &c); err != nil {
			return
		}
		c, origins, err := d.finish(c, func(string) string { return "" }, nil)
		if err == nil && c.Validate() != nil {
			t.Errorf("read, but not valid: %v", c.Validate())
		}
		c.Settings(origins)
	})
}
