package endpoint

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/endpoint/roster"
	"sitegate/license"
	"sitegate/phrase"
)

// siteUsers is GET /v1/site/users: the account's users, by name.
func (e *Endpoint) siteUsers(c *call) (reply, error) {
	s, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	if name := s.Get("named"); name != "" {
		return e.usersNamed(c, name)
	}
	ids, next, total := e.users.Users(s.q, s.Get("after"), s.most)
	out := api.SiteUserList{Items: []api.SiteUser{}, Next: next, Total: total}
	e.gw.View(func(s *license.State) {
		for _, id := range ids {
			out.Items = append(out.Items, e.siteUser(c, s, id))
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// usersNamed is the list of the user whose id, or name that is shown where they are hidden,
// is exactly this or, where nobody's is, of those who have it as their e-mail address.
func (e *Endpoint) usersNamed(c *call, name string) (reply, error) {
	out := api.SiteUserList{Items: []api.SiteUser{}}
	list := func(ids ...license.UserID) {
		e.gw.View(func(s *license.State) {
			for _, id := range ids {
				if u := e.siteUser(c, s, id); present(u) && len(out.Items) < listMost {
					out.Items = append(out.Items, u)
				}
			}
		})
	}
	if list(e.userNamed(c, name)); len(out.Items) == 0 {
		list(e.users.Addressed(name)...)
	}
	out.Total = len(out.Items)
	return reply{status: http.StatusOK, body: out}, nil
}

// present reports whether there is anything about a user.
func present(u api.SiteUser) bool {
	return u.Known || u.Licenses+u.Sessions+u.Checkouts > 0 || u.BlockedHere != nil
}

// oneUser is GET /v1/site/users/{id}.
func (e *Endpoint) oneUser(c *call) (reply, error) {
	id, err := c.named()
	if err != nil {
		return reply{}, err
	}
	var out api.SiteUser
	user := e.userNamed(c, id)
	e.gw.View(func(s *license.State) {
		if out = e.siteUser(c, s, user); !present(out) {
			err = denied{license.Denial{Reason: license.UnknownUser, Person: license.UserID(id)}}
		}
	})
	return reply{status: http.StatusOK, body: out}, err
}

func (e *Endpoint) siteUser(c *call, s *license.State, id license.UserID) api.SiteUser {
	out := api.SiteUser{ID: e.userID(c, s, id), Machines: []string{}, Licenses: len(s.Assigned(id))}
	out.Name, out.Email = e.shownUser(s, id)
	if u := s.User(id); u != nil {
		out.Known, out.Country, out.Blocked, out.OtherAccount = true, u.Country, u.Blocked, u.OtherAccount
	}
	if a := s.Active(id); a != nil {
		out.Sessions, out.Checkouts = len(a.Sessions), len(a.Checkouts)
		for i := range a.Sessions {
			out.Machines = append(out.Machines, e.shownMachine(s, id, a.Sessions[i].Machine).Name)
		}
		for i := range a.Checkouts {
			out.Machines = append(out.Machines, e.shownMachine(s, id, a.Checkouts[i].Machine).Name)
		}
		slices.Sort(out.Machines)
		out.Machines = slices.Compact(out.Machines)
	}
	if b, barred := license.UserBar(s, id); barred {
		x := e.shownBlock(c, b)
		x.User, out.BlockedHere = out.ID, &x
	}
	return out
}

// siteLicenses is GET /v1/site/licenses: the account's licenses, by product.
func (e *Endpoint) siteLicenses(c *call) (reply, error) {
	s, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	q := roster.LicenseQuery{Words: s.q, State: s.Get("state"), Product: license.ProductID(s.Get("product")), User: e.userNamed(c, s.Get("user")),
		After: s.Get("after"), Most: s.most, Now: e.gw.Now()}
	if q.State != "" && !slices.Contains(roster.LicenseStates(), q.State) {
		return reply{}, malformed("state is unassigned, not-found, never-used, ending or ended")
	}
	ids, next, total := e.owned.Licenses(q)
	out := api.SiteLicenseList{Items: []api.SiteLicense{}, Next: next, Total: total}
	e.gw.View(func(s *license.State) {
		for _, id := range ids {
			if l := s.License(id); l != nil {
				out.Items = append(out.Items, e.siteLicense(c, s, l, q.Now))
			}
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// oneLicense is GET /v1/site/licenses/{id}.
func (e *Endpoint) oneLicense(c *call) (reply, error) {
	id, err := c.named()
	if err != nil {
		return reply{}, err
	}
	var out api.SiteLicense
	e.gw.View(func(s *license.State) {
		l := s.License(license.LicenseID(id))
		if l == nil {
			err = denied{license.Denial{Reason: license.UnknownLicense, License: license.LicenseID(id)}}
			return
		}
		out = e.siteLicense(c, s, l, e.gw.Now())
	})
	return reply{status: http.StatusOK, body: out}, err
}

func (e *Endpoint) siteLicense(c *call, s *license.State, l *license.License, now license.Time) api.SiteLicense {
	out := api.SiteLicense{ID: string(l.ID), Product: string(l.Product), Type: kindWord(l.Kind),
		NotFound: license.NotFound(s, l), AssignedAt: l.AssignedAt.Std(), LockedUntil: license.LockedUntil(l, now).Std(),
		Starts: l.Starts.Std(), Ends: l.Ends.Std(), Ended: l.Ends != 0 && l.Ends <= now, LastUsed: l.LastUsed.Std(), Source: l.Source.String()}
	out.ProductName, out.Capped = shownProduct(s, l.Product)
	if l.Assignee != "" {
		out.Assignee = e.userID(c, s, l.Assignee)
		out.Name, out.Email = e.shownUser(s, l.Assignee)
	}
	if out.NotFound {
		for _, r := range phrase.ServiceRequests(c.lang, phrase.Lost{Product: cmp.Or(out.ProductName, out.Product), License: out.ID, Assignee: out.Assignee, Assigned: out.AssignedAt, Ends: out.Ends}) {
			out.Requests = append(out.Requests, api.RequestToVendor(r))
		}
	}
	return out
}

// settings is GET /v1/site/settings: what the rules go by, as a configuration says it.
func (e *Endpoint) settings(c *call) (reply, error) {
	out := api.SiteSettings{Items: []api.SiteSetting{}, Modes: []api.SiteMode{}}
	e.gw.View(func(s *license.State) {
		set := s.Head().Settings
		add := func(name, value string, isSet bool) {
			out.Items = append(out.Items, api.SiteSetting{Name: name, About: phrase.Setting(c.lang, name), Value: value, Set: isSet})
		}
		lasts := func(name string, d, otherwise time.Duration) {
			if d == 0 {
				add(name, otherwise.String(), false)
				return
			}
			add(name, d.String(), true)
		}
		add("rules.session_scope", scopeWord(set.SessionScope, "user"), set.SessionScope != license.ScopeDefault)
		add("rules.checkout_scope", scopeWord(set.CheckoutScope, "license"), set.CheckoutScope != license.ScopeDefault)
		lasts("rules.lease_ttl", set.LeaseTTL, license.DefaultLeaseTTL)
		lasts("rules.save_grace", set.SaveGrace, license.DefaultSaveGrace)
		add("rules.takeover", takeoverWord(set.Takeover), set.Takeover != license.TakeoverRefuse)
		lasts("rules.takeover_grace", set.TakeoverGrace, license.DefaultTakeoverGrace)
		add("rules.autonomy_capped", s.Autonomy(true).String(), set.AutonomyCapped != nil)
		add("rules.autonomy_uncapped", s.Autonomy(false).String(), set.AutonomyUncapped != nil)
		lasts("rules.checkout_default", set.CheckoutDefault, license.DefaultCheckout)
		lasts("rules.checkout_max", set.CheckoutMax, s.Head().Account.CheckoutMax)
		add("rules.checkouts", onOff(!set.NoCheckouts), set.NoCheckouts)
		add("rules.v8i", map[bool]string{false: "refuse", true: "pass"}[set.PassV8i], set.PassV8i)
		add("rules.machine_keys", strconv.FormatBool(set.MachineKeys), set.MachineKeys)
		add("rules.hosts", "["+strings.Join(set.Hosts, ", ")+"]", len(set.Hosts) > 0)
		for _, m := range set.Modes {
			mode := api.SiteMode{Product: string(m.Product), Network: m.Network, Mode: "on"}
			if m.Observe {
				mode.Mode = "observe"
			}
			out.Modes = append(out.Modes, mode)
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

func scopeWord(s license.Scope, otherwise string) string {
	switch s {
	case license.ScopeUser:
		return "user"
	case license.ScopeLicense:
		return "license"
	}
	return otherwise
}

func takeoverWord(t license.TakeoverPolicy) string {
	switch t {
	case license.TakeoverAsk:
		return "ask"
	case license.TakeoverGrace:
		return "grace"
	}
	return "refuse"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
