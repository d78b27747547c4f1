package license

// The part of the twin that is about a mirror that shrinks.

func twinSizes(n Sizes) bool {
	for _, x := range []int{n.Users, n.Licenses, n.Assignments} {
		if x < 0 || x > 1<<30 {
			return false
		}
	}
	return true
}

// wouldGo looks at each user and license in turn, and whether anything is said of
// it that takes it away.
func (w *twin) wouldGo(changes []Change) (n Sizes) {
	for _, u := range w.users {
		for _, c := range changes {
			if c.DeleteUser == u.ID {
				n.Users++
				break
			}
		}
	}
	for _, l := range w.licenses {
		gone, taken := false, false
		for _, c := range changes {
			gone = gone || c.DeleteLicense == l.ID
			taken = taken || c.License != nil && c.License.ID == l.ID && c.License.Assignee != l.Assignee
		}
		if gone {
			n.Licenses++
		}
		if l.Assignee != "" && (gone || taken) {
			n.Assignments++
		}
	}
	return n
}

// newDay forgets what was taken in days that are over.
func (w *twin) newDay() {
	g := &w.head.Shrinkage
	drop := func(n *Sizes) {
		g.Of.Users -= n.Users
		g.Of.Licenses -= n.Licenses
		g.Of.Assignments -= n.Assignments
		*n = Sizes{}
	}
	if w.now() < g.Since+twinDay {
		return
	}
	drop(&g.Before)
	if w.now() < g.Since+2*twinDay {
		g.Before, g.Taken, g.Since = g.Taken, Sizes{}, g.Since+twinDay
		return
	}
	drop(&g.Taken)
	g.Since = w.now()
}

// tooMuch: one of the three is more than twenty and more than half. It changes
// nothing.
func (w *twin) tooMuch(users, licenses, assignments int) bool {
	kept := w.head
	w.newDay()
	g, h := w.head.Shrinkage, w.head.Held
	w.head = kept
	one := func(n, taken, before, of, accepted int) bool {
		n += taken + before
		if h.Until > w.now() {
			n, of = n-accepted, of-accepted
		}
		return n > 20 && n+n > of
	}
	return w.head.Filled && (one(users, g.Taken.Users, g.Before.Users, g.Of.Users, h.Losing.Users) ||
		one(licenses, g.Taken.Licenses, g.Before.Licenses, g.Of.Licenses, h.Losing.Licenses) ||
		one(assignments, g.Taken.Assignments, g.Before.Assignments, g.Of.Assignments, h.Losing.Assignments))
}

// wholeAgain: there is nothing that is not brought in.
func (w *twin) wholeAgain() {
	h := w.head.Held
	w.head.Held = Held{}
	accepted := w.tooMuch(0, 0, 0) // by nobody's leave
	w.newDay()
	g := &w.head.Shrinkage
	if accepted {
		*g = Shrinkage{Since: w.now()}
	}
	assigned := 0
	for _, l := range w.licenses {
		if l.Assignee != "" {
			assigned++
		}
	}
	g.Of = Sizes{len(w.users) + g.Taken.Users + g.Before.Users, len(w.licenses) + g.Taken.Licenses + g.Before.Licenses,
		assigned + g.Taken.Assignments + g.Before.Assignments}
	if h.Since == 0 {
		return
	}
	f := MirrorResumed{Accepted: accepted, To: w.with(twinLookAfter)}
	if accepted {
		f.By = h.By
	}
	w.tell(f)
}

func (w *twin) holdBack(c HoldBack) Outcome {
	if !twinSizes(c.Losing) {
		return refuse(BadCommand)
	}
	if !w.tooMuch(c.Losing.Users, c.Losing.Licenses, c.Losing.Assignments) {
		return refuse(TooLate)
	}
	kept := w.head.Shrinkage
	w.newDay()
	g := w.head.Shrinkage
	w.head.Shrinkage = kept
	all := Sizes{c.Losing.Users + g.Taken.Users + g.Before.Users, c.Losing.Licenses + g.Taken.Licenses + g.Before.Licenses,
		c.Losing.Assignments + g.Taken.Assignments + g.Before.Assignments}
	h := &w.head.Held
	if h.Since != 0 && h.Until == 0 {
		same := h.Losing == all && h.Of == g.Of
		h.Losing, h.Of = all, g.Of
		return Outcome{Repeat: same}
	}
	*h = Held{Since: w.now(), Losing: all, Of: g.Of}
	w.tell(MirrorHeld{Losing: all, Of: g.Of, To: w.with(twinLookAfter)})
	return Outcome{}
}

func (w *twin) acceptShrink(c AcceptShrink) Outcome {
	h := &w.head.Held
	switch {
	case c.By == "" || !twinName(c.By, c.Note):
		return refuse(BadCommand)
	case h.Since == 0:
		return refuse(MirrorNotHeld)
	case h.Until > w.now():
		held := *h
		return Outcome{Held: &held, Repeat: true}
	}
	h.Accepted, h.Until, h.By, h.Note = w.now(), w.now()+twinDay, c.By, c.Note
	w.tell(ShrinkAccepted{Losing: h.Losing, Of: h.Of, Until: h.Until, By: c.By, Note: c.Note})
	held := *h
	return Outcome{Held: &held}
}
