package license

import (
	"slices"
	"strings"
)

// The license types that use is recorded as and that its user is shown (R21). A
// session without a type is Practitioner: the user's own Virtuoso license.
const (
	Practitioner   = "Practitioner"
	TypeCommercial = "Commercial" // a perpetual or SELECT license of the user's own, or a V8i product the site lets pass
	TypePooled     = "Pooled"     // counted against what the account has for all its users (R3); may cost
	TypeTrial      = "Trial"
)

// LicenseType is the type the session's use is recorded as.
func (x *Session) LicenseType() string {
	if x.Type == "" {
		return Practitioner
	}
	return x.Type
}

// Warning is what a user is told of a start that was granted. The words are part
// of the API.
type Warning string

// The warnings.
const (
	// PooledMayCost: nothing is assigned to the user; the account covers the product
	// (R3), and its use is counted and may be charged.
	PooledMayCost Warning = "pooled-may-cost"
	// OtherEmail: signed in with another e-mail than the license is assigned to, so
	// that the use is recorded as pooled (R15).
	OtherEmail Warning = "other-email"
	// ClientOutdated: the client is too old for the use to be recorded as
	// Practitioner (R13).
	ClientOutdated Warning = "client-outdated"
	// TrialMode: the product runs as a trial; there is a way out (R18).
	TrialMode Warning = "trial"
	// V8iPassed: a V8i product, which no license here is for; the site lets it pass (R17).
	V8iPassed Warning = "v8i"
)

// allWarnings is the order of the bits of warnings, and of the answer.
var allWarnings = [...]Warning{PooledMayCost, OtherEmail, ClientOutdated, TrialMode, V8iPassed}

// Warnings lists every warning there is, in a fixed order.
func Warnings() []Warning { return slices.Clone(allWarnings[:]) }

// warnings is a set of allWarnings.
type warnings uint8

const (
	warnPooled warnings = 1 << iota
	warnEmail
	warnClient
	warnTrial
	warnV8i
)

func (w warnings) list() []Warning {
	var list []Warning
	for i, name := range allWarnings {
		if w&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// right is what a user may use a product by.
type right struct {
	product  *Product
	license  *License // with an empty id for a V8i product that the site lets pass
	typ      string   // of a Session
	warnings warnings
}

// needsHold reports whether the one machine rule is for this use: it is for capped
// products by Virtuoso licenses (R5). What is recorded otherwise, because of the
// client's version (R13) or the e-mail (R15), is still by the Virtuoso license.
func (p *Product) needsHold(lic *License) bool { return p.Single() && lic.Kind == Virtuoso }

// Entitlement says by which type of license a start would be granted, with which
// warnings, or why not. It says nothing of other machines, and only reads.
func Entitlement(s *State, at Time, c Start) (typ string, list []Warning, d *Denial) {
	r, d := s.right(&c, max(at, s.head.Now))
	if d != nil {
		return "", nil, d
	}
	x := Session{Type: r.typ}
	return x.LicenseType(), r.warnings.list(), nil
}

// right is the order of entitlement: the user's own Virtuoso license before their
// perpetual one (R4), that before what the account has for all (R3), that before a
// trial (R18). Where a Virtuoso license is the user's and in its term, it is what
// decides, and nothing after it is looked at: a refusal for another active machine
// is final.
func (s *State) right(c *Start, at Time) (right, *Denial) {
	p, u, d := s.known(c.User, c.Product)
	if d != nil {
		return right{}, d
	}
	r := right{product: p}
	var best [Trial + 1]*License
	var out, barred *License
	for _, l := range s.Assigned(c.User) {
		switch {
		case l.Product != c.Product || l.Kind > Trial || l.Kind == Virtuoso && p.V8i:
		case !l.Runs(at):
			if out == nil || l.outlasts(out) {
				out = l
			}
		case !l.covers(u.Country):
			barred = l
		case best[l.Kind] == nil || l.outlasts(best[l.Kind]):
			best[l.Kind] = l
		}
	}
	pooled, tried, barredToo := s.covering(c.Product, u.Country, at)
	switch {
	case best[Virtuoso] != nil:
		r.license = best[Virtuoso]
		if d := r.record(c, u, pooled != nil); d != nil {
			return right{}, d
		}
	case best[Commercial] != nil:
		r.license, r.typ = best[Commercial], TypeCommercial
	case pooled != nil:
		r.license, r.typ, r.warnings = pooled, TypePooled, warnPooled
	case best[Trial] != nil:
		r.license, r.typ, r.warnings = best[Trial], TypeTrial, warnTrial
	case tried != nil:
		r.license, r.typ, r.warnings = tried, TypeTrial, warnTrial
	case p.V8i && s.head.Settings.PassV8i:
		r.license, r.typ, r.warnings = &License{Product: p.ID, Kind: Commercial}, TypeCommercial, warnV8i
	case barred != nil || barredToo:
		d := &Denial{Reason: WrongCountry, Product: c.Product}
		if barred != nil {
			d.License = barred.ID
		}
		return right{}, d
	default:
		return right{}, outOfTerm(out, c.Product, at)
	}
	return r, nil
}

// record decides what a start by the user's own Virtuoso license is recorded as.
func (r *right) record(c *Start, u *User, covered bool) *Denial {
	if c.Email != "" && u.Email != "" && !strings.EqualFold(c.Email, u.Email) {
		if !covered {
			return &Denial{Reason: NotAssigned, Product: c.Product, License: r.license.ID, Email: u.Email}
		}
		r.typ, r.warnings = TypePooled, warnEmail
	}
	if v, ok := ParseVersion(c.Client); ok && v.Before(practitionerFrom) {
		r.typ, r.warnings = TypePooled, r.warnings|warnClient
	}
	return nil
}

// practitionerFrom is the first CONNECTION Client whose use is recorded as
// Practitioner (R13).
var practitionerFrom = Version{10, 0, 18, 0}

// PractitionerFrom is practitionerFrom as it is written.
const PractitionerFrom = "10.00.18"

// known finds what every request of a user for a product needs.
func (s *State) known(user UserID, product ProductID) (*Product, *User, *Denial) {
	p := s.products[product]
	if p == nil {
		return nil, nil, &Denial{Reason: UnknownProduct, Product: product}
	}
	u := s.User(user)
	if u == nil {
		return nil, nil, &Denial{Reason: UnknownUser, Product: product}
	}
	if u.Blocked {
		return nil, nil, &Denial{Reason: UserBlocked, Product: product}
	}
	if u.Country == "" {
		return nil, nil, &Denial{Reason: NoCountry, Product: product}
	}
	return p, u, nil
}

// entitled finds the license that is a user's by name: a Virtuoso license
// assigned to them and in its term, the one that ends last (R1, R2). It is what a
// checkout needs.
func (s *State) entitled(user UserID, product ProductID, at Time) (*Product, *License, *Denial) {
	p, u, d := s.known(user, product)
	if d != nil {
		return nil, nil, d
	}
	var best, out, barred *License
	for _, l := range s.Assigned(user) {
		if l.Product != product || l.Kind != Virtuoso || p.V8i {
			continue
		}
		switch {
		case l.Runs(at) && !l.covers(u.Country):
			barred = l
		case l.Runs(at):
			if best == nil || l.outlasts(best) {
				best = l
			}
		case out == nil || l.outlasts(out):
			out = l
		}
	}
	switch {
	case best != nil:
		return p, best, nil
	case barred != nil:
		return nil, nil, &Denial{Reason: WrongCountry, Product: product, License: barred.ID}
	}
	return nil, nil, outOfTerm(out, product, at)
}

// outOfTerm refuses where there is no license, or only one whose term is not now.
func outOfTerm(out *License, product ProductID, at Time) *Denial {
	switch {
	case out == nil:
		return &Denial{Reason: NotAssigned, Product: product}
	case at < out.Starts && (out.Ends == 0 || out.Ends > out.Starts): // else it never runs
		return &Denial{Reason: LicenseNotStarted, Product: product, License: out.ID, Until: out.Starts}
	}
	return &Denial{Reason: LicenseEnded, Product: product, License: out.ID, Until: out.Ends}
}

// outlasts orders licenses by their end; an open one outlasts all, and equals
// are ordered by id.
func (l *License) outlasts(other *License) bool {
	switch {
	case l.Ends == other.Ends:
		return l.ID < other.ID
	case l.Ends == 0 || other.Ends == 0:
		return l.Ends == 0
	}
	return l.Ends > other.Ends
}

// covers reports whether users of the country may use the license.
func (l *License) covers(country string) bool {
	if len(l.Countries) == 0 {
		return true
	}
	for _, c := range l.Countries {
		if strings.EqualFold(c, country) {
			return true
		}
	}
	return false
}

// covering are the licenses by which the account covers a product for all its
// users: an unassigned commercial one and, where there is none, a trial, each in
// its term and the first by id. barred: there are such, and not for the country.
func (s *State) covering(product ProductID, country string, at Time) (pooled, tried *License, barred bool) {
	for _, l := range s.pools[product] {
		switch {
		case !l.Runs(at):
		case !l.covers(country):
			barred = true
		case l.Kind == Commercial:
			return l, tried, false
		case tried == nil:
			tried = l
		}
	}
	return nil, tried, barred
}

// Covered lists the products that the account covers for users of the country, in
// order.
func Covered(s *State, country string, at Time) []ProductID {
	var list []ProductID
	for product := range s.pools {
		if pooled, tried, _ := s.covering(product, country, at); pooled != nil || tried != nil {
			list = append(list, product)
		}
	}
	slices.Sort(list)
	return list
}

// pooled reports whether the license covers its product for the whole account.
func (l *License) pooled() bool {
	return (l.Kind == Commercial || l.Kind == Trial) && l.Assignee == ""
}

// setPooled keeps the index of what covers a product for the whole account.
func (s *State) setPooled(l *License, on bool) {
	if !l.pooled() {
		return
	}
	list := listed(s.pools[l.Product], l, on)
	if len(list) == 0 {
		delete(s.pools, l.Product)
		return
	}
	s.pools[l.Product] = list
}
