package license

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
)

// dueHeap orders the users by the next moment at which time changes something
// for them. An entry whose reason is gone is dropped when it comes up.
type dueHeap []dueAt

type dueAt struct {
	at   Time
	user UserID
}

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].user, h[j].user)) < 0
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(dueAt)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (s *State) plan(at Time, user UserID) {
	heap.Push(&s.due, dueAt{at, user})
	// What was returned or taken before its time leaves an entry behind.
	if len(s.due) > 1024 && len(s.due) > 4*(s.openIDs()+len(s.busy)) {
		s.replan()
	}
}

// replan makes the heap anew from what is open.
func (s *State) replan() {
	s.due = s.due[:0]
	for _, p := range s.busy {
		user, a := p.user.ID, p.active
		for i := range a.Checkouts {
			s.due = append(s.due, dueAt{a.Checkouts[i].Until, user})
			if a.Checkouts[i].Remind != 0 {
				s.due = append(s.due, dueAt{a.Checkouts[i].Remind, user})
			}
		}
		for i := range a.Reservations {
			s.due = append(s.due, dueAt{a.Reservations[i].Until, user})
		}
		for i := range a.Sessions {
			if next := a.Sessions[i].nextWarning(); next != 0 {
				s.due = append(s.due, dueAt{next, user})
			}
		}
		for _, at := range s.waiterTimes(a, s.head.Now) {
			s.due = append(s.due, dueAt{at, user})
		}
		if s.offers(a, s.head.Now) {
			s.due = append(s.due, dueAt{s.head.Now, user})
		}
	}
	heap.Init(&s.due)
}

// MaxDue is how many users Due names in one call; the rest waits for the next.
const MaxDue = 256

// Due lists the commands that time alone asks for at this moment: checkouts that
// have ended or whose users are to be told that they will, reservations nobody
// took, licenses whose end comes near, a bypass whose time is up. The leader proposes them; Apply settles
// the same by itself before it decides on anything of the user. Due only reads.
func Due(s *State, at Time) []Command {
	found := map[UserID][]Command{}
	var walk func(i int)
	walk = func(i int) {
		if i >= len(s.due) || s.due[i].at > at || len(found) == MaxDue {
			return
		}
		user := s.due[i].user
		if commands := s.dueOf(user, at); len(commands) > 0 {
			found[user] = commands
		}
		walk(2*i + 1)
		walk(2*i + 2)
	}
	walk(0)
	var commands []Command
	for _, user := range slices.Sorted(maps.Keys(found)) {
		commands = append(commands, found[user]...)
	}
	for _, id := range s.dueTerms(at) {
		commands = append(commands, RemindTerm{License: id})
	}
	if s.bypassIsUp(at) {
		commands = append(commands, EndBypass{})
	}
	return commands
}

// forget drops the heads of the heap whose reason is gone or has been settled.
func (s *State) forget() {
	for len(s.due) > 0 && s.due[0].at <= s.head.Now && len(s.dueOf(s.due[0].user, s.head.Now)) == 0 {
		heap.Pop(&s.due)
	}
}

func (s *State) dueOf(user UserID, at Time) []Command {
	a := s.Active(user)
	if a == nil {
		return nil
	}
	var commands []Command
	for i := range a.Checkouts {
		switch x := &a.Checkouts[i]; {
		case x.Until <= at:
			commands = append(commands, EndCheckout{ID: x.ID})
		case x.reminds(at):
			commands = append(commands, RemindCheckout{ID: x.ID})
		}
	}
	if a.keptUntil(at) >= 0 {
		commands = append(commands, EndReservation{User: user})
	}
	for i := range a.Sessions {
		if a.Sessions[i].warns(at) {
			commands = append(commands, WarnEnding{Session: a.Sessions[i].ID})
		}
	}
	if s.offers(a, at) {
		commands = append(commands, Offer{User: user})
	}
	return commands
}

// settle does what is due for one user by now, before a command of theirs is
// decided.
func (s *State) settle(user UserID) {
	a := s.Active(user)
	if a == nil {
		return
	}
	settled := false
	for i := a.overdue(s.head.Now); i >= 0; i = a.overdue(s.head.Now) {
		s.endCheckout(a, i)
		settled = true
	}
	s.remind(a)
	for i := a.keptUntil(s.head.Now); i >= 0; i = a.keptUntil(s.head.Now) {
		s.endReservation(a, i)
		settled = true
	}
	s.warnEndings(a)
	if settled || s.offers(a, s.head.Now) {
		s.offer(user)
	}
}

// overdue is the index of the checkout that should have ended first, or -1.
func (a *Active) overdue(at Time) int {
	first := -1
	for i := range a.Checkouts {
		if a.Checkouts[i].Until <= at && (first < 0 || a.Checkouts[i].Until < a.Checkouts[first].Until) {
			first = i
		}
	}
	return first
}
