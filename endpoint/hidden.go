package endpoint

import (
	"fmt"
	"strings"

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
	if user, found := e.userBlocked(text); found {
		return user
	}
	if !c.acts() && e.name(nil, "user", text) != text {
		return nobody
	}
	return license.UserID(text)
}

// userActedOn is the user that an act names, as userNamed has it. What has the form of another
// name, and is nobody's, is refused.
func (e *Endpoint) userActedOn(c *call, text string) (license.UserID, error) {
	user := e.userNamed(c, text)
	if string(user) != text || !e.looksHidden("user", text) {
		return user, nil
	}
	known := false
	e.gw.View(func(s *license.State) { known = s.User(user) != nil || s.Active(user) != nil })
	if !known {
		return "", malformed(fmt.Sprintf("nobody goes by the name %s now: say the user's id", text))
	}
	return user, nil
}

// looksHidden reports whether a text has the form of the other names that users, or machines,
// go by here.
func (e *Endpoint) looksHidden(kind, text string) bool {
	form := e.name(nil, kind, string(nobody))
	rest, is := strings.CutPrefix(text, kind[:1]+"-")
	return is && form != string(nobody) && len(text) == len(form) && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// userBlocked finds the user who is blocked here and goes by another name.
func (e *Endpoint) userBlocked(called string) (user license.UserID, found bool) {
	if !e.looksHidden("user", called) {
		return "", false
	}
	e.gw.View(func(s *license.State) {
		for _, b := range license.Bars(s) {
			if b.User != "" && e.name(s, "user", string(b.User)) == called {
				user, found = b.User, true
				return
			}
		}
	})
	return user, found
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

// machineBlocked finds the machine that is blocked and goes by another name: by its own name
// alone where no id is said, as whatever is blocked under that name is meant.
func (e *Endpoint) machineBlocked(m license.Machine) (found license.Machine, is bool) {
	if !e.looksHidden("machine", m.Name) {
		return m, false
	}
	e.gw.View(func(s *license.State) {
		for _, b := range license.Bars(s) {
			if called, _ := e.machine(s, "", b.Machine); called == m.Name && (m.ID == "" || m.ID == b.Machine.ID) {
				found, is = b.Machine, true
				return
			}
		}
	})
	if m.ID == "" && found.Name != "" {
		found.ID = ""
	}
	return found, is
}

// actual is the machine that an act is about, where it goes by another name: one that is in
// use, that has a key of this user's ("": of nobody's), or that is blocked. What has the form of
// such a name, and is none of theirs, is left out beside an id, and without one refused.
func (e *Endpoint) actual(user license.UserID, m license.Machine) (license.Machine, error) {
	if !e.looksHidden("machine", m.Name) {
		return m, nil
	}
	if _, found, ok := e.roster.Hidden(m.Name); ok && found != (license.Machine{}) && (m.ID == "" || m.ID == found.ID) {
		return found, nil
	}
	var keyed license.Machine
	e.gw.View(func(s *license.State) {
		for _, k := range license.KeysOf(s, user) {
			if called, _ := e.machine(s, "", k.Machine); called == m.Name && (m.ID == "" || m.ID == k.Machine.ID) {
				keyed = k.Machine
				return
			}
		}
	})
	if keyed != (license.Machine{}) {
		return keyed, nil
	}
	if found, is := e.machineBlocked(m); is {
		return found, nil
	}
	if m.ID != "" {
		return license.Machine{ID: m.ID}, nil
	}
	return m, malformed(fmt.Sprintf("no machine that is in use or blocked goes by the name %s now: say its id", m.Name))
}
