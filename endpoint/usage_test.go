package endpoint

import (
	"fmt"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

func TestPeaksAreAskedForByDaysAndInPages(t *testing.T) {
	node := filled(t)
	var asked string
	day := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	node.peaks = func(from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error) {
		asked = fmt.Sprintf("%v to %v of %q", from, until, product)
		to := min(until, license.TimeOf(day.Add(48*time.Hour)))
		return []license.Peak{{Day: from, Product: "road", Machines: 7, At: from.Add(10 * time.Minute), Pooled: 2, PooledAt: from}}, to, nil
	}
	_, it := operated(t, node)
	var list api.List[api.Peak]
	it.want(t, 200, "", "GET", "/v1/usage/peaks?from=2026-11-02&to=2026-11-10T12:00:00Z&product=road", nil).into(t, &list)
	if want := `2026-11-02T00:00:00Z to 2026-11-10T12:00:00Z of "road"`; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	want := api.Peak{Day: day, Product: "road", Name: list.Items[0].Name, Machines: 7, At: day.Add(10 * time.Minute), Pooled: 2, PooledAt: day}
	if len(list.Items) != 1 || list.Items[0] != want || list.Items[0].Name == "" || list.Next != "2026-11-04T00:00:00Z" {
		t.Errorf("got %+v", list)
	}
	it.want(t, 200, "", "GET", "/v1/usage/peaks?from=2026-11-02&to=2026-11-03&after="+list.Next, nil)
	it.want(t, 200, "", "GET", "/v1/usage/peaks?from=2026-11-02&to=2026-11-10&after=2026-11-09", nil).into(t, &list)
	if want := `2026-11-09T00:00:00Z to 2026-11-10T00:00:00Z of ""`; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
	it.want(t, 200, "", "GET", "/v1/usage/peaks", nil)
	for _, bad := range []string{"from=yesterday", "to=x", "after=1", "from=2026-11-03&to=2026-11-02", "from=2025-01-01&to=2026-11-02", "from=1969-12-31&to=1970-01-02", "product=%00"} {
		if p := it.want(t, 400, "", "GET", "/v1/usage/peaks?"+bad, nil).problem(t); p.Code != "malformed" {
			t.Errorf("%s: %+v", bad, p)
		}
	}
	node.peaks = func(license.Time, license.Time, license.ProductID) ([]license.Peak, license.Time, error) {
		return nil, 0, gateway.ErrTooMuch
	}
	if p := it.want(t, 413, "", "GET", "/v1/usage/peaks", nil).problem(t); p.Code != "too-large" {
		t.Errorf("too many machines: %+v", p)
	}
}
