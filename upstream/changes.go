package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

const (
	pageSize  = cloudapi.MaxChanges // changes asked for at a time, unless they are large
	maxCursor = 4 << 10             // bytes
	maxAdmins = 100                 // of an account
)

// Changes reads the change feed after a cursor, waiting up to wait for news.
//
// Objects that this site knows nothing about are left out. One that cannot be understood counts as deleted, and says why, so that what was
// granted by it does not go on: a mirror may only narrow what the cloud has said.
func (c *Client) Changes(ctx context.Context, cursor string, wait time.Duration) (license.Page, error) {
	wait = min(max(wait, 0), cloudapi.MaxWait)
	limit := c.pages.limit()
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if wait > 0 {
		q.Set("wait_ms", strconv.FormatInt(int64(cloudapi.MillisOf(wait)), 10))
	}
	likely, bytes := c.pages.likely()
	got := feedPage{room: min(likely, limit)}
	tag := c.seen.of(cursor)
	err := c.do(ctx, call{method: http.MethodGet, path: cloudapi.PathChanges, query: q.Encode(), max: c.maxPage, likely: bytes, extra: wait, gzip: true, tag: &tag}, &got)
	switch {
	case errors.Is(err, errUnchanged) && cursor != "":
		return license.Page{Cursor: cursor}, nil
	case errors.Is(err, errTooLong) && c.pages.smaller(limit):
		return c.Changes(ctx, cursor, wait)
	case err != nil:
		return license.Page{}, fmt.Errorf("reading changes: %w", asError(err))
	}
	c.pages.came(len(got.Changes.Changes), got.bytes)
	switch {
	case got.Cursor == "" || len(got.Cursor) > maxCursor:
		return license.Page{}, fmt.Errorf("reading changes: %w: a page without a cursor, or with a huge one", ErrGarbage)
	case len(got.Changes.Changes) > limit:
		return license.Page{}, fmt.Errorf("reading changes: %w: %d changes where %d were asked for", ErrGarbage, len(got.Changes.Changes), limit)
	case got.Changes.Changes == nil: // nothing is not a list of nothing
		return license.Page{}, fmt.Errorf("reading changes: %w: a page without a list", ErrGarbage)
	case got.Cursor == cursor && (got.More || len(got.Changes.Changes) > 0):
		return license.Page{}, fmt.Errorf("reading changes: %w: it does not get on", ErrGarbage)
	}
	if len(got.Changes.Changes) == 0 && got.Cursor == cursor {
		c.seen.note(cursor, tag)
	}
	page := license.Page{Cursor: got.Cursor, More: got.More, Reset: got.Reset}
	page.Changes = make([]license.Change, 0, len(got.Changes.Changes))
	for i, ch := range got.Changes.Changes {
		why := got.odd[i]
		l, known := toChange(ch, why)
		if known {
			page.Changes = append(page.Changes, l)
		} else {
			c.log.Warn("a change of the cloud's is about nothing that is known here", "op", clip(string(ch.Op)), "kind", clip(string(ch.Kind)), "id", clip(ch.ID), "err", why)
		}
	}
	return page, nil
}

// feedPage is cloudapi.Changes, of which each change is understood by itself.
type feedPage struct {
	cloudapi.Changes
	odd   map[int]string // why a change could not be decoded; none: all were
	room  int            // for so many changes it is made at once
	bytes int64          // of the page
}

// decode takes the page as a whole, and only where that fails its changes one by one.
func (p *feedPage) decode(body []byte) error {
	p.bytes = int64(len(body))
	p.Changes.Changes = make([]cloudapi.Change, 0, max(1, p.room))
	if json.Unmarshal(body, &p.Changes) == nil {
		if list := p.Changes.Changes; len(list) == 0 && cap(list) > 0 { // it is as it was: the page has none, not even an empty one
			p.Changes.Changes = nil
		}
		return nil
	}
	var raw struct {
		Cursor  string            `json:"cursor"`
		More    bool              `json:"more"`
		Reset   bool              `json:"reset"`
		Changes []json.RawMessage `json:"changes"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return err
	}
	p.odd = map[int]string{}
	p.Changes = cloudapi.Changes{Cursor: raw.Cursor, More: raw.More, Reset: raw.Reset}
	if raw.Changes != nil {
		p.Changes.Changes = make([]cloudapi.Change, len(raw.Changes))
	}
	for i, one := range raw.Changes {
		var why string
		if p.Changes.Changes[i], why = readChange(one); why != "" {
			p.odd[i] = why
		}
	}
	return nil
}

// readChange decodes one change. Where that fails it says why, and returns what can be said of what it is about.
func readChange(raw json.RawMessage) (ch cloudapi.Change, why string) {
	err := json.Unmarshal(raw, &ch)
	if err == nil {
		return ch, ""
	}
	var about struct {
		Kind cloudapi.Kind `json:"kind"`
		ID   string        `json:"id"`
	}
	_ = json.Unmarshal(raw, &about) // as far as it goes
	return cloudapi.Change{Kind: about.Kind, ID: about.ID}, cut(strings.ToValidUTF8(err.Error(), "?"))
}

// toChange translates. What cannot be understood, here or before (why), is a deletion that says why. Not known: there is nothing to say
// about it.
func toChange(ch cloudapi.Change, why string) (_ license.Change, known bool) {
	if !soundID(ch.ID) {
		return license.Change{}, false
	}
	put := ch.Op == cloudapi.OpPut && why == ""
	if why == "" && !put && ch.Op != cloudapi.OpDelete {
		why = fmt.Sprintf("op %q is neither put nor delete", clip(string(ch.Op)))
	}
	switch ch.Kind {
	case cloudapi.KindUser:
		var u *license.User
		if put {
			u, why = toUser(ch.ID, ch.User)
		}
		if u != nil {
			return license.Change{User: u}, true
		}
		return license.Change{DeleteUser: license.UserID(ch.ID), Malformed: why}, true
	case cloudapi.KindProduct:
		var p *license.Product
		if put {
			p, why = toProduct(ch.ID, ch.Product)
		}
		if p != nil {
			return license.Change{Product: p}, true
		}
		return license.Change{DeleteProduct: license.ProductID(ch.ID), Malformed: why}, true
	case cloudapi.KindLicense:
		var l *license.License
		if put {
			l, why = toLicense(ch.ID, ch.License)
		}
		if l != nil {
			return license.Change{License: l}, true
		}
		return license.Change{DeleteLicense: license.LicenseID(ch.ID), Malformed: why}, true
	case cloudapi.KindAccount:
		var a *license.Account
		if put {
			a, why = toAccount(ch.ID, ch.Account)
		}
		if a != nil {
			return license.Change{Account: a}, true
		}
		// No account, or none to make sense of, gives the site nothing to decide alone.
		return license.Change{Account: &license.Account{ID: ch.ID}, Malformed: why}, true
	}
	return license.Change{}, false
}

// The reasons why a record is not understood, as operators read them.
const (
	whyEmpty = "nothing is in it"
	whyID    = "another id is in it"
)

func toUser(id string, u *cloudapi.User) (_ *license.User, why string) {
	switch {
	case u == nil:
		return nil, whyEmpty
	case u.ID != id:
		return nil, whyID
	}
	return &license.User{ID: license.UserID(u.ID), Email: cut(u.Email), Name: cut(u.Name), Country: cut(u.Country), Blocked: u.Blocked,
		Roles: toRoles(u.Roles), OtherAccount: u.OtherAccount}, ""
}

func toProduct(id string, p *cloudapi.Product) (_ *license.Product, why string) {
	switch {
	case p == nil:
		return nil, whyEmpty
	case p.ID != id:
		return nil, whyID
	}
	return &license.Product{ID: license.ProductID(p.ID), Name: cut(p.Name), Capped: toCapped(p.Capped), V8i: p.V8i, NeedsFeature: p.NeedsFeature}, ""
}

func toLicense(id string, l *cloudapi.License) (_ *license.License, why string) {
	switch {
	case l == nil:
		return nil, whyEmpty
	case l.ID != id:
		return nil, whyID
	case !soundID(l.ProductID):
		return nil, "it has no product"
	case l.AssignedTo != "" && !soundID(l.AssignedTo):
		return nil, "the id of whom it is assigned to is too long"
	case l.StartsAt.IsZero():
		return nil, "it has no start"
	case !l.EndsAt.After(l.StartsAt):
		return nil, "it does not end after its start"
	}
	kind, known := toKind(l.Kind)
	if !known {
		return nil, fmt.Sprintf("kind %q is not known here", clip(l.Kind))
	}
	countries, sound := toCountries(l.Countries)
	if !sound {
		return nil, "its countries have no names, too long ones, or are too many"
	}
	out := &license.License{ID: license.LicenseID(l.ID), Product: license.ProductID(l.ProductID), Starts: license.TimeOf(l.StartsAt),
		Ends: license.TimeOf(l.EndsAt), Assignee: license.UserID(l.AssignedTo), Kind: kind, Countries: countries}
	if l.AssignedAt != nil {
		out.AssignedAt = license.TimeOf(*l.AssignedAt)
	}
	return out, ""
}

func toAccount(id string, a *cloudapi.Account) (_ *license.Account, why string) {
	switch {
	case a == nil:
		return nil, whyEmpty
	case a.ID != id:
		return nil, whyID
	case a.Autonomy.CappedMS < 0 || a.Autonomy.UncappedMS < 0 || a.CheckoutMaxMS < 0:
		return nil, "a time in its terms is less than nothing"
	}
	out := &license.Account{ID: a.ID, Name: cut(a.Name), AutonomyCapped: a.Autonomy.CappedMS.Duration(),
		AutonomyUncapped: a.Autonomy.UncappedMS.Duration(), CheckoutMax: a.CheckoutMaxMS.Duration()}
	for _, adm := range a.Admins[:min(len(a.Admins), maxAdmins)] {
		out.Administrators = append(out.Administrators, license.Administrator{Name: cut(adm.Name), Email: cut(adm.Email)})
	}
	out.CountryPolicies = toPolicies(a.CountryPolicies)
	if a.FulfillmentContact != nil {
		out.FulfillmentContact = license.Administrator{Name: cut(a.FulfillmentContact.Name), Email: cut(a.FulfillmentContact.Email)}
	}
	return out, ""
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

// seen is the entity tag of the feed's answer that there is nothing after a cursor: asked again with it, the cloud need not say so at length.
type seen struct {
	mu          sync.Mutex
	cursor, tag string // mu guards them
}

func (s *seen) of(cursor string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cursor == cursor {
		return s.tag
	}
	return ""
}

func (s *seen) note(cursor, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor, s.tag = cursor, tag
}

// pages is how many changes to ask for: fewer where a page of them was too long, and by and by more again.
type pages struct {
	mu    sync.Mutex
	less  int   // mu guards these: how much less than pageSize
	last  int   // how many changes the last page had
	bytes int64 // and of how many bytes it was
}

func (p *pages) limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pageSize - p.less
}

// smaller reports whether fewer than limit can be asked for.
func (p *pages) smaller(limit int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.less = max(p.less, pageSize-max(1, limit/10))
	return limit > 1
}

// came notes a page that came: the next one may be larger again, and is likely to be much the same.
func (p *pages) came(changes int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.less /= 2
	p.last, p.bytes = changes, bytes
}

// likely is how many changes the next page is likely to have, and of how many bytes it is.
func (p *pages) likely() (changes int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.bytes + p.bytes/8
}
