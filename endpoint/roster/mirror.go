package roster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sitegate/license"
	"sitegate/notice"
)

// Mirror lists the users or the licenses of the account, in an order of names. It is
// made and kept like a Roster. NewUsers and NewLicenses make one.
type Mirror struct {
	view  View
	hub   *notice.Hub
	names Names
	of    license.KeyKind

	mu       sync.Mutex
	sub      *notice.SiteSubscription // nil: there is nothing
	licenses []licenseRow
	at       map[license.LicenseID]int // in licenses
	users    []userRow
	hidden   map[string]license.UserID // by what they are called
	next     time.Time                 // when they may be made anew because of the mirror
	owned    map[license.ProductID]int
	counted  license.Time // when owned was; zero: licenses have changed since
	mark     mirrorMark
	forgets  *time.Timer
}

type licenseRow struct {
	id       license.LicenseID
	product  license.ProductID
	order    string // the product's name, and the license's id
	words    string
	assignee license.UserID
	ends     license.Time
	lost     bool // assigned to somebody who is not in the account
	used     bool // since its assignment, or since the site was founded
}

type userRow struct {
	id      license.UserID
	order   string
	words   string
	address string // e-mail; empty: none, or it is not to be known
}

// NewUsers lists the users of a state whose events are published to the hub.
func NewUsers(view View, hub *notice.Hub, names Names) *Mirror {
	return &Mirror{view: view, hub: hub, names: names, of: license.KeyUser}
}

// NewLicenses lists its licenses.
func NewLicenses(view View, hub *notice.Hub, names Names) *Mirror {
	return &Mirror{view: view, hub: hub, names: names, of: license.KeyLicense}
}

// Close forgets everything.
func (m *Mirror) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sub != nil {
		m.sub.Close()
	}
	if m.forgets != nil {
		m.forgets.Stop()
	}
	m.sub, m.licenses, m.at, m.users, m.hidden, m.forgets = nil, nil, nil, nil, nil, nil
}

// The states that licenses are looked for by.
const (
	Unassigned = "unassigned"
	NotFound   = "not-found"  // assigned to somebody who is not in the account (R11)
	NeverUsed  = "never-used" // assigned, and not used since
	Ending     = "ending"     // within 30 days
	Ended      = "ended"
)

// LicenseStates lists them, in a fixed order.
func LicenseStates() []string { return []string{Unassigned, NotFound, NeverUsed, Ending, Ended} }

const soon = 30 * 24 * time.Hour

// LicenseQuery is what to look for. The zero value is everything.
type LicenseQuery struct {
	Words   string
	State   string // one of the states; empty: any
	Product license.ProductID
	User    license.UserID
	After   string // the Next of the page before
	Most    int
	Now     license.Time
}

// Licenses is a page of licenses, and how many fit the query on all of them.
func (m *Mirror) Licenses(q LicenseQuery) (ids []license.LicenseID, next string, total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.follow()
	words := strings.Fields(strings.ToLower(q.Words))
	last := ""
	for i := range m.licenses {
		x := &m.licenses[i]
		if !x.fits(&q, words) {
			continue
		}
		total++
		switch {
		case x.order <= q.After:
		case len(ids) < q.Most:
			ids, last = append(ids, x.id), x.order
		case next == "":
			next = last
		}
	}
	return ids, next, total
}

func (x *licenseRow) fits(q *LicenseQuery, words []string) bool {
	over := x.ends != 0 && x.ends <= q.Now
	switch {
	case q.Product != "" && x.product != q.Product, q.User != "" && x.assignee != q.User:
		return false
	case q.State == Unassigned && (x.assignee != "" || over),
		q.State == NotFound && (!x.lost || over),
		q.State == NeverUsed && (x.assignee == "" || x.used || over),
		q.State == Ending && (x.ends == 0 || over || x.ends > q.Now.Add(soon)),
		q.State == Ended && !over:
		return false
	}
	return Contains(x.words, words)
}

// Owned is how many named-user licenses of each product run at a time.
func (m *Mirror) Owned(now license.Time) map[license.ProductID]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counted == 0 || now < m.counted || now >= m.counted.Add(recount) {
		m.owned, m.counted = map[license.ProductID]int{}, now
		m.each(nil, func(s *license.State, k license.Key) {
			if l := s.License(license.LicenseID(k.ID)); l != nil && l.Kind == license.Virtuoso && l.Runs(now) {
				m.owned[l.Product]++
			}
		})
	}
	return maps.Clone(m.owned)
}

// recount is how soon it is seen that there are more licenses, or fewer.
const recount = 10 * time.Second

// Users is a page of the account's users, and how many fit the words on all of them.
func (m *Mirror) Users(text, after string, most int) (ids []license.UserID, next string, total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.follow()
	words := strings.Fields(strings.ToLower(text))
	last := ""
	for i := range m.users {
		x := &m.users[i]
		if !Contains(x.words, words) {
			continue
		}
		total++
		switch {
		case x.order <= after:
		case len(ids) < most:
			ids, last = append(ids, x.id), x.order
		case next == "":
			next = last
		}
	}
	return ids, next, total
}

// Addressed are the users of the account who have an e-mail address, in whatever case;
// whoever is hidden is not found by theirs.
func (m *Mirror) Addressed(address string) (ids []license.UserID) {
	if address == "" {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.follow()
	for i := range m.users {
		if strings.EqualFold(m.users[i].address, address) {
			ids = append(ids, m.users[i].id)
		}
	}
	return ids
}

// Hidden finds the user of the account who goes by another name.
func (m *Mirror) Hidden(called string) (id license.UserID, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.follow()
	id, found = m.hidden[called]
	return id, found
}

// follow brings the lists up to date. The lock is held.
func (m *Mirror) follow() {
	if m.forgets == nil {
		m.forgets = time.AfterFunc(Keep, m.Close)
	} else {
		m.forgets.Reset(Keep)
	}
	var mark mirrorMark
	m.view(func(s *license.State) { h := s.Head(); mark = mirrorMark{h.Cursor, h.Imported} })
	if m.sub == nil || mark != m.mark && !time.Now().Before(m.next) {
		m.make(mark)
		return
	}
	news, _, over := m.sub.Take()
	if over != notice.Open {
		m.make(mark)
		return
	}
	for _, n := range news {
		i, known := m.at[n.License]
		if !known {
			continue
		}
		m.view(func(s *license.State) {
			if l := s.License(n.License); l != nil {
				order := m.licenses[i].order // it stays where it is found
				m.licenses[i] = m.licenseOf(s, l)
				m.licenses[i].order = order
			}
		})
	}
}

// make reads everything.
func (m *Mirror) make(mark mirrorMark) {
	if m.sub != nil {
		m.sub.Close()
	}
	m.sub = m.hub.SubscribeSite(notice.Token{}, func() {})
	begun := time.Now()
	defer func() { m.next = time.Now().Add(rest * time.Since(begun)) }()
	m.mark = mark
	m.licenses, m.users, m.hidden = m.licenses[:0], m.users[:0], map[string]license.UserID{}
	if m.of == license.KeyLicense {
		m.each(func(n int) { m.licenses = slices.Grow(m.licenses, n) }, func(s *license.State, k license.Key) {
			if l := s.License(license.LicenseID(k.ID)); l != nil {
				m.licenses = append(m.licenses, m.licenseOf(s, l))
			}
		})
	} else {
		m.each(func(n int) { m.users = slices.Grow(m.users, n) }, func(s *license.State, k license.Key) {
			if u := s.User(license.UserID(k.ID)); u != nil {
				m.users = append(m.users, m.userOf(s, u))
			}
		})
	}
	slices.SortFunc(m.licenses, func(a, b licenseRow) int { return strings.Compare(a.order, b.order) })
	m.licenses = slices.CompactFunc(m.licenses, func(a, b licenseRow) bool { return a.id == b.id })
	slices.SortFunc(m.users, func(a, b userRow) int { return strings.Compare(a.order, b.order) })
	m.users = slices.CompactFunc(m.users, func(a, b userRow) bool { return a.id == b.id })
	m.at = make(map[license.LicenseID]int, len(m.licenses))
	for i := range m.licenses {
		m.at[m.licenses[i].id] = i
	}
}

// each calls f with the key of each record that is listed, a piece of them at a time, after
// begin, unless that is nil, with how many there are.
func (m *Mirror) each(begin func(n int), f func(*license.State, license.Key)) {
	var keys []license.Key
	m.view(func(s *license.State) { keys = s.MirroredOf(m.of) })
	if begin != nil {
		begin(len(keys))
	}
	for some := range slices.Chunk(keys, piece) {
		m.view(func(s *license.State) {
			for _, k := range some {
				f(s, k)
			}
		})
	}
}

func (m *Mirror) licenseOf(s *license.State, l *license.License) licenseRow {
	x := licenseRow{id: l.ID, product: l.Product, assignee: l.Assignee, ends: l.Ends,
		lost: license.NotFound(s, l), used: l.LastUsed != 0}
	name, whose := string(l.Product), ""
	if p := s.Product(l.Product); p != nil && p.Name != "" {
		name = p.Name
	}
	if l.Assignee != "" {
		whose = m.names.user(s, l.Assignee)
	}
	x.order = strings.ToLower(name) + "\x00" + string(l.ID)
	x.words = strings.ToLower(string(l.ID) + " " + string(l.Product) + " " + name + " " + whose)
	return x
}

func (m *Mirror) userOf(s *license.State, u *license.User) userRow {
	name, id, address := cmp.Or(u.Name, u.Email, string(u.ID)), string(u.ID), u.Email
	if called, is := m.names.hidden(s, u.ID); is {
		name, id, address = called, called, ""
		m.hidden[called] = u.ID
	}
	return userRow{u.ID, strings.ToLower(name) + "\x00" + id, strings.ToLower(m.names.user(s, u.ID) + " " + u.Country), address}
}
