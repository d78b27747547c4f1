package clienttest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sitegate/api"
)

// kept is how long what is free is kept for the machine that waited.
const kept = 30 * time.Second

// expire ends what has run out. The caller holds the lock, here and below.
func (g *Gateway) expire() {
	now := time.Now()
	for id, s := range g.sessions {
		if now.After(s.ends) {
			delete(g.sessions, id)
			g.free(s.user, s.Machine, s.Product, id)
		}
	}
}

// conflict says which other machine is in the way of this one, if any.
func (g *Gateway) conflict(email, machine, product string) *api.Problem {
	for _, s := range g.sessions {
		if s.user == email && s.Machine.ID != machine {
			p := problem("machine-active", http.StatusConflict, fmt.Sprintf(
				"It seems your Virtuoso license is active on another machine. Please close the application on %q and try again.", s.Machine.Name),
				"Close it on "+s.Machine.Name+".", "Or wait until it is free.")
			p.Machine, p.Since, p.By, p.Product = s.Machine.Name, s.Since, "session", product
			return &p
		}
	}
	for _, c := range g.checkouts {
		if c.user == email && c.Machine.ID != machine && c.Product == product {
			p := problem("machine-active", http.StatusConflict, fmt.Sprintf("Your license is checked out on %q.", c.Machine.Name))
			p.Machine, p.Since, p.By, p.Until = c.Machine.Name, c.Since, "checkout", c.Until
			return &p
		}
	}
	if w := g.waits[email]; w != nil && time.Now().Before(w.kept) && w.Machine.ID != machine {
		p := problem("reserved", http.StatusConflict, fmt.Sprintf("Your license is kept for %q, which waited.", w.Machine.Name))
		p.Machine, p.Until = w.Machine.Name, w.kept.UTC()
		return &p
	}
	return nil
}

func (g *Gateway) entitled(w http.ResponseWriter, product string) bool {
	if !slices.Contains(g.Products, product) {
		refuse(w, problem("not-assigned", http.StatusForbidden, "No license of product "+product+" is assigned to you.", "Ask Ada Admin."))
		return false
	}
	return true
}

func (g *Gateway) start(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.StartRequest](w, r)
	if !ok || !g.entitled(w, req.Product) {
		return
	}
	if s := g.sessions[req.ID]; s != nil && s.user == email {
		s.ends = time.Now().Add(g.TTL) // the same request again
		answer(w, http.StatusOK, s.Session)
		return
	}
	if p := g.conflict(email, req.Machine.ID, req.Product); p != nil {
		for _, s := range g.sessions {
			if s.user == email {
				g.say(email, s.Machine.ID, api.Notice{Kind: api.KindAttempted, Reason: p.Code, Product: req.Product,
					Machine: req.Machine.Name, Text: req.Machine.Name + " has tried to start."})
			}
		}
		refuse(w, *p)
		return
	}
	delete(g.waits, email)
	s := &session{user: email, ends: time.Now().Add(g.TTL), Session: api.Session{ID: req.ID, Product: req.Product,
		License: "lic-" + req.Product, LicenseType: "Practitioner", Machine: req.Machine, Since: time.Now().UTC(),
		TTLMS: g.TTL.Milliseconds(), BeatMS: g.Beat.Milliseconds()}}
	g.sessions[req.ID] = s
	g.say(email, req.Machine.ID, api.Notice{Kind: api.KindGranted, ID: req.ID, Product: req.Product, Machine: req.Machine.Name,
		Text: req.Product + " runs on " + req.Machine.Name + "."})
	s.Token = api.Token{Epoch: g.epoch, Seq: g.seq}
	answer(w, http.StatusCreated, s.Session)
}

// renew is one heartbeat.
func (g *Gateway) renew(email, id, machine string) api.BeatResult {
	s := g.sessions[id]
	switch {
	case s == nil:
		return api.BeatResult{Session: id, Reason: "unknown-session"}
	case s.user != email || s.Machine.ID != machine:
		return api.BeatResult{Session: id, Reason: "not-yours"}
	case s.Ending != nil && !time.Now().Before(s.Ending.Until):
		return api.BeatResult{Session: id, Reason: "already-ended", Ending: s.Ending}
	}
	ttl := g.TTL
	if s.Ending != nil {
		ttl = min(ttl, time.Until(s.Ending.Until))
	}
	s.ends = time.Now().Add(ttl)
	return api.BeatResult{Session: id, TTLMS: max(1, ttl.Milliseconds()), Ending: s.Ending}
}

func (g *Gateway) heartbeat(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.MachineRequest](w, r)
	if !ok {
		return
	}
	switch l := g.renew(email, r.PathValue("id"), req.Machine.ID); l.Reason {
	case "":
		answer(w, http.StatusOK, api.Lease{Session: l.Session, TTLMS: l.TTLMS, Ending: l.Ending})
	case "unknown-session":
		refuse(w, problem(l.Reason, http.StatusNotFound, "There is no such session."))
	default:
		refuse(w, problem(l.Reason, http.StatusConflict, "This session is not renewed."))
	}
}

func (g *Gateway) stop(w http.ResponseWriter, r *http.Request, email string) {
	s := g.sessions[r.PathValue("id")]
	if s == nil || s.user != email {
		refuse(w, problem("unknown-session", http.StatusNotFound, "There is no such session."))
		return
	}
	if s.Machine.ID != r.URL.Query().Get("machine") {
		refuse(w, problem("not-yours", http.StatusForbidden, "The session is another machine's."))
		return
	}
	delete(g.sessions, s.ID)
	g.free(email, s.Machine, s.Product, s.ID)
	w.WriteHeader(http.StatusNoContent)
}

// free tells that a machine let go, and keeps it for who waits.
func (g *Gateway) signOut(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.MachineRequest](w, r)
	if !ok {
		return
	}
	for id, s := range g.sessions {
		if s.user == email && s.Machine.ID == req.Machine.ID {
			delete(g.sessions, id)
			g.say(email, s.Machine.ID, api.Notice{Kind: api.KindStopped, ID: id, Product: s.Product, Machine: s.Machine.Name, Text: s.Product + " is closed on " + s.Machine.Name + "."})
			g.free(email, s.Machine, s.Product, id)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) free(email string, m api.Machine, product, id string) {
	g.say(email, m.ID, api.Notice{Kind: api.KindFree, ID: id, Product: product, Machine: m.Name, Text: m.Name + " has let go."})
	w := g.waits[email]
	if w == nil || !w.kept.IsZero() || g.conflict(email, w.Machine.ID, w.Product) != nil {
		return
	}
	w.kept = time.Now().Add(kept)
	g.say(email, w.Machine.ID, api.Notice{Kind: api.KindYours, ID: w.ID, Product: w.Product, Machine: w.Machine.Name,
		Until: w.kept.UTC(), Text: m.Name + " has just closed it: yours now."})
}

func (g *Gateway) checkOut(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.CheckoutRequest](w, r)
	if !ok || !g.entitled(w, req.Product) {
		return
	}
	if p := g.conflict(email, req.Machine.ID, req.Product); p != nil {
		refuse(w, *p)
		return
	}
	if req.Until.IsZero() {
		req.Until = time.Now().Add(14 * 24 * time.Hour).UTC()
	}
	c := &checkout{user: email, Checkout: api.Checkout{ID: req.ID, Product: req.Product, License: "lic-" + req.Product,
		LicenseType: "Practitioner", Machine: req.Machine, Since: time.Now().UTC(), Until: req.Until}}
	g.checkouts[req.ID] = c
	g.say(email, req.Machine.ID, api.Notice{Kind: api.KindCheckedOut, ID: req.ID, Product: req.Product, Machine: req.Machine.Name,
		Until: req.Until, Text: "Checked out on " + req.Machine.Name + "."})
	c.Token = api.Token{Epoch: g.epoch, Seq: g.seq}
	answer(w, http.StatusCreated, c.Checkout)
}

func (g *Gateway) giveBack(w http.ResponseWriter, r *http.Request, email string) {
	c := g.checkouts[r.PathValue("id")]
	if c == nil || c.user != email {
		refuse(w, problem("unknown-checkout", http.StatusNotFound, "There is no such checkout."))
		return
	}
	if c.Machine.ID != r.URL.Query().Get("machine") {
		refuse(w, problem("not-yours", http.StatusForbidden, "The checkout is another machine's."))
		return
	}
	delete(g.checkouts, c.ID)
	g.say(email, c.Machine.ID, api.Notice{Kind: api.KindReturned, ID: c.ID, Product: c.Product, Machine: c.Machine.Name,
		Text: "Given back by " + c.Machine.Name + "."})
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) wait(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.WaitRequest](w, r)
	if !ok || !g.entitled(w, req.Product) {
		return
	}
	got := api.Wait{ID: req.ID, Product: req.Product, Machine: req.Machine, Since: time.Now().UTC()}
	if got.Free = g.conflict(email, req.Machine.ID, req.Product) == nil; !got.Free {
		if old := g.waits[email]; old != nil && old.ID != req.ID {
			g.say(email, old.Machine.ID, api.Notice{Kind: api.KindWaitEnded, ID: old.ID, Product: old.Product,
				Machine: old.Machine.Name, Text: old.Machine.Name + " waits no more."})
		}
		g.waits[email] = &wait{Wait: got}
	}
	answer(w, http.StatusOK, got)
}

func (g *Gateway) endWait(w http.ResponseWriter, r *http.Request, email string) {
	if x := g.waits[email]; x != nil && x.ID == r.PathValue("id") {
		delete(g.waits, email)
	}
	w.WriteHeader(http.StatusNoContent)
}

// about is what the site knows of a user.
func (g *Gateway) about(email string) api.Me {
	name, _, _ := strings.Cut(email, "@")
	me := api.Me{ID: "user-" + name, Email: email, SignedIn: email, Name: name, Country: "NL",
		Administrators: []api.Administrator{{Name: "Ada Admin", Email: "ada@site.example"}}, Link: api.LinkState{Up: true, Contact: time.Now().UTC()}}
	for _, p := range g.Products {
		me.Licenses = append(me.Licenses, api.MyLicense{ID: "lic-" + p, Product: p, LicenseType: "Practitioner", Capped: "yes"})
		me.Products = append(me.Products, api.MyProduct{Product: p, LicenseType: "Practitioner"})
	}
	for _, s := range g.sessions {
		if s.user == email {
			me.Sessions = append(me.Sessions, s.Session)
		}
	}
	for _, c := range g.checkouts {
		if c.user == email {
			me.Checkouts = append(me.Checkouts, c.Checkout)
		}
	}
	slices.SortFunc(me.Sessions, func(a, b api.Session) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(me.Checkouts, func(a, b api.Checkout) int { return cmp.Compare(a.ID, b.ID) })
	me.OneWait = true
	if w := g.waits[email]; w != nil {
		copied := w.Wait
		if copied.Free = !w.kept.IsZero(); copied.Free {
			copied.Until = w.kept.UTC()
		}
		me.Waiting = append(me.Waiting, copied)
	}
	return me
}

func (g *Gateway) me(w http.ResponseWriter, _ *http.Request, email string) {
	answer(w, http.StatusOK, g.about(email))
}
