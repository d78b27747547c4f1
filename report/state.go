package report

import (
	"cmp"
	"maps"
	"slices"

	"sitegate/api"
	"sitegate/license"
)

// state takes in how things are now: what is owned, what is nobody's, what ends soon.
func (m *making) state(s *license.State) {
	survey := license.Survey(s, m.now, licensesSoon)
	for id, x := range survey {
		p := m.product(id)
		p.Owned, p.Unassigned, p.NeverUsed, p.Ending = x.Owned, x.Unassigned, len(x.NeverUsed), x.Ending
	}
	for id, p := range m.products {
		if known := s.Product(id); known != nil {
			p.Name, p.Capped = known.Name, known.Capped.String()
		}
	}
	ahead := license.LookAhead(s, m.now, licensesSoon, checkoutsSoon)
	for day, of := range ahead.Licenses {
		for id, n := range of {
			m.out.LicensesEnd = append(m.out.LicensesEnd, api.ReportEnd{Day: day, Product: string(id), Count: n})
		}
	}
	for day, n := range ahead.Checkouts {
		m.out.CheckoutsEnd = append(m.out.CheckoutsEnd, api.ReportEnd{Day: day, Count: n})
	}
	if m.q.Names {
		m.people(s, survey)
	}
}

// people are whom IT may speak to: those whose checkouts end first come first, so that who has
// never used a license keeps nobody else out where there are too many.
func (m *making) people(s *license.State, survey map[license.ProductID]*license.ProductSurvey) {
	type person struct {
		api.ReportPerson
		user    license.UserID
		machine string
		until   license.Time
	}
	var all []person
	s.EachActive(func(a *license.Active) bool {
		for i := range a.Checkouts {
			if x := &a.Checkouts[i]; x.Until > m.now && x.Until.Sub(m.now) <= checkoutsSoon {
				all = append(all, person{api.ReportPerson{Why: "checkout-ends", Product: string(x.Product), License: string(x.License)},
					a.User, cmp.Or(x.Machine.Name, x.Machine.ID), x.Until})
			}
		}
		return true
	})
	for _, id := range slices.Sorted(maps.Keys(survey)) {
		for _, unused := range survey[id].NeverUsed {
			if l := s.License(unused); l != nil {
				all = append(all, person{ReportPerson: api.ReportPerson{Why: "never-used", Product: string(id), License: string(unused)}, user: l.Assignee})
			}
		}
	}
	slices.SortFunc(all, func(a, b person) int {
		return cmp.Or(cmp.Compare(a.Why, b.Why), cmp.Compare(a.until, b.until), cmp.Compare(a.Product, b.Product), cmp.Compare(a.License, b.License), cmp.Compare(a.user, b.user))
	})
	for _, x := range all[:min(len(all), mostPeople)] {
		p := x.ReportPerson
		p.User, p.Name = string(x.user), m.called(s, "user", string(x.user))
		hidden := p.Name != p.User
		if u := s.User(x.user); u != nil && !hidden {
			p.Name = cmp.Or(u.Name, u.Email, p.User)
		} else if hidden {
			p.User = p.Name
		}
		if x.machine != "" {
			p.Machine, p.Until = x.machine, x.until.Std()
			if hidden {
				p.Machine = m.called(s, "machine", x.machine)
			}
		}
		m.out.People = append(m.out.People, p)
	}
}

func (m *making) called(s *license.State, kind, name string) string {
	if m.q.Called == nil {
		return name
	}
	return m.q.Called(s, kind, name)
}

// sort puts all in an order that is the same each time.
func (m *making) sort() {
	m.out.Products, m.out.Refusals, m.out.Alerts = []api.ReportProduct{}, []api.ReportRefusal{}, []api.ReportAlert{}
	for _, p := range m.products {
		m.out.Products = append(m.out.Products, *p)
	}
	slices.SortFunc(m.out.Products, func(a, b api.ReportProduct) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.Name, a.Product), cmp.Or(b.Name, b.Product)), cmp.Compare(a.Product, b.Product))
	})
	for _, r := range m.refusals {
		m.out.Refusals = append(m.out.Refusals, *r)
	}
	slices.SortFunc(m.out.Refusals, func(a, b api.ReportRefusal) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	for _, a := range m.alerts {
		m.out.Alerts = append(m.out.Alerts, a)
	}
	slices.SortFunc(m.out.Alerts, func(a, b api.ReportAlert) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	m.out.Alerts = m.out.Alerts[max(0, len(m.out.Alerts)-mostAlerts):] // the latest
	byDay := func(a, b api.ReportEnd) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Product, b.Product))
	}
	slices.SortFunc(m.out.LicensesEnd, byDay)
	slices.SortFunc(m.out.CheckoutsEnd, byDay)
	slices.SortFunc(m.out.People, func(a, b api.ReportPerson) int {
		return cmp.Or(cmp.Compare(a.Why, b.Why), a.Until.Compare(b.Until), cmp.Compare(a.Name, b.Name), cmp.Compare(a.License, b.License), cmp.Compare(a.Machine, b.Machine))
	})
}
