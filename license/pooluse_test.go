package license

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A ProductUse has the days of a window and no others, in whatever portions they
// come.
func TestProductUseIsTheDaysOfItsWindow(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 60))
	for range 2000 {
		var use ProductUse
		days := map[Day]bool{}
		today := Day(r.IntN(100)) // near the beginning of time, too
		for range 12 {
			today += Day(r.IntN(1 + r.IntN(70)))
			first := today - min(today, Day(r.IntN(90)))
			last := first + Day(r.IntN(int(today-first)+1))
			use.add(first, last)
			for d := first; d <= last; d++ {
				days[d] = true
			}
			from := today - min(today, Day(r.IntN(70)))
			want, wantFirst := 0, Day(0)
			for d := today; d >= from && d+UseDays > today; d-- {
				// Its window ends with its last day, which may lie before today.
				if days[d] && d+UseDays > use.Last {
					want++
					wantFirst = d
				}
				if d == 0 {
					break
				}
			}
			if got, gotFirst := use.since(from, today); got != want || gotFirst != wantFirst {
				t.Fatalf("%d days from %d on, want %d from %d on; asked on day %d from day %d, of %+v", got, gotFirst, want, wantFirst, today, from, use)
			}
		}
	}
}

// What a user used lately is remembered, of so many products; what has expired is
// forgotten a little at a time.
func TestPoolUseIsBounded(t *testing.T) {
	s, now := NewState(), TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	Apply(s, Entry{now, Found{Cluster: "here", Level: Level}})
	var page []Change
	for i := range 3 * maxProductsUsed {
		p := ProductID(fmt.Sprintf("p%03d", i))
		page = append(page, Change{Product: &Product{ID: p}}, Change{License: &License{ID: LicenseID(p), Product: p, Kind: Commercial}})
	}
	for i := range 3 * maxForgotten {
		page = append(page, Change{User: &User{ID: benchUser(i), Country: "DE"}})
	}
	must := func(c Command) {
		t.Helper()
		if out, _ := Apply(s, Entry{now, c}); out.Denial != nil {
			t.Fatalf("%T is refused: %s", c, out.Denial.Reason)
		}
	}
	must(Mirror{Cursor: "1", Changes: page})
	id := 0
	use := func(user UserID, p int) {
		t.Helper()
		id++
		must(Start{ID: idN(id), User: user, Product: ProductID(fmt.Sprintf("p%03d", p)), Machine: benchMachine, Agreed: true})
		must(Stop{ID: idN(id), User: user, Machine: benchMachine})
	}
	for p := range 3 * maxProductsUsed {
		if p == maxProductsUsed {
			now = now.Add(24 * time.Hour)
		}
		use(benchUser(0), p)
	}
	of := s.poolUse[benchUser(0)].Of
	if len(of) != maxProductsUsed || of[0].Product < ProductID(fmt.Sprintf("p%03d", maxProductsUsed)) {
		t.Errorf("of %d products, the first %s; want %d, of the second day", len(of), of[0].Product, maxProductsUsed)
	}
	for i := range 3 * maxForgotten {
		use(benchUser(i), 1)
	}
	now = now.Add(UseDays * 24 * time.Hour)
	for want := 2 * maxForgotten; want >= 0; want -= maxForgotten {
		must(Link{Up: true})
		if got := len(s.poolUse); got != want {
			t.Errorf("%d users are remembered, want %d", got, want)
		}
	}
}
