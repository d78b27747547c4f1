package roster

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sitegate/license"
	"sitegate/notice"
)

// follow brings the rows up to date. The lock is held.
func (r *Roster) follow() {
	if r.forgets == nil {
		r.forgets = time.AfterFunc(Keep, r.Close)
	} else {
		r.forgets.Reset(Keep)
	}
	var mark mirrorMark
	r.view(func(s *license.State) { h := s.Head(); mark = mirrorMark{h.Cursor, h.Imported} })
	if r.sub == nil || mark != r.mirror && !time.Now().Before(r.next) {
		r.make(mark)
		return
	}
	news, _, over := r.sub.Take()
	if over != notice.Open {
		r.make(mark)
		return
	}
	concerned := map[license.UserID]struct{}{}
	for _, n := range news {
		if n.User != "" && !n.Kind.ForAdministrators() {
			concerned[n.User] = struct{}{}
		}
	}
	users := make([]license.UserID, 0, len(concerned))
	for u := range concerned {
		users = append(users, u)
	}
	slices.Sort(users) // maps have no order; rows get one by their keys, errors are easier to find
	for some := range slices.Chunk(users, piece) {
		r.view(func(s *license.State) {
			for _, u := range some {
				r.look(s, u)
			}
		})
	}
	if r.dead > 1000 && r.dead > len(r.rows)/2 {
		r.rows = slices.DeleteFunc(r.rows, func(x row) bool { return x.dead })
		r.dead = 0
	}
}

// make reads everything. What changes meanwhile is among the notices of the
// subscription, which begins before.
func (r *Roster) make(mark mirrorMark) {
	if r.sub != nil {
		r.sub.Close()
	}
	r.sub = r.hub.SubscribeSite(notice.Token{}, func() {})
	begun := time.Now()
	defer func() { r.next = time.Now().Add(rest * time.Since(begun)) }()
	r.mirror, r.dead = mark, 0
	var users []license.UserID
	r.view(func(s *license.State) { users = s.Busy() })
	r.uses, r.held = map[license.ProductID]*Use{}, make(map[license.LicenseID]int, len(users))
	r.rows = make([]row, 0, len(users)+len(users)/8)
	r.of = make(map[license.UserID][]key, len(users))
	keys := make([]key, 0, len(users)+len(users)/8) // of all, in one piece
	for some := range slices.Chunk(users, piece) {
		r.view(func(s *license.State) {
			for _, u := range some {
				from, first := len(r.rows), len(keys)
				r.rows = r.open(s, u, r.rows)
				for i := range r.rows[from:] {
					x := &r.rows[from+i]
					keys = append(keys, x.key)
					r.count(x, 1)
				}
				if mine := keys[first:]; len(mine) > 0 {
					r.of[u] = slices.Clip(mine)
				}
			}
		})
	}
	slices.SortFunc(r.rows, func(a, b row) int { return a.compare(b.key) })
}

// look finds out anew what a user has open.
func (r *Roster) look(s *license.State, user license.UserID) {
	now := r.open(s, user, nil)
	before := r.of[user]
	keys := make([]key, 0, len(now))
	for i := range now {
		x := &now[i]
		keys = append(keys, x.key)
		at, there := r.at(x.key)
		switch {
		case there && !r.rows[at].dead:
			r.count(&r.rows[at], -1)
			r.rows[at] = *x
		case there:
			r.rows[at] = *x
			r.dead--
		default:
			r.rows = slices.Insert(r.rows, at, *x) // at its end, as a rule
		}
		r.count(x, 1)
	}
	for _, k := range before {
		if slices.Contains(keys, k) {
			continue
		}
		if at, there := r.at(k); there && !r.rows[at].dead {
			r.count(&r.rows[at], -1)
			r.rows[at].dead, r.rows[at].words = true, ""
			r.dead++
		}
	}
	if len(keys) == 0 {
		delete(r.of, user)
		return
	}
	r.of[user] = keys
}

func (r *Roster) at(k key) (int, bool) {
	return slices.BinarySearchFunc(r.rows, k, func(x row, k key) int { return x.compare(k) })
}

// count keeps how much is in use.
func (r *Roster) count(x *row, by int) {
	u := r.uses[x.Product]
	if u == nil {
		u = &Use{}
		r.uses[x.Product] = u
	}
	if x.Checkout {
		u.Checkouts += by
	} else {
		u.Sessions += by
	}
	if x.License == "" {
		return
	}
	before := r.held[x.License]
	after := before + by
	switch {
	case after == 0:
		delete(r.held, x.License)
		u.Licenses--
		return
	case before == 0:
		u.Licenses++
	}
	r.held[x.License] = after
}

// open appends the rows of a user, oldest first.
func (r *Roster) open(s *license.State, user license.UserID, rows []row) []row {
	a := s.Active(user)
	if a == nil {
		return rows
	}
	from := len(rows)
	add := func(token uint64, x Row) {
		y := r.row(s, x)
		y.key = key{token, x.ID}
		rows = append(rows, y)
	}
	for i := range a.Sessions {
		x := &a.Sessions[i]
		add(x.Token, Row{ID: x.ID, User: user, Product: x.Product, License: x.License, Machine: x.Machine})
	}
	for i := range a.Checkouts {
		x := &a.Checkouts[i]
		add(x.Token, Row{ID: x.ID, User: user, Product: x.Product, License: x.License, Machine: x.Machine, Checkout: true})
	}
	slices.SortFunc(rows[from:], func(a, b row) int { return a.compare(b.key) })
	return rows
}

// row is what is found of something open, by what it is shown as.
func (r *Roster) row(s *license.State, x Row) row {
	y := row{Row: x}
	if called, is := r.names.Machine(s, x.User, x.Machine); is {
		y.called = called
	}
	if called, is := r.names.hidden(s, x.User); is {
		y.who = called
	}
	var room [256]byte
	text := append(room[:0], r.names.user(s, x.User)...)
	add := func(words ...string) {
		for _, w := range words {
			text = append(append(text, ' '), w...)
		}
	}
	if y.called != "" {
		add(y.called)
	} else {
		add(x.Machine.Name, x.Machine.ID)
	}
	add(string(x.Product))
	if p := s.Product(x.Product); p != nil {
		add(p.Name)
	}
	y.words = lower(text)
	return y
}

// lower is a text in lower case; the bytes are used up.
func lower(text []byte) string {
	for i, b := range text {
		if b >= utf8.RuneSelf {
			return strings.ToLower(string(text))
		}
		if 'A' <= b && b <= 'Z' {
			text[i] = b + 'a' - 'A'
		}
	}
	return string(text)
}
