package license_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sitegate/license"
)

// The words of administrators, and of what they are told.

// admin reads a command of IT's, or a sign-out.
func (s *story) admin(verb string, w *words) (license.Command, error) {
	by, note := long(w.after("by")), long(w.after("because"))
	notAfter, err := s.notAfter(w)
	if err != nil {
		return nil, err
	}
	switch verb {
	case "move":
		c := license.Move{By: by, Note: note, Agreed: !w.flag("alone"), Cannot: w.flag("cannot"), NotAfter: notAfter}
		c.Agreed = c.Agreed && !c.Cannot
		from := w.after("from")
		c.To, c.License = license.UserID(long(w.after("to"))), license.LicenseID(long(w.next()))
		if l := s.state.License(c.License); l != nil {
			c.From = l.Assignee
		}
		if from != "" { // who had it when the cloud was asked
			c.From = license.UserID(long(from))
		}
		return c, nil
	case "block", "unblock":
		var m license.Machine
		if strings.Contains(" "+strings.Join(w.rest, " "), " machine ") {
			m = readMachine(w.after("machine"))
		}
		user := license.UserID(long(w.next()))
		if verb == "unblock" {
			return license.Unblock{User: user, Machine: m, By: by, Note: note}, nil
		}
		return license.Block{User: user, Machine: m, By: by, Note: note}, nil
	case "remind": // as the leader does: it counts, where that is due
		return license.Remind{Counts: license.CountReminders(s.state, s.now)}, nil
	case "release-user":
		return license.ReleaseUser{User: license.UserID(w.next()), By: by, Note: note, NotAfter: notAfter}, nil
	case "hold-back":
		n, err := losing(w)
		return license.HoldBack{Losing: n}, err
	case "raise-level":
		level, err := strconv.ParseUint(w.next(), 10, 32)
		return license.RaiseLevel{Level: uint32(level), Program: long(w.after("program"))}, err
	case "accept-time":
		return license.AcceptTime{From: s.state.Head().Now, By: by, Note: note}, nil
	case "maintenance":
		m := license.Maintenance{By: by, Note: note}
		if w.flag("over") {
			return license.Maintain{Maintenance: m}, nil
		}
		var in, lasts time.Duration
		if err := errors.Join(w.duration("in", &in), w.duration("for", &lasts)); err != nil {
			return nil, err
		}
		m.From, m.Until = s.now.Add(in), s.now.Add(in+lasts)
		return license.Maintain{Maintenance: m}, nil
	case "bypass":
		return license.LetPass{Over: w.flag("over"), By: by, Note: note}, nil
	case "accept-shrink":
		return license.AcceptShrink{By: by, Note: note}, nil
	case "bind":
		c := license.BindKey{Proof: w.proof(), NotAfter: notAfter}
		c.Machine, err = w.machine()
		c.User = license.UserID(long(w.next()))
		return c, err
	case "bar-key":
		c := license.BarKey{Key: w.proof().Key}
		c.Machine, err = w.machine()
		c.User = license.UserID(w.next())
		return c, err
	case "see":
		c := license.SeeKey{Proof: w.proof(), Place: w.after("in")}
		m, err := w.machine()
		c.User, c.Machine = license.UserID(w.next()), m.ID
		return c, err
	case "forget-key":
		m, err := w.machine()
		return license.ForgetKey{User: license.UserID(long(w.next())), Machine: m, By: by, Note: note}, err
	case "sign-out":
		p := w.proof()
		m, err := w.machine()
		return license.SignOut{User: license.UserID(w.next()), Machine: m, NotAfter: notAfter, Proof: p}, err
	}
	return nil, fmt.Errorf("do not know the word %q", verb)
}

func roles(w *words) license.Roles {
	var r license.Roles
	for word, role := range map[string]license.Roles{"administrator": license.RoleAdministrator, "co-administrator": license.RoleCoAdministrator,
		"license-administrator": license.RoleLicenseAdministrator, "fulfillment-contact": license.RoleFulfillment} {
		if w.flag(word) {
			r |= role
		}
	}
	return r
}

// lookUp answers what IT asks, without changing anything.
func (s *story) lookUp(what string, w *words) []string {
	var answer []string
	switch what {
	case "removal":
		user := license.UserID(w.next())
		for _, x := range license.RemovalWarnings(s.state, s.now, user) {
			line := fmt.Sprintf("first move %s (%s) from %s", x.License, x.Product, user)
			switch {
			case x.Lost:
				line = fmt.Sprintf("%s (%s) is lost with %s: ask the vendor", x.License, x.Product, user)
			case x.LockedUntil != 0:
				line += ", from " + sayTime(x.LockedUntil)
			}
			if x.Sessions > 0 {
				line += fmt.Sprintf("; %d running", x.Sessions)
			}
			for i := range x.Checkouts {
				line += "; to be returned " + sayCheckout(&x.Checkouts[i])
			}
			answer = append(answer, line)
		}
	case "reminders":
		for _, r := range license.Reminders(s.state, s.now) {
			line := fmt.Sprintf("%s %s (%s)", r.Kind, r.License, r.Product)
			if r.User != "" {
				line += " of " + string(r.User)
			}
			if r.Kind == license.RemindPooled {
				line += fmt.Sprintf(" for %d days", r.Days)
			} else if r.Days != 0 {
				line += fmt.Sprintf(", within %d days, on %s", r.Days, sayTime(r.Ends))
			}
			if r.Since != 0 {
				line += " since " + sayTime(r.Since)
			}
			answer = append(answer, line)
		}
	case "contacts":
		for _, c := range license.Contacts(s.state) {
			line := "ask " + strings.TrimSpace(c.Name+" "+c.Email)
			for name, role := range map[string]license.Roles{"administrator": license.RoleAdministrator,
				"co-administrator": license.RoleCoAdministrator, "license administrator": license.RoleLicenseAdministrator} {
				if c.Role == role {
					line += ", " + name
				}
			}
			answer = append(answer, line)
		}
	case "keys":
		for _, k := range license.KeysOf(s.state, license.UserID(w.next())) {
			answer = append(answer, sayKey(k))
		}
	case "bars":
		for _, b := range license.Bars(s.state) {
			answer = append(answer, "kept out "+sayBar(b))
		}
	}
	if len(answer) == 0 {
		return []string{"nothing"}
	}
	return answer
}

func sayBar(b license.Bar) string {
	line := string(b.User) + sayMachine(b.Machine) + " by " + b.By
	if b.Note != "" {
		line += fmt.Sprintf(" %q", b.Note)
	}
	line += " since " + sayTime(b.Since)
	for i, key := range b.Keys {
		line += []string{" with key ", " and "}[min(i, 1)] + sayDigest(key)
	}
	return line
}

func sayAdmin(f license.Fact) string {
	because := func(by, note string) string {
		if note != "" {
			return fmt.Sprintf(" by %s %q", by, note)
		}
		return " by " + by
	}
	to := func(users []license.UserID) string {
		if len(users) == 0 {
			return ""
		}
		return fmt.Sprintf(", told to %s", strings.Trim(fmt.Sprint(users), "[]"))
	}
	switch f := f.(type) {
	case license.Moved:
		from := string(f.From)
		if from == "" {
			from = "nobody"
		}
		return fmt.Sprintf("moved %s (%s) from %s to %s%s", f.License, f.Product, from, f.To, because(f.By, f.Note))
	case license.Blocked:
		return "blocked " + sayBar(f.Bar)
	case license.KeyBarred:
		return fmt.Sprintf("blocked key %s, shown by %s: kept out %s", sayDigest(f.Key), f.User, sayBar(f.Bar))
	case license.Unblocked:
		return "unblocked " + sayBar(f.Bar) + "," + because(f.By, f.Note)
	case license.UserReleased:
		return fmt.Sprintf("released all %d of %s%s", f.Sessions, f.User, because(f.By, f.Note))
	case license.Reminded:
		c := f.Counts
		return fmt.Sprintf("reminded of %d missing, %d ending, %d unassigned, %d never used, %d pooled on %d days%s",
			c.Missing, c.Ending, c.Unassigned, c.NeverUsed, c.Pooled, c.PooledDays, to(f.To))
	case license.KeyBound:
		dropped := ""
		if f.Dropped != nil {
			dropped = ", and none on " + sayKey(*f.Dropped)
		}
		return fmt.Sprintf("bound %s on %s%s%s", f.User, sayKey(f.Key), dropped, to(f.To))
	case license.KeyReplaced:
		return fmt.Sprintf("another key than %s: %s on %s%s", sayDigest(f.Was), f.User, sayKey(f.Key), to(f.To))
	case license.CloneSeen:
		places := ""
		if len(f.Places) > 0 {
			places = " in " + strings.Join(f.Places, " and ")
		}
		return fmt.Sprintf("clone of %s of %s%s%s", sayMachine(f.Machine), f.User, places, to(f.To))
	case license.KeyForgotten:
		return fmt.Sprintf("forgotten the keys of %s on %s%s", f.User, sayMachine(f.Machine), because(f.By, f.Note))
	case license.SignedOut:
		return fmt.Sprintf("signed out %s on %s, %d ended", f.User, sayMachine(f.Machine), f.Sessions)
	case license.CheckoutFlagged:
		return fmt.Sprintf("flagged %s, %s%s", sayCheckout(&f.Checkout), f.Reason, to(f.To))
	case license.UserMissing:
		return fmt.Sprintf("missing %s, who has %s (%s)%s", f.User, f.License, f.Product, to(f.To))
	case license.LicenseChanged:
		what := "changed"
		if f.New {
			what = "new"
		} else if f.Gone {
			what = "gone"
		}
		return fmt.Sprintf("license %s (%s) is %s%s", f.License, f.Product, what, to(f.To))
	}
	return sayShrink(f)
}
