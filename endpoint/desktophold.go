package endpoint

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"sitegate/gateway"
	"sitegate/license"
)

// allowed is a product that the vendor lets who asks use.
type allowed struct {
	wanted
	name    string        // the product's, and
	country string        // the one the use is counted in, as the vendor has them; may be empty
	lease   time.Duration // zero: the default of relayed sessions
	offline bool          // its client may work on without asking
	expires time.Time     // when the vendor's word ends
	// checkout is the one that the vendor's word is; zero: it is none.
	checkout license.ID
}

// What became of a product that the vendor allows, in the metrics.
const (
	relayedRenewed  = "renewed"
	relayedStarted  = "started"
	relayedObserved = "observed"
	relayedLearned  = "learned"
	relayedCheckout = "checkout"
	relayedByKey    = "by-key" // for a server's access key: nothing is held
)

// begin makes of what the vendor allows a session here, before its answer leaves. An
// error: it does not leave, and what was begun for it is ended.
func (rl *relay) begin(x *exchange, list []allowed) error {
	var begun, lent []license.ID
	renewed := 0
	for _, a := range rl.refusedFirst(x, list) {
		what, err := rl.hold(x, a, &begun, &lent)
		if err != nil {
			rl.undo(x, begun, lent...)
			return err
		}
		rl.e.metrics.relayed.WithLabelValues(what).Inc()
		if what == relayedRenewed {
			renewed++
		}
		if !a.expires.IsZero() {
			rl.last.keep(x.policyKey(a.product), lastPolicy{offline: a.offline, expires: a.expires}, time.Now())
		}
	}
	rl.begun.leave(begun)
	x.w.quiet = x.w.quiet || renewed > 0 && renewed == len(list) // a heartbeat, as others are
	return nil
}

// hold sees to one product. Only what is known to be capped is held; the rest is the
// vendor's to decide, and looked at, unless IT keeps the user or the machine out.
func (rl *relay) hold(x *exchange, a allowed, begun, lent *[]license.ID) (what string, err error) {
	capped, observe, id := false, false, license.ID{}
	c := x.startOf(a)
	if last, there := rl.last.find(x.policyKey(a.product), time.Now()); there && last.offline {
		c.Offline = true
	}
	var spared, out *license.Denial
	rl.e.gw.View(func(s *license.State) {
		p := s.Product(a.product)
		observe = license.ModeOf(s, rl.e.gw.Now(), a.product, addressOf(x)).Observe
		if capped = p != nil && p.Capped == license.CappedYes; !capped {
			if out = license.KeptOut(s, c.User, c.Machine, c.Product); observe {
				spared, out = out, nil
			}
			return
		}
		if observe {
			spared = license.Check(s, rl.e.gw.Now(), c)
			return
		}
		if there := license.RelayedSession(s, c.User, c.Machine, c.Product); there != nil {
			id = there.ID
		}
	})
	switch {
	case spared != nil && c.User != "":
		rl.e.gw.WouldRefuse(license.WouldRefuse{User: c.User, Machine: c.Machine, Denial: *spared, Address: addressOf(x).String()})
	case capped && observe && c.User != "":
		rl.e.gw.NoteObserved(gateway.Observation{Start: c, Address: addressOf(x).String()})
	}
	switch {
	case out != nil:
		rl.noteWithheld(x, *out, c.Offline)
		return "", &withheld{denial: *out, offline: c.Offline}
	case !capped:
		if c.User != "" {
			rl.e.gw.Learn(license.Learned{User: c.User, Product: c.Product, Email: x.desk.email, Country: clip(a.country), Name: clip(a.name), Feature: c.Feature})
		}
		return relayedLearned, nil
	case c.User == "":
		return "", &relayError{code: relayWhoseToken}
	case observe:
		return relayedObserved, nil
	}
	if !a.checkout.IsZero() {
		return rl.lend(x, a, lent)
	}
	if !id.IsZero() && rl.begun.use(x.ctx, id) {
		renewed, err := rl.renew(x.ctx, id, c.User, c.Machine)
		if renewed || err != nil {
			return relayedRenewed, err
		}
	}
	return rl.start(x, c, begun)
}

// noteWithheld has the journal tell of what is withheld without a start.
func (rl *relay) noteWithheld(x *exchange, d license.Denial, offline bool) {
	if x.desk.user != "" {
		rl.e.gw.Withheld(license.Refused{User: x.desk.user, Machine: x.machine, Denial: d, Offline: offline})
	}
}

// start asks for the session. What the mirror refuses and the vendor allows is looked at
// again once the mirror was read anew: one of them may be older.
func (rl *relay) start(x *exchange, c license.Start, begun *[]license.ID) (what string, err error) {
	rl.begun.begin(c.ID)
	*begun = append(*begun, c.ID)
	none := func() { // nothing is there by this name
		*begun = slices.DeleteFunc(*begun, func(id license.ID) bool { return id == c.ID })
		rl.begun.leave([]license.ID{c.ID})
	}
	for again := true; ; again = false {
		asked := time.Now()
		a, err := rl.e.gw.StartRelayed(x.ctx, c)
		if err != nil {
			return "", err
		}
		if again && len(x.want) == 1 { // one line has them once
			rl.e.staged(x.call, a, nil, time.Since(asked))
		} else {
			rl.e.stages(a.Took, time.Since(asked))
		}
		d := a.Outcome.Denial
		if d == nil {
			id := a.Outcome.Session.ID
			if !a.Outcome.Repeat || id == c.ID {
				return relayedStarted, nil
			}
			if rl.begun.use(x.ctx, id) { // another request has begun it
				renewed, err := rl.renew(x.ctx, id, c.User, c.Machine)
				if err != nil {
					return "", err
				}
				if renewed {
					none()
					return relayedRenewed, nil
				}
			}
			if again {
				continue
			}
			return "", gateway.ErrUnknown // it ended twice meanwhile
		}
		if again && ofMirror(d.Reason) && rl.rereads.Allow() {
			if _, err := rl.e.gw.Refresh(x.ctx); err == nil {
				continue
			}
		}
		none()
		return "", &withheld{denial: *d, offline: c.Offline}
	}
}

// renew counts what is asked as the session's heartbeat. False: it is over.
func (rl *relay) renew(ctx context.Context, id license.ID, user license.UserID, m license.Machine) (bool, error) {
	leases, err := rl.e.gw.Renew(ctx, []license.Renewal{{Session: id, User: user, Machine: m}})
	if err != nil {
		return false, err
	}
	if len(leases) != 1 {
		return false, errLeases(len(leases), 1)
	}
	return leases[0].Denial == nil, nil
}

// ofMirror reports whether a refusal is for what the mirror says of assignments, which the
// vendor knows better.
func ofMirror(r license.Reason) bool {
	return slices.Contains([]license.Reason{license.NotAssigned, license.UnknownUser, license.UserBlocked, license.LicenseEnded,
		license.LicenseNotStarted, license.NoCountry, license.WrongCountry}, r)
}

func notUndone(err error) slog.Attr { return slog.Any("not_undone", err) }

// clip is a text of the vendor's, or nothing where it is none that is kept.
func clip(s string) string {
	if !plain(s) {
		return ""
	}
	return s
}

// addressOf is the client's; not valid: it has none.
func addressOf(x *exchange) netip.Addr {
	ap, err := netip.ParseAddrPort(x.r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
