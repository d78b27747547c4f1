package endpoint

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/phrase"
)

// What IT does about users, machines and licenses.

// pageSize is how many things a page has.
const pageSize = 500

// named reads the user or license that the path names.
func (c *call) named() (string, error) {
	id := c.r.PathValue("id")
	if id == api.InQuery {
		id = c.r.URL.Query().Get("id")
	}
	if id == "" || !plain(id) {
		return "", malformed("the id is empty, longer than 256 bytes or has control characters")
	}
	return id, nil
}

// move is POST /v1/licenses/{id}/move.
func (e *Endpoint) move(c *call, in api.MoveRequest) (reply, error) {
	id, err := c.named()
	if err != nil {
		return reply{}, err
	}
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	if in.To == "" || !plain(in.To) {
		return reply{}, malformed("to is missing, longer than 256 bytes or has control characters")
	}
	to, err := e.userActedOn(c, in.To)
	if err != nil {
		return reply{}, err
	}
	a, err := decided(e.gw.Move(c.ctx, license.Move{License: license.LicenseID(id), To: to, By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "license moved", "id", c.id, "license", id, "user", in.To, "by", in.By)
	l := a.Outcome.License
	return reply{status: http.StatusOK, body: api.License{ID: string(l.ID), Product: string(l.Product), Assignee: string(l.Assignee),
		AssignedAt: l.AssignedAt.Std(), Ends: l.Ends.Std()}}, nil
}

// blockUser is POST /v1/users/{id}/block.
func (e *Endpoint) blockUser(c *call, in api.ReleaseRequest) (reply, error) {
	user, err := e.whom(c, &in)
	if err == nil {
		err = c.reason(in.Note)
	}
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.Block(c.ctx, license.Block{User: user, By: in.By, Note: in.Note}))
	return e.acted(c, err, "block", "user", string(user), in.By)
}

// unblockUser is POST /v1/users/{id}/unblock.
func (e *Endpoint) unblockUser(c *call, in api.ReleaseRequest) (reply, error) {
	user, err := e.whom(c, &in)
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.Unblock(c.ctx, license.Unblock{User: user, By: in.By, Note: in.Note}))
	return e.acted(c, err, "unblock", "user", string(user), in.By)
}

// releaseUser is POST /v1/users/{id}/release.
func (e *Endpoint) releaseUser(c *call, in api.ReleaseRequest) (reply, error) {
	user, err := e.whom(c, &in)
	if err == nil {
		err = c.reason(in.Note)
	}
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.ReleaseUser(c.ctx, license.ReleaseUser{User: user, By: in.By, Note: in.Note}))
	return e.acted(c, err, "release", "user", string(user), in.By)
}

// blockMachine is POST /v1/machines/block.
func (e *Endpoint) blockMachine(c *call, in api.MachineBlockRequest) (reply, error) {
	m, err := e.which(c, "", in.Machine, &in.By, in.Note)
	if err == nil {
		err = c.reason(in.Note)
	}
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.Block(c.ctx, license.Block{Machine: m, By: in.By, Note: in.Note}))
	return e.acted(c, err, "block", "machine", phrase.Machine(m), in.By)
}

// unblockMachine is POST /v1/machines/unblock.
func (e *Endpoint) unblockMachine(c *call, in api.MachineBlockRequest) (reply, error) {
	if m, blocked := e.machineBlocked(license.Machine{ID: in.Machine.ID, Name: in.Machine.Name}); blocked {
		in.Machine = api.Machine{ID: m.ID, Name: m.Name}
	}
	m, err := e.which(c, "", in.Machine, &in.By, in.Note)
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.Unblock(c.ctx, license.Unblock{Machine: m, By: in.By, Note: in.Note}))
	return e.acted(c, err, "unblock", "machine", phrase.Machine(m), in.By)
}

// whom reads the user of the path, and who acts.
func (e *Endpoint) whom(c *call, in *api.ReleaseRequest) (license.UserID, error) {
	id, err := c.named()
	if err != nil {
		return "", err
	}
	if err := c.said(&in.By, in.Note); err != nil {
		return "", err
	}
	return e.userActedOn(c, id)
}

// which reads the machine of a user's ("": of anybody's) that is meant, by its id or its name, and
// who acts.
func (e *Endpoint) which(c *call, user license.UserID, m api.Machine, by *string, note string) (license.Machine, error) {
	if m.ID == "" && m.Name == "" || !plain(m.ID) || !plain(m.Name) {
		return license.Machine{}, malformed("the machine has neither id nor name, or one that is longer than 256 bytes or has control characters")
	}
	if err := c.said(by, note); err != nil {
		return license.Machine{}, err
	}
	return e.actual(user, license.Machine{ID: m.ID, Name: m.Name})
}

// keyOf is by which key the log has what an act is about: people and machines are called
// otherwise there where names are hidden, and nothing else is.
var keyOf = map[string]string{"user": "user", "account": "user", "machine": "machine", "node": "node", "token": "token"}

// acted logs what an administrator has done, and answers.
func (e *Endpoint) acted(c *call, err error, act, kind, whom, by string) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", act, "kind", kind, cmp.Or(keyOf[kind], "about"), whom, "by", by)
	return reply{status: http.StatusNoContent}, nil
}

// shownBar is a block as it is shown, and in order by that.
type shownBar struct {
	key string
	api.Block
}

// blocks is GET /v1/blocks. Of a machine they are asked for by its id and name: where it and
// a block have an id, that decides.
func (e *Endpoint) blocks(c *call) (reply, error) {
	q := c.r.URL.Query()
	on := e.machineNamed(c, license.Machine{ID: q.Get("machine_id"), Name: q.Get("machine")})
	var all []license.Bar
	e.gw.View(func(s *license.State) { all = license.Bars(s) })
	if !on.any() {
		all = slices.DeleteFunc(all, func(b license.Bar) bool {
			return on.ID != "" && b.Machine.ID != "" && on.ID != b.Machine.ID || !e.is(on, "", b.Machine)
		})
	}
	var bars []shownBar
	e.gw.View(func(s *license.State) {
		for _, b := range all {
			out := e.shownBlock(c, b)
			if b.User != "" {
				out.User = e.userID(c, s, b.User)
			} else {
				m := e.machineOf(c, s, "", b.Machine)
				out.Machine, b.Machine = &m, license.Machine{ID: m.ID, Name: m.Name}
			}
			b.User = license.UserID(out.User)
			bars = append(bars, shownBar{b.Key(), out})
		}
	})
	slices.SortFunc(bars, func(a, b shownBar) int { return strings.Compare(a.key, b.key) })
	return page(c, bars, func(b shownBar) string { return b.key }, func(b shownBar) api.Block { return b.Block })
}

// reminders is GET /v1/reminders.
func (e *Endpoint) reminders(c *call) (reply, error) {
	var after license.Reminder
	only, all := license.ReminderKind(0), license.ReminderKinds()
	if text := c.r.URL.Query().Get("kind"); text != "" {
		i := slices.IndexFunc(all, func(k license.ReminderKind) bool { return k.String() == text })
		if i < 0 {
			return reply{}, malformed("kind is user-not-found, ending, unassigned, never-used or pooled")
		}
		only, after.Kind = all[i], all[i] // no license comes before one without an id
	}
	if text := c.r.URL.Query().Get("after"); text != "" {
		kind, lic, ok := strings.Cut(text, " ")
		n, err := strconv.ParseUint(kind, 10, 8)
		if err != nil || !ok || !plain(lic) {
			return reply{}, malformed("after is not the next of a page")
		}
		after = license.Reminder{Kind: license.ReminderKind(n), License: license.LicenseID(lic)}
	}
	out := api.List[api.Reminder]{Items: []api.Reminder{}}
	e.gw.View(func(s *license.State) {
		list := license.RemindersAfter(s, s.Head().Now, after, pageSize+1)
		if len(list) > pageSize {
			list = list[:pageSize]
			last := list[pageSize-1]
			out.Next = strconv.Itoa(int(last.Kind)) + " " + string(last.License)
		}
		for _, r := range list {
			if only != 0 && r.Kind != only {
				out.Next = "" // they are in the order of their kinds
				break
			}
			person, _ := e.shownUser(s, r.User)
			m := phrase.Matter{Product: productName(s, r.Product), Person: person, Until: r.Ends, Since: r.Since, Days: r.Days}
			out.Items = append(out.Items, api.Reminder{Kind: r.Kind.String(), Text: phrase.Advice(c.lang, "reminder/"+r.Kind.String(), m),
				License: string(r.License), Product: string(r.Product), User: e.userID(c, s, r.User), Ends: r.Ends.Std(), Days: r.Days, Since: r.Since.Std()})
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// page answers with what follows on ?after= of a list that is sorted by its keys.
func page[T, A any](c *call, all []T, key func(T) string, show func(T) A) (reply, error) {
	after := c.r.URL.Query().Get("after")
	if len(after) > 2*license.MaxName+88 {
		return reply{}, malformed("after is too long")
	}
	i := 0
	if after != "" {
		i, _ = slices.BinarySearchFunc(all, after, func(x T, after string) int {
			if key(x) <= after {
				return -1
			}
			return 1
		})
	}
	out := api.List[A]{Items: []A{}}
	for ; i < len(all) && len(out.Items) < pageSize; i++ {
		out.Items = append(out.Items, show(all[i]))
	}
	if i < len(all) && i > 0 {
		out.Next = key(all[i-1])
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// removal is GET /v1/users/{id}/removal: what IT should do before it removes a
// user from the account (R11).
func (e *Endpoint) removal(c *call) (reply, error) {
	id, err := c.named()
	if err != nil {
		return reply{}, err
	}
	user := e.userNamed(c, id)
	out := api.Removal{User: string(user), Licenses: []api.RemovalLicense{}}
	e.gw.View(func(s *license.State) {
		h := s.Head()
		warnings := license.RemovalWarnings(s, h.Now, user)
		u := s.User(user)
		switch {
		case u != nil:
			out.Name, out.Email = u.Name, u.Email
		case !h.Filled:
			err = gateway.ErrNotReady
		case len(warnings) == 0:
			err = denied{license.Denial{Reason: license.UnknownUser, Person: user}}
		}
		out.Safe = len(warnings) == 0
		person := personName(s, user)
		for _, w := range warnings {
			l := api.RemovalLicense{ID: string(w.License), Product: string(w.Product), Ends: w.Ends.Std(), LockedUntil: w.LockedUntil.Std(),
				Lost: w.Lost, Sessions: w.Sessions, Checkouts: []api.Checkout{}}
			for i := range w.Checkouts {
				l.Checkouts = append(l.Checkouts, checkout(&w.Checkouts[i], h.Epoch))
			}
			out.Licenses = append(out.Licenses, l)
			out.Next = append(out.Next, removalSteps(c.lang, w, productName(s, w.Product), person)...)
		}
		if out.Safe {
			out.Next = append(out.Next, phrase.Advice(c.lang, "removal/safe", phrase.Matter{Person: person}))
		}
		if u != nil {
			out.Next = append(out.Next, phrase.Advice(c.lang, "removal/address", phrase.Matter{}))
		}
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// removalSteps are what to do about one license.
func removalSteps(lang phrase.Lang, w license.RemovalWarning, product, person string) []string {
	m := phrase.Matter{Product: product, Person: person, Until: w.LockedUntil}
	if w.Lost {
		return []string{phrase.Advice(lang, "removal/lost", m)}
	}
	key := "removal/move"
	if w.LockedUntil != 0 {
		key = "removal/locked"
	}
	steps := []string{phrase.Advice(lang, key, m)}
	for _, x := range w.Checkouts {
		steps = append(steps, phrase.Advice(lang, "removal/checkout", phrase.Matter{Product: product, Machine: x.Machine, Until: x.Until}))
	}
	if w.Sessions > 0 {
		steps = append(steps, phrase.Advice(lang, "removal/session", m))
	}
	return steps
}
