package license

import (
	"slices"
	"strings"
	"time"
)

// CountryPolicy is what the account's administrators have set for the users of
// one entitlement country (KB0019243). It blocks new checkouts only: what is out
// stays out, and may be shortened.
type CountryPolicy struct {
	Country     string        `cbor:"1,keyasint"`           // ISO 3166, in either case
	NoCheckouts bool          `cbor:"2,keyasint,omitempty"` // the switch is off
	CheckoutMax time.Duration `cbor:"3,keyasint,omitempty"` // zero: no maximum of its own
}

func validPolicies(policies []CountryPolicy) bool {
	seen := map[string]bool{}
	for _, p := range policies {
		country := strings.ToUpper(p.Country)
		if country == "" || !validName(country) || p.CheckoutMax < 0 || seen[country] {
			return false
		}
		seen[country] = true
	}
	return len(policies) <= 300
}

// policy is what holds for the user's country; the zero policy restricts nothing.
func (s *State) policy(user UserID) CountryPolicy {
	u := s.User(user)
	if u == nil || u.Country == "" {
		return CountryPolicy{}
	}
	for _, p := range s.head.Account.CountryPolicies {
		if strings.EqualFold(p.Country, u.Country) {
			return p
		}
	}
	return CountryPolicy{}
}

// CheckoutEnd is when a checkout would end that is asked for now: when it says, or
// by default. Zero: its user has no license that could be checked out.
func CheckoutEnd(s *State, at Time, c CheckOut) Time {
	at = max(at, s.head.Now)
	if x := s.Checkout(c.ID); x != nil {
		return x.Until // asked for again
	}
	_, lic, d := s.entitled(c.User, c.Product, at)
	if d != nil {
		return 0
	}
	return s.checkoutEnd(&c, lic, at)
}

func (s *State) checkoutEnd(c *CheckOut, lic *License, at Time) Time {
	if c.Until != 0 {
		return c.Until
	}
	end := at.Add(s.head.Settings.checkoutDefault())
	if latest := s.latestCheckout(c.User, lic, at); latest != 0 {
		end = min(end, latest)
	}
	return end
}

// latestCheckout is the latest end a checkout of the license may have: the
// license's own, the account's, the country's and the site's maximum (R14). Zero:
// no limit.
func (s *State) latestCheckout(user UserID, lic *License, at Time) Time {
	latest := lic.Ends
	for _, limit := range []time.Duration{s.head.Account.CheckoutMax, s.policy(user).CheckoutMax, s.head.Settings.CheckoutMax} {
		if limit != 0 && (latest == 0 || at.Add(limit) < latest) {
			latest = at.Add(limit)
		}
	}
	return latest
}

// checkoutTerms says whether a checkout may be made, and until when. A machine may
// always shorten its own, whatever has become of the maximum and the switch.
func (s *State) checkoutTerms(c *CheckOut, lic *License, at Time) *Denial {
	no := func(r Reason, until Time) *Denial {
		return &Denial{Reason: r, Product: c.Product, License: lic.ID, Until: until}
	}
	end := s.checkoutEnd(c, lic, at)
	if end <= at {
		return no(CheckoutInPast, 0)
	}
	a := s.Active(c.User)
	if a != nil {
		for i := range a.Checkouts {
			if x := &a.Checkouts[i]; x.WrittenOff != nil && x.License == lic.ID && x.Machine.Is(c.Machine) && x.Until > at {
				return no(CheckoutWrittenOff, x.Until)
			}
		}
		i := c.renews(a, lic)
		switch {
		case i >= 0 && end <= a.Checkouts[i].Until:
			return nil
		case i < 0 && len(a.Checkouts) >= MaxCheckouts:
			return no(TooManyCheckouts, 0)
		}
	}
	if c.Imported {
		return nil
	}
	if s.head.Settings.NoCheckouts {
		d := no(CheckoutOff, 0)
		d.Here = true
		return d
	}
	if s.policy(c.User).NoCheckouts {
		return no(CheckoutOff, 0)
	}
	if latest := s.latestCheckout(c.User, lic, at); latest != 0 && end > latest {
		return no(CheckoutTooLong, latest)
	}
	return nil
}

// renews is the index of the checkout of this license, version and machine that c
// takes the place of, or -1.
func (c *CheckOut) renews(a *Active, lic *License) int {
	return slices.IndexFunc(a.Checkouts, func(x Checkout) bool {
		return x.License == lic.ID && x.Machine.Is(c.Machine) && sameVersion(x.Version, c.Version)
	})
}

// covers reports whether a product of this version runs under the checkout. Who
// does not say the version is taken to run what is checked out.
func (x *Checkout) covers(version string) bool {
	return x.Version == "" || version == "" || sameVersion(x.Version, version)
}

// sameVersion reports whether two texts name one version: "10.00.18" is
// "10.0.18.0".
func sameVersion(a, b string) bool {
	if a == b {
		return true
	}
	v, ok := ParseVersion(a)
	w, same := ParseVersion(b)
	return ok && same && v == w
}
