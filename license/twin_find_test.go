package license

import "unicode/utf8"

// How the twin finds what it has.

func twinFind[T any](list []T, is func(*T) bool) *T {
	for i := range list {
		if is(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

func (w *twin) session(id ID) *Session {
	return twinFind(w.sessions, func(x *Session) bool { return x.ID == id })
}

func (w *twin) checkout(id ID) *Checkout {
	return twinFind(w.checkouts, func(x *Checkout) bool { return x.ID == id })
}

func (w *twin) waiter(user UserID, id ID) *Waiter {
	return twinFind(w.waiters, func(x *Waiter) bool { return x.User == user && x.ID == id })
}

// waiting is a copy of who waits of one user.
func (w *twin) waiting(user UserID) (list []Waiter) {
	for _, x := range w.waiters {
		if x.User == user {
			list = append(list, x)
		}
	}
	return list
}

// keptFor is a copy of what is kept of one user's.
func (w *twin) keptFor(user UserID) (list []Reservation) {
	for _, x := range w.kept {
		if x.user == user {
			list = append(list, x.Reservation)
		}
	}
	return list
}

// one: the two products are held together.
func (w *twin) one(p, q ProductID) bool { return w.sessionsHoldUser() || p == q }

func (w *twin) product(id ProductID) *Product {
	return twinFind(w.products, func(x *Product) bool { return x.ID == id })
}

func (w *twin) license(id LicenseID) *License {
	return twinFind(w.licenses, func(x *License) bool { return x.ID == id })
}

func (w *twin) user(id UserID) *User {
	return twinFind(w.users, func(x *User) bool { return x.ID == id })
}

func (w *twin) runner(session ID) UserID {
	if x := w.session(session); x != nil {
		return x.User
	}
	return ""
}

func (w *twin) borrower(checkout ID) UserID {
	if x := w.checkout(checkout); x != nil {
		return x.User
	}
	return ""
}

// wasOf is whose session or checkout ended lately under the id.
func (w *twin) wasOf(id ID) UserID {
	if t := twinFind(w.ended, func(t *Tombstone) bool { return t.ID == id }); t != nil {
		return t.User
	}
	return ""
}

func (w *twin) bury(id ID, user UserID) {
	if w.wasOf(id) == "" {
		w.ended = append(w.ended, Tombstone{ID: id, User: user, Until: w.now() + 60_000})
	}
}

func twinName(names ...string) bool {
	for _, s := range names {
		if len(s) > 256 || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

// twinMachine reports whether it names a machine at all.
func twinMachine(m Machine) bool { return twinName(m.ID, m.Name) && (m.ID != "" || sameMachine(m, m)) }
