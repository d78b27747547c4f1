package endpoint

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"sitegate/api"
	"sitegate/license"
)

const (
	observedFor = 7 * 24 * time.Hour // where nobody says from when
	// observedLook is how many events are looked through for the counts.
	observedLook = 5_000_000
)

// observed is GET /v1/site/refusals/observed: what would have been refused, counted by product
// and network; for one at a time, since millions of events are read for it.
func (e *Endpoint) observed(c *call) (reply, error) {
	if !e.counting.TryLock() {
		return reply{}, TooMany("refusals are being counted for somebody", auditAgain)
	}
	defer e.counting.Unlock()
	now := e.gw.Now()
	from, err := moment(c.r.URL.Query(), "from", now.Add(-observedFor).Std())
	if err != nil {
		return reply{}, err
	}
	begin := max(license.TimeOf(from), e.since())
	var networks []netip.Prefix // of the modes, the longest first
	e.gw.View(func(s *license.State) {
		for _, m := range s.Head().Settings.Modes {
			if p, err := netip.ParsePrefix(m.Network); err == nil && !slices.Contains(networks, p) {
				networks = append(networks, p)
			}
		}
	})
	slices.SortFunc(networks, func(a, b netip.Prefix) int { return cmp.Compare(b.Bits(), a.Bits()) })
	type line struct{ product, network string }
	counts, users := map[line]*api.ObservedCount{}, map[line]map[license.UserID]bool{}
	tooOld := false
	_, reached, err := e.gw.Recall(c.ctx, 0, 1, observedLook, func(event license.Event) bool {
		if event.At < begin {
			tooOld = true
			return true // and so is what was before
		}
		f, is := event.Fact.(license.WouldHaveRefused)
		if !is {
			return false
		}
		x := line{product: string(f.Denial.Product)}
		if addr, err := netip.ParseAddr(f.Address); err == nil {
			if i := slices.IndexFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) }); i >= 0 {
				x.network = networks[i].String()
			}
		}
		if counts[x] == nil {
			counts[x], users[x] = &api.ObservedCount{Product: x.product, Network: x.network, Last: event.At.Std()}, map[license.UserID]bool{} // the latest comes first
		}
		counts[x].Refusals++
		users[x][f.User] = true
		return false
	})
	if err != nil {
		return reply{}, err
	}
	out := api.ObservedCounts{From: begin.Std(), To: now.Std(), Whole: tooOld || reached == 0, Items: []api.ObservedCount{}}
	e.gw.View(func(s *license.State) {
		for x, n := range counts {
			n.Users = len(users[x])
			if x.product != "" {
				n.Name, _ = shownProduct(s, license.ProductID(x.product))
			}
			out.Items = append(out.Items, *n)
		}
	})
	slices.SortFunc(out.Items, func(a, b api.ObservedCount) int {
		return cmp.Or(cmp.Compare(b.Refusals, a.Refusals), cmp.Compare(a.Product, b.Product), cmp.Compare(a.Network, b.Network))
	})
	return reply{status: http.StatusOK, body: out}, nil
}
