package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// me is GET /v1/me.
func (e *Endpoint) me(c *call) (reply, error) {
	var out api.Me
	var err error
	e.gw.View(func(s *license.State) {
		if _, err = known(s, c.caller); err == nil {
			out = about(s, c.caller, c.lang)
		}
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// refresh is POST /v1/me/refresh: what is waiting is sent and what the cloud says is
// read before the answer, on whichever node (R18, R21).
func (e *Endpoint) refresh(c *call) (reply, error) {
	a, err := e.gw.Refresh(c.ctx)
	if err != nil {
		return reply{}, err
	}
	if !e.hub.Await(c.ctx, notice.Token{Epoch: a.Epoch, Seq: a.Seq}) {
		return reply{}, gateway.ErrUnknown // this node has not heard of it yet
	}
	return e.me(c)
}

// known is as whom a caller is told what concerns them: as the user they are or, where
// they are none, as whom the account names by their e-mail (R22). The error is why the
// site has nothing to say to them.
func known(s *license.State, c Caller) (license.UserID, error) {
	u := s.User(c.User)
	switch {
	case u == nil && !s.Head().Filled:
		return "", gateway.ErrNotReady
	case u == nil && !c.Unverified && license.Named(s, c.Email) != 0:
		return license.ByMail(c.Email), nil
	case u == nil:
		return "", denied{license.Denial{Reason: license.UnknownUser}}
	case u.Blocked:
		return "", denied{license.Denial{Reason: license.UserBlocked}}
	}
	return c.User, nil
}

// about is what the site knows of a user.
func about(s *license.State, who Caller, lang phrase.Lang) api.Me {
	h := s.Head()
	me := api.Me{ID: string(who.User), SignedIn: who.Email, Licenses: []api.MyLicense{}, Products: []api.MyProduct{}, Sessions: []api.Session{},
		Checkouts: []api.Checkout{}, Waiting: []api.Wait{}, Administrators: []api.Administrator{},
		OneWait: h.Settings.SessionScope != license.ScopeLicense, Link: link(h.Link)}
	if m := h.Maintenance; m.Until > h.Now {
		me.Maintenance = &api.Maintenance{From: m.From.Std(), Until: m.Until.Std(), By: m.By, Note: m.Note}
	}
	if u := s.User(who.User); u != nil {
		me.Email, me.Name, me.Country = u.Email, u.Name, u.Country
	}
	if me.Email == "" {
		me.Email = who.Email
	}
	for _, l := range s.Assigned(who.User) {
		mine := api.MyLicense{ID: string(l.ID), Product: string(l.Product), LicenseType: license.Practitioner,
			Capped: license.CappedUnknown.String(), Ends: l.Ends.Std()}
		switch l.Kind {
		case license.Commercial:
			mine.LicenseType = license.TypeCommercial
		case license.Trial:
			mine.LicenseType = license.TypeTrial
		}
		if p := s.Product(l.Product); p != nil {
			mine.ProductName, mine.Capped = p.Name, p.Capped.String()
		}
		me.Licenses = append(me.Licenses, mine)
	}
	contacts := license.Contacts(s)
	me.Products = append(me.Products, startable(s, who, lang, askable(contacts))...)
	if a := s.Active(who.User); a != nil {
		for i := range a.Sessions {
			x := session(&a.Sessions[i], h.Epoch)
			x.Warnings = warned(s, lang, &a.Sessions[i])
			me.Sessions = append(me.Sessions, x)
		}
		for i := range a.Checkouts {
			me.Checkouts = append(me.Checkouts, checkout(&a.Checkouts[i], h.Epoch))
		}
		for i := range a.Waiters {
			me.Waiting = append(me.Waiting, waiting(&a.Waiters[i]))
		}
		for _, r := range a.Reservations {
			me.Waiting = append(me.Waiting, api.Wait{ID: r.Wait.String(), Product: string(r.Product), Machine: apiMachine(r.Machine), Free: true, Until: r.Until.Std()})
		}
	}
	me.Administrators = administrators(contacts)
	return me
}

func machineName(m license.Machine) string { return phrase.Machine(m) }
