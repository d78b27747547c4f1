package license

import (
	"fmt"
	"time"
)

// What the vendor tells of a site in a random script.

func (s *script) mirror(state *State) Command {
	s.page++
	c := Mirror{From: state.Head().Cursor, Cursor: fmt.Sprint("page-", s.page), Full: s.pick(6) == 0}
	if s.pick(8) == 0 {
		c.From = oneOf(s, "", "elsewhere")
	}
	for range s.pick(3) {
		if s.pick(3) == 0 {
			c.Changes = append(c.Changes, s.newEnd(state))
		} else {
			c.Changes = append(c.Changes, s.change())
		}
	}
	if s.crowd > 0 {
		c.Last = s.pick(3) == 0
	}
	if s.pick(16) == 15 {
		return Import{By: oneOf(s, "ida", "ida", ""), Changes: c.Changes, Last: s.pick(2) == 0}
	}
	return c
}

// people are some of the crowd, each with a license.
func (s *script) people(from, n int) []Change {
	var changes []Change
	for i := from; i < from+n && i < s.crowd; i++ {
		user := UserID(fmt.Sprint("u", i))
		changes = append(changes, Change{User: &User{ID: user, Country: "FR"}},
			Change{License: &License{ID: LicenseID(fmt.Sprint("M", i)), Product: "stad", Assignee: user}})
	}
	return changes
}

// shrink takes some of the crowd away, or brings it back, and is what is done about
// it.
func (s *script) shrink(state *State) Command {
	s.page++
	c := Mirror{From: state.Head().Cursor, Cursor: fmt.Sprint("page-", s.page), Full: s.pick(4) == 0, Last: s.pick(2) == 0}
	n := oneOf(s, 3, 10, 19, 25, 40)
	if s.pick(4) == 0 {
		c.Losing = Sizes{Users: s.pick(50), Licenses: s.pick(50), Assignments: s.pick(50) - 1}
	}
	from, what := s.pick(40), s.pick(10)
	switch h := state.Head().Held; {
	case h.Since == 0 || s.pick(2) == 0:
	case h.Accepted == 0:
		what = 7
	default:
		n, from, what = 40, 0, 2+what%3
	}
	switch what {
	case 0, 1:
		c.Changes = s.people(0, s.crowd)
	case 2, 3, 4:
		for _, change := range s.people(from, n) {
			switch {
			case what == 2 && change.User != nil:
				change = Change{DeleteUser: change.User.ID}
			case what == 3 && change.License != nil:
				change = Change{DeleteLicense: change.License.ID}
			case what == 4 && change.License != nil:
				change.License.Assignee = oneOf[UserID](s, "", "ann")
			}
			c.Changes = append(c.Changes, change)
		}
	case 5, 6:
		return HoldBack{Losing: Sizes{Users: n, Licenses: s.pick(50), Assignments: s.pick(50) - 1}}
	case 7:
		return AcceptShrink{By: oneOf(s, "root", "root", ""), Note: "meant"}
	case 8:
		switch s.pick(6) {
		case 3:
			return LetPass{Over: s.pick(3) == 0, By: oneOf(s, "root", "root", ""), Note: oneOf(s, "no starts", "no starts", "")}
		case 4:
			return EndBypass{}
		case 0, 1:
			return Maintain{Maintenance{From: oneOf(s, 0, s.at, s.at+Time(n)), Until: oneOf(s, 0, s.at+Time(n), s.at+Time(n)*1000), By: oneOf(s, "root", "root", ""), Note: "work"}}
		}
		return AcceptTime{From: Time(n), By: oneOf(s, "root", "root", ""), Note: "meant"}
	default:
		c.Last = true
	}
	return c
}

// newEnd is a change of a license by which something runs: it ends at another time.
func (s *script) newEnd(state *State) Change {
	x := state.Session(s.running(state))
	if x == nil || state.License(x.License) == nil {
		return s.change()
	}
	l := *state.License(x.License)
	l.Ends = oneOf(s, 0, 0, s.at.Add(-time.Minute), s.at.Add(time.Minute), s.at.Add(40*time.Minute), s.at.Add(40*time.Minute), s.at.Add(48*time.Hour))
	return Change{License: &l}
}

func (s *script) change() Change {
	if s.pick(2) > 0 {
		return oneOf(s, siteRecords()...)
	}
	switch s.pick(11) {
	case 8, 9:
		// What the account has for all comes, goes, and ends at another time.
		return Change{License: &License{ID: oneOf[LicenseID](s, "P1", "P2"), Product: s.product(), Kind: oneOf(s, Commercial, Commercial, Trial),
			Countries: oneOf(s, nil, nil, []string{"FR"}), Ends: oneOf(s, 0, s.at, s.at.Add(time.Minute), s.at.Add(2*time.Hour), s.at.Add(48*time.Hour))}}
	case 10:
		return oneOf(s, Change{User: &User{ID: s.user(), Country: oneOf(s, "DE", "FR")}}, Change{DeleteLicense: "P1"}, Change{DeleteLicense: "P2"})
	case 0:
		return Change{User: &User{ID: s.user(), Blocked: s.pick(3) == 0, Country: oneOf(s, "DE", "FR", "fr", ""),
			Email: oneOf(s, "", "ann@acme.example", "bob@acme.example", "Desk@acme.example"), Roles: Roles(s.pick(16)),
			OtherAccount: s.pick(4) == 0}}
	case 1:
		return Change{Product: &Product{ID: s.product(), Capped: Capped(s.pick(3)), V8i: s.pick(5) == 4, NeedsFeature: s.pick(5) == 4}}
	case 2:
		return Change{DeleteUser: s.user(), Malformed: oneOf(s, "", "", "odd")}
	case 3:
		return Change{DeleteProduct: s.product(), Malformed: oneOf(s, "", "", "odd", "odder")}
	case 4:
		return Change{DeleteLicense: s.license(), Malformed: oneOf(s, "", "odd")}
	case 5:
		return Change{Account: &Account{ID: "acme", AutonomyCapped: oneOf(s, 0, time.Hour), AutonomyUncapped: time.Hour,
			Administrators:     oneOf(s, nil, []Administrator{{Email: "Ann@acme.example"}, {Name: "Help"}}, []Administrator{{Email: "desk@acme.example"}}),
			FulfillmentContact: oneOf(s, Administrator{}, Administrator{Email: "desk@ACME.example"}, Administrator{Email: "bob@acme.example"}),
			CountryPolicies:    oneOf(s, nil, []CountryPolicy{{Country: "FR", NoCheckouts: s.pick(2) > 0, CheckoutMax: 26 * time.Hour}})}}
	default:
		l := License{ID: s.license(), Product: s.product(), Assignee: oneOf[UserID](s, "ann", "bob", ""),
			Kind: oneOf(s, Virtuoso, Virtuoso, Virtuoso, Commercial, Trial), Countries: oneOf(s, nil, nil, nil, []string{"FR"}),
			Ends:       oneOf(s, 0, 0, 0, s.at, s.at.Add(10*time.Minute), s.at.Add(3*time.Hour), s.at.Add(40*24*time.Hour)),
			AssignedAt: oneOf(s, 0, s.at, s.at.Add(-25*time.Hour), s.at.Add(-32*24*time.Hour))}
		if s.terms {
			l.Starts = oneOf(s, 0, 0, s.at.Add(-time.Hour), s.at.Add(time.Minute))
		}
		return Change{License: &l}
	}
}

func (s *script) license() LicenseID {
	return oneOf[LicenseID](s, "L1", "L2", "L3", "L4", "L5", "L6", "L7")
}

// siteRecords are three users, four products and their licenses, and what covers one
// of them for all.
func siteRecords() []Change {
	return []Change{
		{Account: &Account{ID: "acme", AutonomyCapped: 72 * time.Hour, AutonomyUncapped: 7 * 24 * time.Hour}},
		{User: &User{ID: "ann", Email: "ann@acme.example", Country: "FR"}}, {User: &User{ID: "bob", Country: "FR"}}, {User: &User{ID: "eve", Country: "FR"}},
		{Product: &Product{ID: "micro", Capped: CappedYes}}, {Product: &Product{ID: "stad", Capped: CappedYes}},
		{Product: &Product{ID: "view", Capped: CappedNo}}, {Product: &Product{ID: "odd"}},
		{License: &License{ID: "L1", Product: "micro", Assignee: "ann"}}, {License: &License{ID: "L2", Product: "stad", Assignee: "ann"}},
		{License: &License{ID: "L3", Product: "view", Assignee: "ann"}}, {License: &License{ID: "L4", Product: "odd", Assignee: "ann"}},
		{License: &License{ID: "L5", Product: "micro", Assignee: "bob"}}, {License: &License{ID: "L6", Product: "stad", Assignee: "bob"}},
		{License: &License{ID: "L7", Product: "micro", Assignee: "ann"}},
		{License: &License{ID: "P1", Product: "micro", Kind: Commercial}},
	}
}
