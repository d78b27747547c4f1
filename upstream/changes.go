package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

const (
	pageSize  = 500     // changes asked for at a time
	maxCursor = 4 << 10 // bytes
	maxAdmins = 100     // of an account
)

// Changes reads the change feed after a cursor, waiting up to wait for news.
//
// Objects that this site knows nothing about are left out. One that cannot be understood counts as deleted, so that what was granted by
// it does not go on: a mirror may only narrow what the cloud has said.
func (c *Client) Changes(ctx context.Context, cursor string, wait time.Duration) (license.Page, error) {
	wait = min(max(wait, 0), cloudapi.MaxWait)
	q := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if wait > 0 {
		q.Set("wait_ms", strconv.FormatInt(int64(cloudapi.MillisOf(wait)), 10))
	}
	var got cloudapi.Changes
	if err := c.do(ctx, call{method: http.MethodGet, path: cloudapi.PathChanges, query: q.Encode(), max: maxPage, extra: wait}, &got); err != nil {
		return license.Page{}, fmt.Errorf("reading changes: %w", err)
	}
	switch {
	case got.Cursor == "" || len(got.Cursor) > maxCursor:
		return license.Page{}, fmt.Errorf("reading changes: %w: a page without a cursor, or with a huge one", ErrGarbage)
	case len(got.Changes) > pageSize:
		return license.Page{}, fmt.Errorf("reading changes: %w: %d changes where %d were asked for", ErrGarbage, len(got.Changes), pageSize)
	case got.Changes == nil: // nothing is not a list of nothing
		return license.Page{}, fmt.Errorf("reading changes: %w: a page without a list", ErrGarbage)
	case got.Cursor == cursor && (got.More || len(got.Changes) > 0):
		return license.Page{}, fmt.Errorf("reading changes: %w: it does not get on", ErrGarbage)
	}
	page := license.Page{Cursor: got.Cursor, More: got.More, Reset: got.Reset}
	for _, ch := range got.Changes {
		l, understood := toChange(ch)
		if !understood {
			c.log.Warn("a change of the cloud's was not understood", "op", string(ch.Op), "kind", string(ch.Kind), "id", clip(ch.ID))
		}
		if l != (license.Change{}) {
			page.Changes = append(page.Changes, l)
		}
	}
	return page, nil
}

// toChange translates. Not understood, it is a deletion where that makes sense, and nothing otherwise.
func toChange(ch cloudapi.Change) (_ license.Change, understood bool) {
	if !soundID(ch.ID) {
		return license.Change{}, false
	}
	gone := ch.Op == cloudapi.OpDelete
	understood = gone
	switch ch.Kind {
	case cloudapi.KindUser:
		if u := ch.User; ch.Op == cloudapi.OpPut && u != nil && u.ID == ch.ID {
			return license.Change{User: &license.User{ID: license.UserID(u.ID), Email: cut(u.Email), Name: cut(u.Name), Country: cut(u.Country), Blocked: u.Blocked,
				Roles: toRoles(u.Roles), OtherAccount: u.OtherAccount}}, true
		}
		return license.Change{DeleteUser: license.UserID(ch.ID)}, understood
	case cloudapi.KindProduct:
		if p := ch.Product; ch.Op == cloudapi.OpPut && p != nil && p.ID == ch.ID {
			return license.Change{Product: &license.Product{ID: license.ProductID(p.ID), Name: cut(p.Name), Capped: toCapped(p.Capped), V8i: p.V8i,
				NeedsFeature: p.NeedsFeature}}, true
		}
		return license.Change{DeleteProduct: license.ProductID(ch.ID)}, understood
	case cloudapi.KindLicense:
		if l := ch.License; ch.Op == cloudapi.OpPut && l != nil && l.ID == ch.ID && soundID(l.ProductID) && (l.AssignedTo == "" || soundID(l.AssignedTo)) &&
			!l.StartsAt.IsZero() && l.EndsAt.After(l.StartsAt) {
			kind, known := toKind(l.Kind)
			countries, sound := toCountries(l.Countries)
			out := &license.License{ID: license.LicenseID(l.ID), Product: license.ProductID(l.ProductID), Starts: license.TimeOf(l.StartsAt),
				Ends: license.TimeOf(l.EndsAt), Assignee: license.UserID(l.AssignedTo), Kind: kind, Countries: countries}
			if l.AssignedAt != nil {
				out.AssignedAt = license.TimeOf(*l.AssignedAt)
			}
			if known && sound {
				return license.Change{License: out}, true
			}
		}
		return license.Change{DeleteLicense: license.LicenseID(ch.ID)}, understood
	case cloudapi.KindAccount:
		if a := ch.Account; ch.Op == cloudapi.OpPut && a != nil && a.ID == ch.ID && a.Autonomy.CappedMS >= 0 && a.Autonomy.UncappedMS >= 0 && a.CheckoutMaxMS >= 0 {
			out := &license.Account{ID: a.ID, Name: cut(a.Name), AutonomyCapped: a.Autonomy.CappedMS.Duration(),
				AutonomyUncapped: a.Autonomy.UncappedMS.Duration(), CheckoutMax: a.CheckoutMaxMS.Duration()}
			for _, adm := range a.Admins[:min(len(a.Admins), maxAdmins)] {
				out.Administrators = append(out.Administrators, license.Administrator{Name: cut(adm.Name), Email: cut(adm.Email)})
			}
			out.CountryPolicies = toPolicies(a.CountryPolicies)
			if a.FulfillmentContact != nil {
				out.FulfillmentContact = license.Administrator{Name: cut(a.FulfillmentContact.Name), Email: cut(a.FulfillmentContact.Email)}
			}
			return license.Change{Account: out}, true
		}
		// No account, or none to make sense of, gives the site nothing to decide alone.
		return license.Change{Account: &license.Account{ID: ch.ID}}, understood
	}
	return license.Change{}, false
}

// toCapped takes everything that is not a clear yes or no for unknown, which counts as capped.
func toCapped(c cloudapi.Capped) license.Capped {
	switch c {
	case cloudapi.CappedYes:
		return license.CappedYes
	case cloudapi.CappedNo:
		return license.CappedNo
	}
	return license.CappedUnknown
}

// toKind knows nothing to do with a kind that is new here.
func toKind(k string) (_ license.Kind, known bool) {
	switch k {
	case cloudapi.LicenseVirtuoso:
		return license.Virtuoso, true
	case cloudapi.LicenseCommercial:
		return license.Commercial, true
	case cloudapi.LicenseTrial:
		return license.Trial, true
	}
	return 0, false
}

// toCountries is not sound where it would have to leave one out: none at all means everywhere.
func toCountries(list []string) (_ []string, sound bool) {
	if len(list) > cloudapi.MaxCountries {
		return nil, false
	}
	for _, c := range list {
		if c == "" || len(c) > license.MaxName {
			return nil, false
		}
	}
	return list, true
}

// toPolicies takes the narrower of two policies for a country, and no checkouts for a longest one that makes no sense. What has no country, or
// is one too many, is left out: the cloud has the last word on every checkout.
func toPolicies(policies []cloudapi.CountryPolicy) []license.CountryPolicy {
	var out []license.CountryPolicy
	for _, p := range policies {
		country := strings.ToUpper(p.Country)
		if country == "" || len(country) > license.MaxName {
			continue
		}
		q := license.CountryPolicy{Country: country, NoCheckouts: p.NoCheckouts || p.CheckoutMaxMS < 0, CheckoutMax: max(0, p.CheckoutMaxMS.Duration())}
		i := slices.IndexFunc(out, func(x license.CountryPolicy) bool { return x.Country == country })
		if i < 0 {
			if len(out) < cloudapi.MaxCountries {
				out = append(out, q)
			}
			continue
		}
		x := &out[i]
		x.NoCheckouts = x.NoCheckouts || q.NoCheckouts
		if x.CheckoutMax == 0 || q.CheckoutMax > 0 && q.CheckoutMax < x.CheckoutMax {
			x.CheckoutMax = q.CheckoutMax
		}
	}
	return out
}

// toRoles leaves out the roles that are new here.
func toRoles(names []string) (roles license.Roles) {
	for _, name := range names {
		switch name {
		case cloudapi.RoleAdministrator:
			roles |= license.RoleAdministrator
		case cloudapi.RoleCoAdministrator:
			roles |= license.RoleCoAdministrator
		case cloudapi.RoleVirtuosoAdministrator:
			roles |= license.RoleLicenseAdministrator
		case cloudapi.RoleFulfillmentContact:
			roles |= license.RoleFulfillment
		}
	}
	return roles
}

func soundID(s string) bool { return s != "" && len(s) <= cloudapi.MaxID }

// cut shortens what is only shown to what the state keeps.
func cut(s string) string {
	if len(s) <= license.MaxName {
		return s
	}
	s = s[:license.MaxName]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
