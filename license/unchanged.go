package license

import "slices"

// Unchanged reports whether a change says only what the state has already. A feed that
// is read anew says nearly all of it again, which need not go through the log.
func Unchanged(s *State, c *Change) bool {
	q := Quarantined{Kind: c.about().Kind, ID: c.about().ID}
	if s.quarantined[q.key().ID].Why != c.Malformed {
		return false
	}
	switch {
	case c.User != nil:
		u := s.User(c.User.ID)
		return u != nil && *u == *c.User
	case c.Product != nil:
		p := s.products[c.Product.ID]
		return p != nil && *p == *c.Product
	case c.License != nil:
		l := s.licenses[c.License.ID]
		return l != nil && l.says(c.License)
	case c.Account != nil:
		return s.head.Account.says(c.Account)
	}
	return q.Kind != KeyHead && !Takes(s, c)
}

// says reports whether the cloud says the same of the license as l, which the site has
// added to.
func (l *License) says(other *License) bool {
	return l.ID == other.ID && l.Product == other.Product && l.Starts == other.Starts && l.Ends == other.Ends && l.Assignee == other.Assignee &&
		l.AssignedAt == other.AssignedAt && l.Kind == other.Kind && l.Source == other.Source && slices.Equal(l.Countries, other.Countries)
}

func (a *Account) says(other *Account) bool {
	return a.ID == other.ID && a.Name == other.Name && a.AutonomyCapped == other.AutonomyCapped && a.AutonomyUncapped == other.AutonomyUncapped &&
		a.CheckoutMax == other.CheckoutMax && a.FulfillmentContact == other.FulfillmentContact &&
		slices.Equal(a.Administrators, other.Administrators) && slices.Equal(a.CountryPolicies, other.CountryPolicies)
}
