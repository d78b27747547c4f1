package license_test

import (
	"strings"
	"testing"

	"sitegate/license"
)

func TestWhoIsSaidToActFits(t *testing.T) {
	long := strings.Repeat("é", license.MaxName/2)
	for by, want := range map[string]string{"root": "root at n2", "": "", long: strings.Repeat("é", 125) + " at n2"} {
		if got := license.SaidAt(by, "n2"); got != want {
			t.Errorf("%q: got %q, want %q", by, got, want)
		}
	}
}
