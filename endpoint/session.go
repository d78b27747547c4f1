package endpoint

import (
	"net/http"
	"slices"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// start is POST /v1/sessions.
func (e *Endpoint) start(c *call, in api.StartRequest) (reply, error) {
	c.client = in.Client
	id, m, err := c.asked(in.ID, in.Machine, in.Product, in.Version, in.Client, in.Feature)
	if err != nil {
		return reply{}, err
	}
	begun := time.Now()
	a, err := e.gw.Start(c.ctx, license.Start{ID: id, User: c.caller.User, Product: license.ProductID(in.Product),
		Machine: m, Version: in.Version, Client: in.Client, Email: c.caller.Email, Feature: in.Feature, Fences: in.Fences, Proof: c.caller.Proof})
	e.staged(c, a, err, time.Since(begun))
	a, err = decided(a, err)
	if err != nil {
		return reply{}, err
	}
	out := session(a.Outcome.Session, a.Epoch)
	if len(a.Outcome.Session.Warnings) > 0 {
		e.gw.View(func(s *license.State) { out.Warnings = warned(s, c.lang, a.Outcome.Session) })
	}
	return reply{status: created(a.Outcome.Repeat), body: out}, nil
}

// session is GET /v1/sessions/{id}.
func (e *Endpoint) session(c *call) (reply, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	var out api.Session
	why := license.UnknownSession
	e.gw.View(func(s *license.State) {
		switch x := s.Session(id); {
		case x == nil:
		case x.User != c.caller.User:
			why = license.NotYours
		default:
			out, why = session(x, s.Head().Epoch), ""
			out.Warnings = warned(s, c.lang, x)
		}
	})
	if why != "" {
		return reply{}, denied{license.Denial{Reason: why}}
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// heartbeat is POST /v1/sessions/{id}/heartbeat.
func (e *Endpoint) heartbeat(c *call, in api.MachineRequest) (reply, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	m, err := c.machine(in.Machine)
	if err != nil {
		return reply{}, err
	}
	leases, err := e.gw.Renew(c.ctx, []license.Renewal{{Session: id, User: c.caller.User, Machine: m, Proof: c.caller.Proof}})
	e.metrics.beats.WithLabelValues(result(err)).Inc()
	if err != nil {
		return reply{}, err
	}
	if len(leases) != 1 {
		return reply{}, errLeases(len(leases), 1)
	}
	l := leases[0]
	if l.Denial != nil {
		return reply{}, denied{*l.Denial}
	}
	return reply{status: http.StatusOK, body: api.Lease{Session: id.String(), TTLMS: l.TTL.Milliseconds(), Ending: ending(l.Notice)}}, nil
}

// stop is DELETE /v1/sessions/{id}.
func (e *Endpoint) stop(c *call) (reply, error) {
	id, m, err := c.idAndMachine()
	if err != nil {
		return reply{}, err
	}
	if _, err := decided(e.gw.Stop(c.ctx, license.Stop{ID: id, User: c.caller.User, Machine: m, Proof: c.caller.Proof})); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// idAndMachine reads what a DELETE speaks of: the id of its path, and the machine
// from its body, or from ?machine= and ?name= for clients that cannot send one.
func (c *call) idAndMachine() (license.ID, license.Machine, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return id, license.Machine{}, err
	}
	q := c.r.URL.Query()
	in := api.MachineRequest{Machine: api.Machine{ID: q.Get("machine"), Name: q.Get("name")}}
	if c.r.ContentLength != 0 {
		in = api.MachineRequest{}
		if err := c.read(&in); err != nil {
			return id, license.Machine{}, err
		}
	}
	m, err := c.machine(in.Machine)
	return id, m, err
}

func created(repeat bool) int {
	if repeat {
		return http.StatusOK
	}
	return http.StatusCreated
}

// asked reads what all that asks for a product has: its id, the machine, and free
// text, bounded and without control characters.
func (c *call) asked(id string, m api.Machine, product string, more ...string) (license.ID, license.Machine, error) {
	asker, err := c.machine(m)
	switch {
	case err != nil:
	case product == "":
		err = malformed("product is missing")
	case slices.ContainsFunc(append(more, product), func(s string) bool { return !plain(s) }):
		err = malformed("a field is longer than 256 bytes or has control characters")
	}
	if err != nil {
		return license.ID{}, asker, err
	}
	parsed, err := parseID(id)
	return parsed, asker, err
}

// session is a session as the API shows it.
func session(x *license.Session, epoch uint64) api.Session {
	s := api.Session{ID: x.ID.String(), Product: string(x.Product), License: string(x.License), LicenseType: x.LicenseType(),
		Machine: apiMachine(x.Machine), Since: x.Since.Std(), Provisional: x.Provisional, TTLMS: x.TTL.Milliseconds(),
		BeatMS: beat(x.TTL).Milliseconds(), Token: api.Token{Epoch: epoch, Seq: x.Token}, Ending: ending(x.Notice)}
	if !x.UnderCheckout.IsZero() {
		s.Checkout = x.UnderCheckout.String()
	}
	return s
}

// beat is how often to send a heartbeat: two may be lost.
func beat(ttl time.Duration) time.Duration { return ttl / 3 }

func ending(e *license.Ending) *api.Ending {
	if e == nil {
		return nil
	}
	return &api.Ending{Reason: e.Reason, By: e.By, Note: e.Note, Machine: machineName(e.Machine), Until: e.Until.Std()}
}

func apiMachine(m license.Machine) api.Machine { return api.Machine{ID: m.ID, Name: m.Name} }

// signOut is POST /v1/sign-out: it ends the caller's sessions on one machine.
func (e *Endpoint) signOut(c *call, in api.MachineRequest) (reply, error) {
	m, err := c.machine(in.Machine)
	if err != nil {
		return reply{}, err
	}
	if _, err := decided(e.gw.SignOut(c.ctx, license.SignOut{User: c.caller.User, Machine: m, Proof: c.caller.Proof})); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}
