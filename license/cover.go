package license

import (
	"maps"
	"slices"
	"strings"
)

// An account covers a product for all its users by what it has of it and nobody is
// assigned: perpetual or SELECT licenses, or a trial (R3, R18). What runs by that
// loses its right when the cover is withdrawn or ends.

// EndNotCovered is the reason of an Ending: the account does not cover the product
// for the user any more.
const EndNotCovered = "not-covered"

// leans reports whether the session needs the account to cover its product: it runs
// by that, or may be recorded as pooled because of it (R15).
func (x *Session) leans() bool { return x.Pool || slices.Contains(x.Warnings, OtherEmail) }

// coverKind is the kind of license by which the account covers what the session
// leans on.
func (x *Session) coverKind() Kind {
	if x.Pool && x.Type == TypeTrial {
		return Trial
	}
	return Commercial
}

// coverEnds is until when the account covers a product by licenses of a kind for the
// users of a country, one license after the other; zero: without an end. covered:
// it does at all.
func (s *State) coverEnds(product ProductID, country string, kind Kind, at Time) (until Time, covered bool) {
	until = at
	for more := true; more; {
		more = false
		for _, l := range s.pools[product] {
			switch {
			case l.Kind != kind || !l.Runs(until) || !l.covers(country):
			case l.Ends == 0:
				return 0, true
			default:
				until, covered, more = l.Ends, true, true
			}
		}
	}
	return until, covered
}

// rightEnds is until when a session has its right, as far as terms and cover decide
// it, and what it is that ends then. Zero: nothing is known to end it.
func (s *State) rightEnds(x *Session) (until Time, why string) {
	why = EndLicenseEnded
	if !x.Pool {
		own := s.Assigned(x.User)
		i := slices.IndexFunc(own, func(l *License) bool { return l.ID == x.License })
		if i < 0 {
			return 0, "" // it has been told of that
		}
		until = own[i].Ends
	}
	u := s.User(x.User)
	if !x.leans() || u == nil {
		return until, why
	}
	cover, covered := s.coverEnds(x.Product, u.Country, x.coverKind(), s.head.Now)
	if !covered {
		return s.head.Now, EndNotCovered
	}
	if cover != 0 && (until == 0 || cover < until) {
		until = cover
	}
	return until, why
}

// seeToEnd tells a session whose right ends soon until when it is renewed, and one
// that was told so and keeps its right that it goes on. Where the right has ended
// already, because that is known only now, there is time to save. What ends for
// another reason is left alone.
func (s *State) seeToEnd(x *Session) {
	until, why := s.rightEnds(x)
	now, n := s.head.Now, x.Notice
	if n != nil && (n.Reason != EndLicenseEnded && n.Reason != EndNotCovered || !x.Renewable(now)) &&
		(n.Reason != EndTakeover || why != EndNotCovered) {
		return
	}
	switch {
	case until == 0 || until.Add(-TermWarning) > now:
		if n != nil {
			s.touch(Key{KeyActive, string(x.User)})
			x.Notice, x.Warned = nil, 0
			s.emit(TermExtended{Session: *x})
		}
		return
	case until <= now:
		until = now.Add(s.head.Settings.saveGrace())
		if n != nil && n.Reason != EndTakeover && n.Until <= until {
			return
		}
	case n != nil && n.Until == until:
		return
	}
	s.emit(Conflicted{Session: s.putOnNotice(x, Ending{Reason: why, Until: until})})
}

// coverChanged notes that a license has come to, or left, what the account covers
// its product by, or covers it otherwise. old and l may be nil.
func (s *State) coverChanged(old, l *License) {
	if old != nil && l != nil && old.Kind == l.Kind && old.Product == l.Product && old.Assignee == l.Assignee &&
		old.Starts == l.Starts && old.Ends == l.Ends && slices.Equal(old.Countries, l.Countries) {
		return
	}
	for _, l := range []*License{old, l} {
		if l != nil && l.pooled() {
			s.uncertain.products = append(s.uncertain.products, l.Product)
		}
	}
}

// movedAway notes that a user has another entitlement country.
func (s *State) movedAway(old, u *User) {
	if old != nil && !strings.EqualFold(old.Country, u.Country) {
		s.uncertain.users = append(s.uncertain.users, u.ID)
	}
}

// uncertain is whose cover a command has changed, until all of it is done: what one
// change takes, the next may give.
type uncertain struct {
	products []ProductID
	users    []UserID
}

// seeToCover sees to the sessions whose cover the command has changed.
func (s *State) seeToCover() {
	u := s.uncertain
	s.uncertain = uncertain{}
	slices.Sort(u.products)
	for _, product := range slices.Compact(u.products) {
		s.seeToPool(product)
	}
	slices.Sort(u.users)
	for _, user := range slices.Compact(u.users) {
		if a := s.Active(user); a != nil {
			for i := range a.Sessions {
				if a.Sessions[i].leans() {
					s.seeToEnd(&a.Sessions[i])
				}
			}
		}
	}
}

// seeToPool sees to the sessions that lean on the account's cover of a product.
func (s *State) seeToPool(product ProductID) {
	for _, user := range slices.Sorted(maps.Keys(s.leaning[product])) {
		a := s.Active(user)
		for i := range a.Sessions {
			if x := &a.Sessions[i]; x.Product == product && x.leans() {
				s.seeToEnd(x)
			}
		}
	}
}

// setLeaning keeps the index of who has sessions that lean on the cover of the
// session's product, after it has begun or ended.
func (s *State) setLeaning(x *Session) {
	if !x.leans() {
		return
	}
	a, users := s.Active(x.User), s.leaning[x.Product]
	on := a != nil && slices.ContainsFunc(a.Sessions, func(y Session) bool { return y.Product == x.Product && y.leans() })
	switch {
	case on && users == nil:
		s.leaning[x.Product] = map[UserID]struct{}{x.User: {}}
	case on:
		users[x.User] = struct{}{}
	default:
		delete(users, x.User)
		if len(users) == 0 {
			delete(s.leaning, x.Product)
		}
	}
}
