package emulator

import (
	"slices"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
)

// right says why the user may not hold the license at all; nil: may. The caller holds the lock.
func (e *Emulator) right(h cloudapi.Hold, now time.Time) *cloudapi.Problem {
	u, known := e.users[h.UserID]
	l, there := e.licenses[h.LicenseID]
	no := func(reason, detail string) *cloudapi.Problem {
		return &cloudapi.Problem{Reason: reason, Detail: detail, LicenseID: h.LicenseID}
	}
	switch {
	case !known:
		return no(cloudapi.ReasonUnknown, "no such user")
	case u.Blocked:
		return no(cloudapi.ReasonUserBlocked, "the user is blocked")
	case !there || l.ProductID != h.ProductID:
		return no(cloudapi.ReasonUnknown, "no such license of this product")
	case l.AssignedTo != h.UserID && (l.AssignedTo != "" || l.Kind == cloudapi.LicenseVirtuoso):
		return no(cloudapi.ReasonNotAssigned, "the license is not assigned to this user")
	case l.Kind == cloudapi.LicenseVirtuoso && e.products[l.ProductID].V8i:
		return no(cloudapi.ReasonNotAssigned, "applications of this generation cannot use Virtuoso licenses")
	case !runs(l, now):
		return no(cloudapi.ReasonLicenseEnded, "the license is valid from "+l.StartsAt.Format(time.RFC3339)+" to "+l.EndsAt.Format(time.RFC3339))
	case u.Country == "":
		return no(cloudapi.ReasonNoCountry, "the user has no entitlement country")
	case !covers(l, u.Country):
		return no(cloudapi.ReasonCountry, "the license is not for "+u.Country)
	}
	return nil
}

// runs says whether now is in the license's term. There is no grace (R1).
func runs(l cloudapi.License, now time.Time) bool {
	return !now.Before(l.StartsAt) && now.Before(l.EndsAt)
}

// covers says whether the license is for the country.
func covers(l cloudapi.License, country string) bool {
	return len(l.Countries) == 0 || slices.ContainsFunc(l.Countries, func(c string) bool { return strings.EqualFold(c, country) })
}

// mayCheckOut says why a checkout, to which the right is there, may not be made or changed as h has it; nil: may. What is open on this machine
// already may be shortened whatever the account's terms are by now. The caller holds the lock.
func (e *Emulator) mayCheckOut(h cloudapi.Hold, now time.Time) *cloudapi.Problem {
	for _, o := range e.holds.byUser[h.UserID] {
		if o.Kind == cloudapi.HoldCheckout && o.live(now) && o.LicenseID == h.LicenseID && sameMachine(o.Hold, h) && !h.Until.After(*o.Until) {
			return nil
		}
	}
	var longest cloudapi.Millis
	country := e.users[h.UserID].Country
	if e.account != nil {
		longest = e.account.CheckoutMaxMS
		for _, p := range e.account.CountryPolicies {
			if !strings.EqualFold(p.Country, country) {
				continue
			}
			if p.NoCheckouts {
				return &cloudapi.Problem{Reason: cloudapi.ReasonCheckoutOff, Detail: "no new checkouts in " + country, LicenseID: h.LicenseID}
			}
			if longest == 0 || p.CheckoutMaxMS > 0 && p.CheckoutMaxMS < longest {
				longest = p.CheckoutMaxMS
			}
		}
	}
	if end := e.licenses[h.LicenseID].EndsAt; h.Until.After(end) {
		return tooLong(h, end, "the license ends at "+end.Format(time.RFC3339))
	}
	// The site's clock may be a little ahead of the cloud's.
	if latest := now.Add(longest.Duration()); longest > 0 && h.Until.After(latest.Add(time.Minute)) {
		return tooLong(h, latest, "the longest checkout in "+country+" is "+longest.Duration().String())
	}
	return nil
}

func tooLong(h cloudapi.Hold, latest time.Time, detail string) *cloudapi.Problem {
	return &cloudapi.Problem{Reason: cloudapi.ReasonTooLong, Detail: detail, LicenseID: h.LicenseID, Until: &latest}
}

// underVirtuoso is the Virtuoso license that h counts under; empty: none, so that it excludes nothing. The caller holds the lock.
func (e *Emulator) underVirtuoso(h cloudapi.Hold, now time.Time) string {
	if e.products[h.ProductID].V8i {
		return ""
	}
	if e.licenses[h.LicenseID].Kind == cloudapi.LicenseVirtuoso {
		return h.LicenseID
	}
	var best cloudapi.License // R4: what the user has comes before what the account has
	for _, l := range e.licenses {
		if l.Kind == cloudapi.LicenseVirtuoso && l.ProductID == h.ProductID && l.AssignedTo == h.UserID && runs(l, now) && covers(l, e.users[h.UserID].Country) &&
			(best.ID == "" || l.EndsAt.After(best.EndsAt) || l.EndsAt.Equal(best.EndsAt) && l.ID < best.ID) {
			best = l
		}
	}
	return best.ID
}
