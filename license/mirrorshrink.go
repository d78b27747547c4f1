package license

import "time"

// A mirror that shrinks by more than half at once is more likely a cloud that has
// lost something, or speaks of another account, than a site that has. It is held
// back: nothing is taken away until an administrator accepts it, or until the
// cloud takes it back.
//
// Whoever reads the feed keeps what takes something away until it has read to the
// end, and announces with the first page of it how much that is in all: so it is
// all or nothing. The rules do not rest on that. They count themselves what is
// taken, over a day and more, so that no cutting into pages, no reading anew and no
// other leader brings in by and by what may not be brought in at once.

// MinShrink is how many users, licenses or assignments may go in a day whatever
// part of the mirror that is.
const MinShrink = 20

// ShrinkDay is how long at least counts what was taken; twice that is the most.
const ShrinkDay = 24 * time.Hour

// AcceptFor is how long an accepted shrink may come in.
const AcceptFor = 24 * time.Hour

// maxSize is the most of anything that a command may speak of.
const maxSize = 1 << 30

// Sizes count what a mirror has, or what is taken from it.
type Sizes struct {
	Users       int `cbor:"1,keyasint,omitempty"`
	Licenses    int `cbor:"2,keyasint,omitempty"`
	Assignments int `cbor:"3,keyasint,omitempty"` // of a license to a user
}

// Plus is n and m together.
func (n Sizes) Plus(m Sizes) Sizes {
	return Sizes{n.Users + m.Users, n.Licenses + m.Licenses, n.Assignments + m.Assignments}
}

// Minus is n without m.
func (n Sizes) Minus(m Sizes) Sizes {
	return Sizes{n.Users - m.Users, n.Licenses - m.Licenses, n.Assignments - m.Assignments}
}

func (n Sizes) atLeast(m Sizes) Sizes {
	return Sizes{max(n.Users, m.Users), max(n.Licenses, m.Licenses), max(n.Assignments, m.Assignments)}
}

func (n Sizes) valid() bool {
	return n.atLeast(Sizes{}) == n && n.atLeast(Sizes{maxSize, maxSize, maxSize}) == Sizes{maxSize, maxSize, maxSize}
}

// beyond reports whether so many are more than MinShrink and more than half, of
// anything.
func (n Sizes) beyond(of Sizes) bool {
	most := func(n, of int) bool { return n > MinShrink && 2*n > of }
	return most(n.Users, of.Users) || most(n.Licenses, of.Licenses) || most(n.Assignments, of.Assignments)
}

// Shrinkage is what the state remembers of how the mirror shrinks.
type Shrinkage struct {
	// Of is what the taken is measured by: what the mirror had when the feed had last
	// been read to its end, and what had been taken by then.
	Of     Sizes `cbor:"1,keyasint,omitempty"`
	Taken  Sizes `cbor:"2,keyasint,omitempty"` // since Since
	Before Sizes `cbor:"3,keyasint,omitempty"` // in the day before Since
	Since  Time  `cbor:"4,keyasint,omitempty"`
}

func (g *Shrinkage) taken() Sizes { return g.Taken.Plus(g.Before) }

// by is what g comes to at a time: what was taken long ago counts no more.
func (g Shrinkage) by(at Time) Shrinkage {
	switch {
	case at >= g.Since.Add(2*ShrinkDay):
		return Shrinkage{Of: g.Of.Minus(g.taken()), Since: at}
	case at >= g.Since.Add(ShrinkDay):
		return Shrinkage{Of: g.Of.Minus(g.Before), Before: g.Taken, Since: g.Since.Add(ShrinkDay)}
	}
	return g
}

// Held is a mirror that is held back. Without a Since there is none.
type Held struct {
	Since  Time  `cbor:"1,keyasint,omitempty"`
	Losing Sizes `cbor:"2,keyasint,omitempty"` // what would be gone, with what was taken in the last day
	Of     Sizes `cbor:"3,keyasint,omitempty"` // of what
	// Accepted is when an administrator did so, and Until how long that holds. Zero:
	// not accepted.
	Accepted Time   `cbor:"4,keyasint,omitempty"`
	Until    Time   `cbor:"5,keyasint,omitempty"`
	By       string `cbor:"6,keyasint,omitempty"`
	Note     string `cbor:"7,keyasint,omitempty"`
}

// HoldBack says how much a mirror would take that was refused with MirrorShrunk.
type HoldBack struct {
	Losing Sizes `cbor:"1,keyasint,omitempty"`
}

// MirrorHeld: the mirror is held back. The administrators are told once, however
// often the cloud says the same.
type MirrorHeld struct {
	Losing Sizes    `cbor:"1,keyasint,omitempty"`
	Of     Sizes    `cbor:"2,keyasint,omitempty"`
	To     []UserID `cbor:"3,keyasint,omitempty"` // the administrators, as they were then
}

// AcceptShrink lets the mirror that is held back come in, once, within AcceptFor,
// and as far as it takes what it was held back for: up to half of what that leaves
// it may have grown by.
type AcceptShrink struct {
	By   string `cbor:"1,keyasint,omitempty"` // who
	Note string `cbor:"2,keyasint,omitempty"` // why
}

// ShrinkAccepted: an administrator has accepted what the mirror is held back for.
type ShrinkAccepted struct {
	Losing Sizes  `cbor:"1,keyasint,omitempty"`
	Of     Sizes  `cbor:"2,keyasint,omitempty"`
	Until  Time   `cbor:"3,keyasint,omitempty"`
	By     string `cbor:"4,keyasint,omitempty"`
	Note   string `cbor:"5,keyasint,omitempty"`
}

// MirrorResumed: the mirror follows the cloud again, with what it was held back
// for or, not Accepted, without.
type MirrorResumed struct {
	Accepted bool     `cbor:"1,keyasint,omitempty"`
	By       string   `cbor:"2,keyasint,omitempty"` // who accepted it
	To       []UserID `cbor:"3,keyasint,omitempty"` // the administrators, as they are by then
}

// Takes reports whether a change takes something away from somebody: a user, a
// license, its assignment, or a product.
func Takes(s *State, c *Change) bool {
	switch {
	case c.DeleteUser != "":
		return s.User(c.DeleteUser) != nil
	case c.DeleteProduct != "":
		return s.products[c.DeleteProduct] != nil
	case c.DeleteLicense != "":
		return s.licenses[c.DeleteLicense] != nil
	case c.License != nil:
		l := s.licenses[c.License.ID]
		return l != nil && l.Assignee != "" && l.Assignee != c.License.Assignee
	}
	return false
}

// Losing counts what changes take away. What several of them speak of counts once,
// and even where a later one gives it back: by then it has been gone.
func Losing(s *State, changes []Change) Sizes {
	var n Sizes
	seen := map[Key]bool{}
	first := func(k Key) int {
		if seen[k] {
			return 0
		}
		seen[k] = true
		return 1
	}
	for i := range changes {
		c := &changes[i]
		if !Takes(s, c) {
			continue
		}
		switch {
		case c.DeleteUser != "":
			n.Users += first(Key{KeyUser, string(c.DeleteUser)})
		case c.DeleteLicense != "":
			n.Licenses += first(Key{KeyLicense, string(c.DeleteLicense)})
			if s.licenses[c.DeleteLicense].Assignee != "" {
				n.Assignments += first(Key{ID: string(c.DeleteLicense)})
			}
		case c.License != nil:
			n.Assignments += first(Key{ID: string(c.License.ID)})
		}
	}
	return n
}

// sizes are what the mirror has.
func (s *State) sizes() Sizes { return Sizes{s.users, len(s.licenses), s.assigned} }

// shrinks reports whether it is too much if so many go now. Before the first fill
// there is nothing that anybody has.
func (s *State) shrinks(n Sizes, at Time) bool {
	g := s.head.Shrinkage.by(at)
	n, of := n.Plus(g.taken()), g.Of
	if h := &s.head.Held; h.Accepted != 0 && at < h.Until {
		n, of = n.Minus(h.Losing), of.Minus(h.Losing)
	}
	return s.head.Filled && n.beyond(of)
}

// shrink counts what is taken.
func (s *State) shrink(n Sizes, at Time) {
	g := s.head.Shrinkage.by(at)
	g.Taken = g.Taken.Plus(n)
	s.head.Shrinkage = g
}

// readToEnd measures anew, when the feed has been read to its end and nothing of it
// is left out.
func (s *State) readToEnd(at Time) {
	g, h := s.head.Shrinkage.by(at), s.head.Held
	accepted := s.head.Filled && g.taken().beyond(g.Of)
	if accepted {
		g = Shrinkage{Since: at}
	}
	g.Of = s.sizes().Plus(g.taken())
	s.head.Shrinkage, s.head.Held = g, Held{}
	if h.Since == 0 {
		return
	}
	f := MirrorResumed{Accepted: accepted, To: s.told(administrators)}
	if accepted {
		f.By = h.By
	}
	s.emit(f)
}

func (c HoldBack) decide(s *State, at Time) *Denial {
	switch {
	case !c.Losing.valid():
		return deny(BadCommand)
	case !s.shrinks(c.Losing, at):
		return deny(TooLate) // it may come in by now
	}
	return nil
}

func (c HoldBack) do(s *State, at Time) Outcome {
	h := &s.head.Held
	g := s.head.Shrinkage.by(at)
	n, of := c.Losing.Plus(g.taken()), g.Of
	told := h.Since != 0 && h.Accepted == 0
	switch {
	case told && h.Losing == n && h.Of == of:
		return Outcome{Repeat: true}
	case told:
		h.Losing, h.Of = n, of
		return Outcome{}
	}
	// What was accepted was less, or has not come in in time.
	*h = Held{Since: at, Losing: n, Of: of}
	s.emit(MirrorHeld{Losing: n, Of: of, To: s.told(administrators)})
	return Outcome{}
}

func (c AcceptShrink) decide(s *State, _ Time) *Denial {
	switch {
	case c.By == "" || !validName(c.By) || !validName(c.Note):
		return deny(BadCommand)
	case s.head.Held.Since == 0:
		return deny(MirrorNotHeld)
	}
	return nil
}

func (c AcceptShrink) do(s *State, at Time) Outcome {
	h := &s.head.Held
	if h.Accepted != 0 && at < h.Until {
		held := *h
		return Outcome{Held: &held, Repeat: true}
	}
	h.Accepted, h.Until, h.By, h.Note = at, at.Add(AcceptFor), c.By, c.Note
	s.emit(ShrinkAccepted{Losing: h.Losing, Of: h.Of, Until: h.Until, By: c.By, Note: c.Note})
	held := *h
	return Outcome{Held: &held}
}
