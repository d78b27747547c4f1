package endpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// What would have been refused is counted by product and by the longest network of the modes,
// with how many users it would have met.
func TestWhatWouldHaveBeenRefusedIsCounted(t *testing.T) {
	r := newRig(t, filled(t))
	r.node.do(t, license.Configure{Settings: license.Settings{Modes: []license.Mode{{Network: "10.0.0.0/8", Observe: true}, {Product: "road", Network: "10.1.0.0/16", Observe: true}, {Network: "fd00::/8", Observe: true}}}})
	denied := func(user license.UserID, product license.ProductID, address string) {
		r.node.do(t, license.WouldRefuse{User: user, Machine: license.Machine{Name: "WS-" + string(user)}, Denial: license.Denial{Reason: license.MachineActive, Product: product, Machine: license.Machine{Name: "WS-1"}}, Address: address})
	}
	for range 3 {
		denied("ada", "road", "10.1.2.3")
	}
	denied("ben", "road", "10.1.9.9")
	denied("ben", "road", "10.2.0.1")
	denied("ben", "road", "192.0.2.1")
	denied("ben", "road", "")
	denied("ada", "bridge", "fd00::7")
	r.node.do(t, license.Refused{User: "ada", Machine: license.Machine{Name: "WS-3"}, Denial: license.Denial{Reason: license.MachineActive, Product: "road"}})
	var got api.ObservedCounts
	r.look(t, 200, "/v1/site/refusals/observed", &got)
	var lines []string
	for _, x := range got.Items {
		lines = append(lines, fmt.Sprintf("%s %q: %d of %d", x.Product, x.Network, x.Refusals, x.Users))
		if x.Last.IsZero() || x.Name == "" {
			t.Errorf("it has %+v", x)
		}
	}
	if want := []string{`road "10.1.0.0/16": 4 of 2`, `road "": 2 of 1`, `bridge "fd00::/8": 1 of 1`, `road "10.0.0.0/8": 1 of 1`}; !slices.Equal(lines, want) || !got.Whole {
		t.Errorf("got %q, whole %t; want %q, and all", lines, got.Whole, want)
	}
	r.look(t, 200, "/v1/site/refusals/observed?from="+got.To.Add(1e9).Format("2006-01-02T15:04:05Z"), &got)
	if len(got.Items) != 0 || !got.Whole {
		t.Errorf("from now on there are %+v", got)
	}
	r.look(t, 400, "/v1/site/refusals/observed?from=yesterday", nil)
}

// They are counted for one at a time: millions of events may be read for it.
func TestWhatWouldHaveBeenRefusedIsCountedForOne(t *testing.T) {
	r := newRig(t, filled(t))
	r.e.counting.Lock()
	var p api.Problem
	r.look(t, 429, api.PathObserved, &p)
	if p.RetryAfterMS == 0 || !strings.Contains(p.Detail, "refusals are being counted") {
		t.Errorf("nobody is told why, and when to come back: %+v", p)
	}
	r.e.counting.Unlock()
	for range 2 {
		r.look(t, 200, api.PathObserved, &api.ObservedCounts{})
	}
}
