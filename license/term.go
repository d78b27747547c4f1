package license

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// The term of a license (R1): it ends when it ends, assigned or not, and there is
// no grace. It has nothing to do with the seven days of a client's policy, which
// the client's own tool calls "will soon expire" (R25).

// termDays are the days before the end of a license on which it is spoken of.
var termDays = [...]int{60, 30, 7, 1}

// TermWarning is how long before the end of its license a session is told.
const TermWarning = time.Hour

// termTold is what License.Told is when everything has been said.
const termTold = uint8(len(termDays)) + 1

// RemindTerm says what is to be said of a license whose end comes near: once for
// each of 60, 30, 7 and 1 days before, and in the last hour to the sessions that
// run by it. Due lists it.
type RemindTerm struct {
	License LicenseID `cbor:"1,keyasint"`
}

// LicenseEnds: the license's term is over soon. Its user, if it has one, and the
// administrators are told.
type LicenseEnds struct {
	License LicenseID `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint,omitempty"`
	User    UserID    `cbor:"3,keyasint,omitempty"`
	Ends    Time      `cbor:"4,keyasint,omitempty"`
	Days    int       `cbor:"5,keyasint,omitempty"` // which of the reminders it is
	To      []UserID  `cbor:"6,keyasint,omitempty"` // the administrators, as they were then, without its user
}

// TermExtended: the session had been told of its license's end, which is later
// now.
type TermExtended struct {
	Session Session `cbor:"1,keyasint"`
}

// decide always lets RemindTerm pass: what is not due stays unsaid.
func (c RemindTerm) decide(*State, Time) *Denial { return nil }

func (c RemindTerm) do(s *State, at Time) Outcome {
	l := s.licenses[c.License]
	if l == nil || l.nextTerm() == 0 || l.nextTerm() > at {
		return Outcome{Repeat: true}
	}
	before := l.Told
	l.Told = l.toldBy(at)
	s.touch(Key{KeyLicense, string(l.ID)})
	// Of several that are due at once the last is said.
	if i := min(int(l.Told), len(termDays)) - 1; int(before) <= i && at < l.Ends {
		to := slices.DeleteFunc(s.told(administrators), func(id UserID) bool { return id == l.Assignee })
		s.emit(LicenseEnds{License: l.ID, Product: l.Product, User: l.Assignee, Ends: l.Ends, Days: termDays[i], To: to})
	}
	if l.Told == termTold {
		s.tellSessions(l)
	}
	s.planTerm(l)
	return Outcome{}
}

// termAt is when reminder n of the license is due: those of termDays, then that
// of the sessions.
func (l *License) termAt(n uint8) Time {
	if int(n) < len(termDays) {
		return l.Ends.Add(-time.Duration(termDays[n]) * 24 * time.Hour)
	}
	return l.Ends.Add(-TermWarning)
}

// nextTerm is when there is something to say of the license's end, or zero.
func (l *License) nextTerm() Time {
	if l.Ends == 0 || l.Told >= termTold {
		return 0
	}
	return max(l.termAt(l.Told), 1)
}

// toldBy is what Told is when everything has been said by at.
func (l *License) toldBy(at Time) uint8 {
	n := uint8(0)
	for n < termTold && l.termAt(n) <= at {
		n++
	}
	return n
}

// tellSessions sees to the sessions that run by the license: of its user, or of all
// where the account covers its product by it.
func (s *State) tellSessions(l *License) {
	if l.pooled() {
		s.seeToPool(l.Product)
	} else if a := s.Active(l.Assignee); a != nil {
		for i := range a.Sessions {
			if a.Sessions[i].License == l.ID {
				s.seeToEnd(&a.Sessions[i])
			}
		}
	}
}

// yields reports whether a notice to the session may be followed by another: none
// was given, or only that of its license's end, and that later than until, or that
// it is taken over, which may be given up.
func (x *Session) yields(until Time) bool {
	return x.Notice == nil || x.Notice.Reason == EndLicenseEnded && until < x.Notice.Until || x.Notice.Reason == EndTakeover
}

// newTerm carries over what was said of a license that the mirror replaces, or
// begins anew where its end or its user is another. old may be nil.
func (s *State) newTerm(old, l *License) {
	l.Told = 0
	if old != nil && old.Ends == l.Ends && old.Assignee == l.Assignee {
		l.Told = old.Told
		if old.nextTerm() == l.nextTerm() {
			return
		}
	}
	if l.Ends != 0 && l.Ends <= s.head.Now {
		l.Told = termTold // there is nothing to remind of
	}
	s.planTerm(l)
}

// termChanged sees to what a user has by a license whose end has changed. A checkout
// that would outlast it cannot be called back.
func (s *State) termChanged(old, l *License) {
	a := s.Active(l.Assignee)
	if old.Ends == l.Ends || a == nil {
		return
	}
	s.tellSessions(l)
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; x.License == l.ID && l.Ends != 0 && l.Ends < x.Until {
			s.flag(x, EndLicenseEnded)
		}
	}
}

// termHeap orders the licenses by when there is something to say of their end. An
// entry whose license has another such moment by now is dropped when it comes up.
type termHeap []termAt

type termAt struct {
	at Time
	id LicenseID
}

func (h termHeap) Len() int { return len(h) }
func (h termHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].id, h[j].id)) < 0
}
func (h termHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *termHeap) Push(x any)   { *h = append(*h, x.(termAt)) }
func (h *termHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (s *State) planTerm(l *License) {
	at := l.nextTerm()
	if at == 0 {
		return
	}
	heap.Push(&s.terms, termAt{at, l.ID})
	if len(s.terms) > 1024 && len(s.terms) > 2*len(s.licenses) {
		s.replanTerms()
	}
}

// replanTerms makes the heap anew from the licenses.
func (s *State) replanTerms() {
	s.terms = s.terms[:0]
	for id, l := range s.licenses {
		if at := l.nextTerm(); at != 0 {
			s.terms = append(s.terms, termAt{at, id})
		}
	}
	heap.Init(&s.terms)
}

// dueTerms are the licenses of whose end there is something to say, at most
// MaxDue.
func (s *State) dueTerms(at Time) []LicenseID {
	var found []LicenseID
	var walk func(i int)
	walk = func(i int) {
		if i >= len(s.terms) || s.terms[i].at > at || len(found) == MaxDue {
			return
		}
		if s.terms[i].current(s) {
			found = append(found, s.terms[i].id)
		}
		walk(2*i + 1)
		walk(2*i + 2)
	}
	walk(0)
	slices.Sort(found)
	return slices.Compact(found)
}

func (t termAt) current(s *State) bool {
	l := s.licenses[t.id]
	return l != nil && l.nextTerm() == t.at
}

// forgetTerms drops the heads of the heap that nothing is to be said for.
func (s *State) forgetTerms() {
	for len(s.terms) > 0 && s.terms[0].at <= s.head.Now && !s.terms[0].current(s) {
		heap.Pop(&s.terms)
	}
}
