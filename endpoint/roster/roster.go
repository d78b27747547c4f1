// Package roster lists what is open at a site, newest first, so that it can be searched
// and paged through while it changes: a hundred thousand rows, in a few milliseconds.
//
// It is made of the state when it is first asked for, a piece at a time, so that nothing
// waits for it. From then on it follows the notices that the hub keeps, and looks anew at
// the users they are about; where they have gone by, as after a jump of the state, it is
// made again. When nobody has asked for a while it is forgotten.
//
// A row says where to look, and what it is found by. What is shown of it is the state's.
package roster

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"sitegate/license"
	"sitegate/notice"
)

// Keep is how long a roster that nobody asks for is kept.
const Keep = 10 * time.Minute

// rest is how much longer than it takes nothing is made anew because the mirror has
// changed, by which people and products may have other names: a large site sees them some
// seconds later.
const rest = 30

// piece is how many users are looked at together: the log waits for no more.
const piece = 500

// View reads the state, as gateway.Gateway's does.
type View func(func(*license.State))

// Names is what users and machines (kind is user or machine) are called where they are
// not to be known. What is found, and in which order, goes by these names, so that neither
// a search nor a page's place tells others. Nil: everybody goes by their own.
type Names func(s *license.State, kind, name string) string

// hidden is what a user is called, if by another name.
func (n Names) hidden(s *license.State, id license.UserID) (called string, is bool) {
	if n == nil {
		return "", false
	}
	called = n(s, "user", string(id))
	return called, called != string(id)
}

// Machine is what a machine on which a user works is called: by its own name where that user
// is. A user that is not known ("") may be one who is hidden.
func (n Names) Machine(s *license.State, user license.UserID, m license.Machine) (called string, hidden bool) {
	own := cmp.Or(m.Name, m.ID)
	if n == nil || own == "" {
		return own, false
	}
	if _, is := n.hidden(s, user); !is && user != "" {
		return own, false
	}
	called = n(s, "machine", own)
	return called, called != own
}

// Is reports whether a machine that is not hidden is the one that somebody calls so.
func Is(m license.Machine, called string) bool {
	return cmp.Or(m.Name, m.ID) == called || m.Is(license.Machine{Name: called})
}

// user are the words that a user is found by.
func (n Names) user(s *license.State, id license.UserID) string {
	if called, is := n.hidden(s, id); is {
		return called
	}
	if u := s.User(id); u != nil {
		return string(id) + " " + u.Name + " " + u.Email
	}
	return string(id)
}

// Roster is what is open. New makes one. Its methods may be called at once.
type Roster struct {
	view  View
	hub   *notice.Hub
	names Names

	mu      sync.Mutex
	sub     *notice.SiteSubscription // nil: there are no rows
	rows    []row                    // by key; the dead among them
	dead    int
	of      map[license.UserID][]key
	uses    map[license.ProductID]*Use
	held    map[license.LicenseID]int
	next    time.Time // when it may be made anew because of the mirror
	mirror  mirrorMark
	forgets *time.Timer
}

// key orders rows: by their grants, the seq of which is their token.
type key struct {
	token uint64
	id    license.ID
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.token, other.token), slices.Compare(k.id[:], other.id[:]))
}

type row struct {
	key
	Row
	words  string // it is found by, in lower case
	called string // its machine, where that is hidden
	who    string // its user, where they are
	dead   bool
}

// Row is a session or a checkout.
type Row struct {
	ID       license.ID
	User     license.UserID
	Product  license.ProductID
	License  license.LicenseID
	Machine  license.Machine
	Checkout bool
}

// Use is how much of a product is in use. Licenses counts each of them once.
type Use struct{ Sessions, Checkouts, Licenses int }

// mirrorMark changes when the mirror does.
type mirrorMark struct {
	cursor   string
	imported license.Time
}

// New makes the roster of a state whose events are published to the hub.
func New(view View, hub *notice.Hub, names Names) *Roster {
	return &Roster{view: view, hub: hub, names: names}
}

// Close forgets everything.
func (r *Roster) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
}

func (r *Roster) forget() {
	if r.sub != nil {
		r.sub.Close()
	}
	if r.forgets != nil {
		r.forgets.Stop()
	}
	r.sub, r.rows, r.of, r.uses, r.held, r.dead, r.forgets = nil, nil, nil, nil, nil, 0, nil
}

// Query is what to look for. The zero value is everything.
type Query struct {
	Words    string // each of them somewhere in a row, in whatever case
	Kind     Kind
	Product  license.ProductID
	User     license.UserID
	Machine  license.Machine
	Called   string                     // the machine by its other name, or by Machine
	Before   uint64                     // rows whose token is less; zero: from the newest
	Most     int                        // rows
	Products map[license.ProductID]bool // nil: any
}

// Kind narrows a query.
type Kind uint8

// The kinds.
const (
	Any Kind = iota
	Sessions
	Checkouts
)

// Found is a page of rows, newest first.
type Found struct {
	Rows  []Row
	Next  uint64 // to be asked for as Before; zero: that was all
	Total int    // how many fit the query, on all pages
	All   int    // how many there are

	last uint64 // the token of the last row
}

// add counts a row that fits, and takes it if it is of the page. The newest come first.
func (f *Found) add(q *Query, x *row) {
	f.Total++
	switch {
	case q.Before != 0 && x.token >= q.Before:
	case len(f.Rows) < q.Most:
		f.Rows, f.last = append(f.Rows, x.Row), x.token
	default:
		f.Next = f.last
	}
}

// Find looks for rows as they are now.
func (r *Roster) Find(q Query) Found {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow()
	words := strings.Fields(strings.ToLower(q.Words))
	out := Found{All: len(r.rows) - r.dead}
	if q.User != "" {
		for _, k := range slices.Backward(r.of[q.User]) {
			if i, there := r.at(k); there && r.rows[i].fits(&q, words) {
				out.add(&q, &r.rows[i])
			}
		}
		return out
	}
	everything := len(words) == 0 && q.Kind == Any && q.Product == "" && q.Machine == (license.Machine{}) && q.Called == "" && q.Products == nil
	for i := len(r.rows) - 1; i >= 0; i-- {
		x := &r.rows[i]
		if x.dead || !everything && !x.fits(&q, words) {
			continue
		}
		if out.add(&q, x); everything && out.Next != 0 {
			out.Total = out.All
			break
		}
	}
	return out
}

// Fits reports whether a row that is in no roster is what is looked for.
func (r *Roster) Fits(s *license.State, q *Query, x Row) bool { return q.fit(r.row(s, x)) }

func (q *Query) fit(r row) bool {
	x := r.Row
	return (q.User == "" || q.User == x.User) && r.fits(q, strings.Fields(strings.ToLower(q.Words)))
}

func (x *row) fits(q *Query, words []string) bool {
	switch {
	case q.Kind == Sessions && x.Checkout, q.Kind == Checkouts && !x.Checkout,
		q.Product != "" && x.Product != q.Product,
		q.Products != nil && !q.Products[x.Product],
		(q.Machine != (license.Machine{}) || q.Called != "") && !q.on(x):
		return false
	}
	return Contains(x.words, words)
}

// Contains reports whether a text has each of some words somewhere, all in lower case.
func Contains(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// on reports whether a row's machine is what is looked for.
func (q *Query) on(x *row) bool {
	return q.Machine != (license.Machine{}) && x.Machine.Is(q.Machine) ||
		q.Called != "" && (x.called == q.Called || x.called == "" && Is(x.Machine, q.Called))
}

// Hidden finds the user, or the machine, that goes by another name and has something open.
func (r *Roster) Hidden(called string) (user license.UserID, m license.Machine, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow()
	for i := range r.rows {
		switch x := &r.rows[i]; {
		case x.dead || called == "":
		case x.who == called:
			return x.User, m, true
		case x.called == called:
			return "", x.Machine, true
		}
	}
	return "", m, false
}

// Uses is how much of each product is in use.
func (r *Roster) Uses() map[license.ProductID]Use {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow()
	out := make(map[license.ProductID]Use, len(r.uses))
	for id, u := range r.uses {
		out[id] = *u
	}
	return out
}
