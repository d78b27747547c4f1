package endpoint

import (
	"sitegate/api"
	"sitegate/endpoint/roster"
	"sitegate/license"
)

// Who is hidden goes by another name for everybody. Who may act, from an operator on, is
// told the ids of users and machines besides, since acts are about those; for who only
// looks there is nothing by which to find out who is meant: they ask for people by the names
// that they are shown.

// acts reports whether who asks may act.
func (c *call) acts() bool { return c.administrator.Role >= license.Operator }

// toldNotes reports whether who asks is told what people wrote, who they were, and from
// which address somebody came: where names are hidden, they may stand in it.
func (e *Endpoint) toldNotes(c *call) bool { return e.cfg.Pseudonym == nil || c.acts() }

// shownBlock is a block as who asks is told of it.
func (e *Endpoint) shownBlock(c *call, b license.Bar) api.Block {
	out := api.Block{Since: b.Since.Std(), Keys: len(b.Keys)}
	if e.toldNotes(c) {
		out.By, out.Note = b.By, b.Note
	}
	return out
}

// shownEnding is how something of a user's ends, as who asks is told of it.
func (e *Endpoint) shownEnding(c *call, s *license.State, user license.UserID, x *license.Ending) *api.Ending {
	out := ending(x)
	if out == nil || e.toldNotes(c) {
		return out
	}
	out.By, out.Note, out.Machine = "", "", ""
	if x.Machine != (license.Machine{}) {
		out.Machine = e.shownMachine(s, user, x.Machine).Name
	}
	return out
}

// userID is the id of a user, as who asks is told it.
func (e *Endpoint) userID(c *call, s *license.State, id license.UserID) string {
	if c.acts() {
		return string(id)
	}
	return e.name(s, "user", string(id))
}

// machineOf is a machine of a user's ("": whose it is is not known) as who asks is shown it.
func (e *Endpoint) machineOf(c *call, s *license.State, user license.UserID, m license.Machine) api.Machine {
	called, hidden := e.machine(s, user, m)
	if hidden && !c.acts() {
		return api.Machine{Name: called}
	}
	return api.Machine{ID: m.ID, Name: called}
}

// nobody is no user's id.
const nobody license.UserID = "\x00"

// userNamed is the user that a request names, by their id or by what they are called.
// Whoever may not know who is hidden does not find them by their id either. It must not be
// called by who reads the state.
func (e *Endpoint) userNamed(c *call, text string) license.UserID {
	if e.cfg.Pseudonym == nil || text == "" {
		return license.UserID(text)
	}
	if id, found := e.users.Hidden(text); found {
		return id
	}
	if id, _, found := e.roster.Hidden(text); found && id != "" {
		return id
	}
	if !c.acts() && e.name(nil, "user", text) != text {
		return nobody
	}
	return license.UserID(text)
}

// sought is a machine that a request asks about: itself, or by what it is called.
type sought struct {
	license.Machine
	called string
}

// machineNamed is the machine that a request asks about, by its id or name. Where machines
// are hidden, that is by what they are called, and for who may act by their own, too.
func (e *Endpoint) machineNamed(c *call, m license.Machine) sought {
	switch {
	case e.cfg.Pseudonym == nil:
		return sought{m, ""}
	case c.acts():
		return sought{m, m.Name}
	}
	return sought{called: m.Name}
}

// any reports whether no machine was asked about.
func (w sought) any() bool { return w == sought{} }

// is reports whether a machine of a user's is what was asked about.
func (e *Endpoint) is(w sought, user license.UserID, m license.Machine) bool {
	if w.Machine != (license.Machine{}) && m.Is(w.Machine) {
		return true
	}
	if w.called == "" || m == (license.Machine{}) {
		return false
	}
	called, hidden := e.machine(nil, user, m)
	return called == w.called || !hidden && roster.Is(m, w.called)
}

// actual is the machine that an act is about, where it goes by another name.
func (e *Endpoint) actual(m license.Machine) license.Machine {
	if e.cfg.Pseudonym == nil || m.Name == "" {
		return m
	}
	if _, found, ok := e.roster.Hidden(m.Name); ok && found != (license.Machine{}) && (m.ID == "" || m.ID == found.ID) {
		return found
	}
	return m
}
