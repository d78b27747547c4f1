package license_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sitegate/license"
)

// However deletions are cut into pages, announced, read anew or spread over a day: as
// long as nobody accepts it, a day takes no more than half of what there was.
func TestNoCuttingIntoPiecesTakesMoreThanHalf(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 80))
		s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
		n := license.MinShrink*2 + r.IntN(400)
		apply := func(c license.Command) license.Outcome {
			out, _ := license.Apply(s, license.Entry{At: now, Command: c})
			return out
		}
		fill := license.Mirror{Cursor: "0", Full: true, Last: true, Changes: []license.Change{{Product: &license.Product{ID: "micro"}}}}
		for i := range n {
			user := license.UserID(fmt.Sprint("u", i))
			fill.Changes = append(fill.Changes, license.Change{User: &license.User{ID: user}},
				license.Change{License: &license.License{ID: license.LicenseID(user), Product: "micro", Assignee: user}})
		}
		apply(fill)
		denied := false
		for step := range 300 {
			now = now.Add(time.Duration(r.IntN(280)) * time.Second) // a day at the most
			m := license.Mirror{From: s.Head().Cursor, Cursor: fmt.Sprint(step), Last: r.IntN(2) == 0}
			if r.IntN(3) == 0 {
				m.From, m.Full = "", true
			}
			for range r.IntN(40) {
				id := fmt.Sprint("u", r.IntN(n))
				switch r.IntN(3) {
				case 0:
					m.Changes = append(m.Changes, license.Change{DeleteUser: license.UserID(id)})
				case 1:
					m.Changes = append(m.Changes, license.Change{DeleteLicense: license.LicenseID(id)})
				case 2:
					m.Changes = append(m.Changes, license.Change{License: &license.License{ID: license.LicenseID(id), Product: "micro"}})
				}
			}
			out := apply(m)
			denied = denied || out.Denial != nil && out.Denial.Reason == license.MirrorShrunk
			if r.IntN(50) == 0 {
				s = s.Clone() // as a node does that comes back
			}
		}
		c := s.Counts()
		if least := (n + 1) / 2; c.Users < least || c.Licenses < least || c.Assigned < least {
			t.Fatalf("seed %d: of %d each there are %d users, %d licenses and %d assignments left", seed, n, c.Users, c.Licenses, c.Assigned)
		}
		if !denied {
			t.Fatalf("seed %d: nothing was ever too much", seed)
		}
	}
}
