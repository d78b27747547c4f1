//go:build !windows

package desktop

import "testing"

func TestNobodyComesFromElsewhereHere(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.8 22")
	if name, there := Origin(); there {
		t.Errorf("Origin = %q, want none: an address is no machine's name", name)
	}
}
