package license

import (
	"cmp"
	"container/heap"
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
	if at != 0 {
		heap.Push(&s.due, dueAt{at, user})
	}
}

// MaxDue is how many users Due looks at in one call; the rest waits for the next.
const MaxDue = 256

// Due lists the commands that time alone asks for at this moment: checkouts that
// have ended, reservations nobody took. The leader proposes them; Apply settles
// the same by itself before it decides on anything of the user. Due only reads.
func Due(s *State, at Time) []Command {
	var users []UserID
	var walk func(i int)
	walk = func(i int) {
		if i < len(s.due) && s.due[i].at <= at && len(users) < MaxDue {
			users = append(users, s.due[i].user)
			walk(2*i + 1)
			walk(2*i + 2)
		}
	}
	walk(0)
	slices.Sort(users)
	var commands []Command
	for _, user := range slices.Compact(users) {
		commands = append(commands, s.dueOf(user, at)...)
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
	a := s.active[user]
	if a == nil {
		return nil
	}
	var commands []Command
	for i := range a.Checkouts {
		if a.Checkouts[i].Until <= at {
			commands = append(commands, EndCheckout{ID: a.Checkouts[i].ID})
		}
	}
	if a.Reservation != nil && a.Reservation.Until <= at {
		commands = append(commands, EndReservation{User: user})
	}
	return commands
}

// settle does what is due for one user by now, before a command of theirs is
// decided.
func (s *State) settle(user UserID) {
	a := s.active[user]
	if a == nil {
		return
	}
	for i := 0; i < len(a.Checkouts); {
		if a.Checkouts[i].Until <= s.head.Now {
			s.endCheckout(a, i)
			continue
		}
		i++
	}
	if r := a.Reservation; r != nil && r.Until <= s.head.Now {
		s.endReservation(a)
	}
}
