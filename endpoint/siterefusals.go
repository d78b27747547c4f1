package endpoint

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"

	"sitegate/api"
	"sitegate/endpoint/roster"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// lookBack is how many events are looked through for a page of what has happened.
const lookBack = 20_000

// since is from when on what single people did can be read by anybody: by the site's time, so
// that all nodes tell the same.
func (e *Endpoint) since() license.Time { return e.gw.Now().Add(-e.cfg.History) }

// recall is Recall of what people did, and not of what is too old to be shown.
func (e *Endpoint) recall(ctx context.Context, before uint64, most int, match func(license.Event) bool) (reached uint64, err error) {
	from := e.since()
	n, tooOld := 0, false
	_, reached, err = e.gw.Recall(ctx, before, 1, lookBack, func(event license.Event) bool {
		if event.At < from {
			tooOld = true
			return true // and so is what was before
		}
		if match(event) {
			n++
		}
		return n == most
	})
	if tooOld {
		reached = 0
	}
	return reached, err
}

// refusals is GET /v1/site/refusals: who was refused, why and what they were told,
// newest first.
func (e *Endpoint) refusals(c *call) (reply, error) {
	s, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	before, err := s.from("before")
	if err != nil {
		return reply{}, err
	}
	var wanted func(observed bool) bool
	switch s.Get("kind") {
	case "":
		wanted = func(bool) bool { return true }
	case "refused":
		wanted = func(observed bool) bool { return !observed }
	case "observed":
		wanted = func(observed bool) bool { return observed }
	default:
		return reply{}, malformed("kind is refused or observed")
	}
	words := strings.Fields(strings.ToLower(s.q))
	out := api.SiteRefusalList{Items: []api.SiteRefusal{}}
	reached, err := e.recall(c.ctx, before, s.most, func(event license.Event) bool {
		r, ok := refusalOf(event)
		if !ok || !wanted(r.observed) {
			return false
		}
		shown := e.shownRefusal(c, event, r)
		text := strings.ToLower(strings.Join([]string{shown.User, shown.Name, shown.Email, shown.Machine.Name, shown.Product, shown.ProductName, shown.Reason, shown.Title}, " "))
		if !roster.Contains(text, words) {
			return false
		}
		out.Items = append(out.Items, shown)
		return true
	})
	if err != nil {
		return reply{}, err
	}
	if reached != 0 {
		out.Next = strconv.FormatUint(reached, 10)
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// refused is a refusal of the journal, or one that would have been.
type refused struct {
	user             license.UserID
	machine          license.Machine
	denial           license.Denial
	client, address  string
	relayed, offline bool
	observed         bool
}

func refusalOf(event license.Event) (refused, bool) {
	switch f := event.Fact.(type) {
	case license.Attempted:
		return refused{user: f.User, machine: f.Machine, denial: f.Denial, client: f.Client, relayed: f.Relayed, offline: f.Offline}, true
	case license.WouldHaveRefused:
		return refused{user: f.User, machine: f.Machine, denial: f.Denial, client: f.Client, address: f.Address, relayed: true, observed: true}, true
	}
	return refused{}, false
}

// shownRefusal words a refusal as its user has read it.
func (e *Endpoint) shownRefusal(c *call, event license.Event, r refused) api.SiteRefusal {
	d := r.denial
	out := api.SiteRefusal{Seq: event.Seq, At: event.At.Std(), Product: string(d.Product),
		Reason: string(d.Reason), Observed: r.observed, Relayed: r.relayed, CannotHold: r.offline, Client: r.client}
	if e.toldNotes(c) {
		out.Address = r.address
	}
	e.gw.View(func(s *license.State) {
		out.User, out.Machine = e.userID(c, s, r.user), e.machineOf(c, s, r.user, r.machine)
		out.Name, out.Email = e.shownUser(s, r.user)
		n := phrase.Names{Administrators: askable(license.Contacts(s))}
		n.Product = productName(s, d.Product)
		if d.Product != "" {
			out.ProductName = n.Product
		}
		if l := s.License(d.Holding); l != nil {
			n.Holding = productName(s, l.Product)
		}
		told := d
		if e.cfg.Pseudonym != nil {
			m := e.shownMachine(s, r.user, d.Machine)
			told.Machine = license.Machine{ID: m.ID, Name: m.Name}
		}
		out.Title, out.Detail, out.Next = phrase.Denial(c.lang, told, n, r.client)
		if d.Machine != (license.Machine{}) {
			m := e.machineOf(c, s, r.user, d.Machine)
			out.Other = &m
			out.Open, out.OpenKind = inTheWay(s, r.user, d.Machine)
		}
	})
	if out.Next == nil {
		out.Next = []string{}
	}
	out.Told = cmp.Or(phrase.WasTold(c.lang, out.Observed, out.Relayed), out.Detail)
	out.Remedy = phrase.Remedy(c.lang, d.Reason, out.OpenKind, out.CannotHold)
	return out
}

// inTheWay is what of a user's is still open on a machine.
func inTheWay(s *license.State, user license.UserID, m license.Machine) (id, kind string) {
	a := s.Active(user)
	if a == nil {
		return "", ""
	}
	for i := range a.Sessions {
		if a.Sessions[i].Machine.Is(m) {
			return a.Sessions[i].ID.String(), "session"
		}
	}
	for i := range a.Checkouts {
		if a.Checkouts[i].Machine.Is(m) {
			return a.Checkouts[i].ID.String(), "checkout"
		}
	}
	return "", ""
}

// history is GET /v1/site/history: what happened to a user or on a machine, newest
// first, for who says why.
func (e *Endpoint) history(c *call) (reply, error) {
	s, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	before, err := s.from("before")
	if err != nil {
		return reply{}, err
	}
	user, m := e.userNamed(c, s.Get("user")), e.machineNamed(c, license.Machine{ID: s.Get("machine_id"), Name: s.Get("machine")})
	if user == "" && m.any() {
		return reply{}, malformed("user, machine or machine_id says of whom")
	}
	out := api.HistoryList{Items: []api.HistoryItem{}}
	if user == nobody {
		return reply{status: http.StatusOK, body: out}, nil
	}
	if err := e.opens(c, user, m); err != nil {
		return reply{}, err
	}
	reached, err := e.recall(c.ctx, before, s.most, func(event license.Event) bool {
		item, ok := e.happened(c, event, user, m)
		if ok {
			out.Items = append(out.Items, item)
		}
		return ok
	})
	if err != nil {
		return reply{}, err
	}
	if reached != 0 {
		out.Next = strconv.FormatUint(reached, 10)
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// happened is an event, where it is about the user or the machine.
func (e *Endpoint) happened(c *call, event license.Event, user license.UserID, m sought) (out api.HistoryItem, ok bool) {
	about := func(u license.UserID, machine license.Machine) bool {
		return u != "" && (user == "" || u == user) && (m.any() || e.is(m, u, machine))
	}
	out = api.HistoryItem{Seq: event.Seq, At: event.At.Std()}
	var machine license.Machine
	var product license.ProductID
	var who license.UserID
	if r, isRefusal := refusalOf(event); isRefusal {
		if !about(r.user, r.machine) {
			return out, false
		}
		x := e.shownRefusal(c, event, r)
		out.Kind, out.Text, who, machine, product = "refused", x.Title+": "+phrase.Quoted(c.lang, x.Detail), r.user, r.machine, r.denial.Product
		if r.observed {
			out.Kind = "would-refuse"
		}
	} else {
		ns := notice.From(event)
		if len(ns) == 0 || ns[0].Kind.ForAdministrators() || !about(ns[0].User, ns[0].Machine) {
			return out, false
		}
		n := ns[0]
		w := e.siteWord(notice.Conflated{Notice: &n, Times: 1}, c.lang)
		if out.Kind, out.Text, who, machine, product = w.Kind, w.Text, n.User, n.Machine, n.Product; e.toldNotes(c) {
			out.By, out.Note = w.By, n.Note
		}
	}
	out.Product = string(product)
	e.gw.View(func(s *license.State) {
		if machine != (license.Machine{}) {
			x := e.machineOf(c, s, who, machine)
			out.Machine = &x
		}
		out.User = e.userID(c, s, who)
		out.Name, _ = e.shownUser(s, who)
		if product != "" {
			out.ProductName, _ = shownProduct(s, product)
		}
	})
	return out, true
}
