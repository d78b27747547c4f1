package license_test

import (
	"fmt"
	"strings"

	"sitegate/license"
)

// The words the stories' answers are written in.

func sayTime(t license.Time) string {
	std := t.Std()
	switch {
	case t == 0:
		return "never"
	case std.Nanosecond() != 0:
		return std.Format("01-02 15:04:05.000")
	case std.Second() != 0:
		return std.Format("01-02 15:04:05")
	}
	return std.Format("01-02 15:04")
}

func idName(id license.ID) string { return strings.TrimRight(string(id[:]), "\x00") }

func sayMachine(m license.Machine) string {
	name, id := m.Name, m.ID
	if len(name) > 40 {
		name = fmt.Sprintf("(%d bytes)", len(name))
	}
	if id != "" {
		return name + "#" + id
	}
	return name
}

func sayDenial(d *license.Denial) string {
	var b strings.Builder
	fmt.Fprintf(&b, "refused: %s", d.Reason)
	if d.Machine != (license.Machine{}) {
		fmt.Fprintf(&b, ", %s", sayMachine(d.Machine))
	}
	if d.Holding != "" {
		fmt.Fprintf(&b, " has %s by %s since %s", d.Holding, d.By, sayTime(d.Since))
	}
	if d.License != "" && d.License != d.Holding {
		fmt.Fprintf(&b, ", asked for %s", d.License)
	}
	if d.Person != "" {
		fmt.Fprintf(&b, ", for %s", d.Person)
	}
	if d.Node != "" {
		fmt.Fprintf(&b, ", %s since %s", d.Node, sayTime(d.Since))
	}
	if d.Here {
		b.WriteString(", here")
	}
	if d.Email != "" {
		fmt.Fprintf(&b, ", assigned to %s", d.Email)
	}
	if d.Until != 0 {
		fmt.Fprintf(&b, ", until %s", sayTime(d.Until))
	}
	if d.Who != "" {
		fmt.Fprintf(&b, ", by %s", d.Who)
	}
	if d.Note != "" {
		fmt.Fprintf(&b, " %q", d.Note)
	}
	return b.String()
}

func saySession(x *license.Session) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s (%s) on %s", idName(x.ID), x.User, x.Product, x.License, sayMachine(x.Machine))
	switch {
	case x.Holds:
		b.WriteString(", holds")
	case !x.UnderCheckout.IsZero():
		fmt.Fprintf(&b, ", under %s", idName(x.UnderCheckout))
	}
	if x.LicenseType() != license.Practitioner {
		fmt.Fprintf(&b, ", as %s", x.LicenseType())
	}
	for _, w := range x.Warnings {
		fmt.Fprintf(&b, ", warned: %s", w)
	}
	if x.Provisional {
		b.WriteString(", provisional")
	}
	if x.Generation > 1 {
		fmt.Fprintf(&b, ", generation %d", x.Generation)
	}
	if n := x.Notice; n != nil {
		fmt.Fprintf(&b, ", %s", sayEnding(n))
	}
	return b.String()
}

func sayEnding(n *license.Ending) string {
	text := n.Reason
	if n.By != "" {
		text += " by " + n.By
	}
	if n.Note != "" {
		text += fmt.Sprintf(" %q", n.Note)
	}
	if n.Machine != (license.Machine{}) {
		text += " for " + sayMachine(n.Machine)
	}
	return text + ", no renewal from " + sayTime(n.Until)
}

func sayCheckout(x *license.Checkout) string {
	version := ""
	if x.Version != "" {
		version = " " + x.Version
	}
	line := fmt.Sprintf("%s: %s %s%s (%s) on %s until %s", idName(x.ID), x.User, x.Product, version, x.License,
		sayMachine(x.Machine), sayTime(x.Until))
	if x.By != "" {
		line += ", by " + x.By
		if x.Note != "" {
			line += fmt.Sprintf(" %q", x.Note)
		}
	}
	if x.Unbooked {
		line += ", not in the cloud's books"
	}
	if l := x.WrittenOff; l != nil {
		line += fmt.Sprintf(", written off by %s %q %s", l.By, l.Note, sayTime(l.At))
	}
	return line
}

func sayWaiter(w *license.Waiter) string {
	text := fmt.Sprintf("%s: %s %s on %s", idName(w.ID), w.User, w.Product, sayMachine(w.Machine))
	switch {
	case w.Declined:
		text += ", asked and declined"
	case w.Asks == license.TakeoverAsk:
		text += ", asks"
	case w.Asks == license.TakeoverGrace:
		text += ", takes over by " + sayTime(w.Until)
	}
	return text
}

func sayFreed(freed bool) string {
	if freed {
		return ", free"
	}
	return ""
}

func sayFact(f license.Fact) string {
	switch f := f.(type) {
	case license.Started:
		return "started " + saySession(f.Session)
	case license.Stopped:
		return "stopped " + saySession(f.Session) + sayFreed(f.Freed)
	case license.Expired:
		return "expired " + saySession(f.Session) + sayFreed(f.Freed)
	case license.Released:
		return "released " + saySession(&f.Session)
	case license.Confirmed:
		return "confirmed " + saySession(&f.Session)
	case license.Conflicted:
		return "on notice " + saySession(&f.Session)
	case license.CheckedOut:
		return "checked out " + sayCheckout(&f.Checkout)
	case license.Returned:
		return "returned " + sayCheckout(&f.Checkout)
	case license.CheckoutEnded:
		return "checkout ended " + sayCheckout(&f.Checkout)
	case license.CheckoutEnding:
		return "checkout will end " + sayCheckout(&f.Checkout)
	case license.WrittenOff:
		return "written off " + sayCheckout(&f.Checkout)
	case license.CheckedIn:
		return "checked in " + sayCheckout(&f.Checkout)
	case license.Resumed, license.CheckoutFound, license.CheckoutsRead, license.RestoreAccepted:
		return sayResumed(f)
	case license.LevelRaised:
		return fmt.Sprintf("level raised from %d to %d by program %s, told %v", f.From, f.Level, f.Program, f.To)
	case license.MaintenanceTold:
		m := f.Maintenance
		if f.Over {
			return fmt.Sprintf("no maintenance, by %s %q", m.By, m.Note)
		}
		return fmt.Sprintf("maintenance from %s until %s, by %s %q", sayTime(m.From), sayTime(m.Until), m.By, m.Note)
	case license.BypassTold:
		b := f.Bypass
		switch {
		case !f.Over:
			return fmt.Sprintf("bypass from %s until %s, by %s %q, told %v", sayTime(b.Since), sayTime(b.Until), b.By, b.Note, f.To)
		case f.By == "":
			return fmt.Sprintf("bypass over: its time is up, told %v", f.To)
		}
		return fmt.Sprintf("bypass over, by %s %q, told %v", f.By, f.Note, f.To)
	case license.TimeAccepted:
		return strings.TrimSpace(fmt.Sprintf("time accepted by %s %q, from %s", f.By, f.Note, sayTime(f.From)))
	case license.WaitBegan:
		return "waiting " + sayWaiter(&f.Waiter)
	case license.Requested:
		return fmt.Sprintf("asked %s to let go of %s for %s", sayMachine(f.Session.Machine), idName(f.Session.ID), sayWaiter(&f.Waiter))
	case license.TakeoverBegan:
		return "being taken over " + saySession(&f.Session)
	case license.EndingWarned:
		return fmt.Sprintf("warned %s on %s: ends for %s in %v", idName(f.Session.ID), sayMachine(f.Session.Machine),
			sayMachine(f.Session.Notice.Machine), f.Left)
	case license.TakeoverLifted:
		return "goes on " + saySession(&f.Session)
	case license.GivenUp:
		return "given up " + saySession(&f.Session)
	case license.Declined:
		return fmt.Sprintf("declined on %s: %s", sayMachine(f.Machine), sayWaiter(&f.Waiter))
	case license.PostingKept:
		return fmt.Sprintf("kept for the vendor: %s of %s on %s, %d bytes", idName(f.ID), f.User, sayMachine(f.Machine), len(f.Body))
	case license.WouldHaveRefused:
		text := fmt.Sprintf("would have been refused %s on %s: %s", f.User, sayMachine(f.Machine), f.Denial.Reason)
		if f.Address != "" {
			text += " from " + f.Address
		}
		return text
	case license.WaitEnded:
		if f.Reason != "" {
			return fmt.Sprintf("waits no more %s: %s", sayWaiter(&f.Waiter), f.Reason)
		}
		if f.Granted {
			return "waited for and got " + sayWaiter(&f.Waiter)
		}
		return "waits no more " + sayWaiter(&f.Waiter)
	case license.Reserved:
		return "kept for " + sayWaiter(&f.Waiter) + " until " + sayTime(f.Until)
	case license.ReservationEnded:
		return fmt.Sprintf("kept no more %s: %s %s on %s", idName(f.Reservation.Wait), f.User, f.Reservation.Product,
			sayMachine(f.Reservation.Machine))
	case license.Mirrored:
		said := fmt.Sprintf("mirrored %d to %q", f.Changes, f.Cursor)
		if f.Policy {
			said += ", other terms"
		}
		return said
	case license.Assigned:
		return fmt.Sprintf("assigned %s (%s) to %s", f.License, f.Product, f.User)
	case license.Unassigned:
		return fmt.Sprintf("unassigned %s (%s) from %s", f.License, f.Product, f.User)
	case license.LicenseEnds:
		who := "nobody"
		if f.User != "" {
			who = string(f.User)
		}
		line := fmt.Sprintf("%d days: %s (%s) of %s ends %s", f.Days, f.License, f.Product, who, sayTime(f.Ends))
		if len(f.To) > 0 {
			line += fmt.Sprintf(", told %v", f.To)
		}
		return line
	case license.TermExtended:
		return "goes on " + saySession(&f.Session)
	case license.LinkChanged:
		if f.Up {
			return "link up, last contact " + sayTime(f.Contact)
		}
		return "link down, last contact " + sayTime(f.Contact)
	case license.Imported:
		return strings.TrimSpace("imported " + fmt.Sprint(f.Changes) + " by " + f.By + " " + f.Note)
	case license.LinkSlowed:
		return fmt.Sprintf("link slow %t, told %v", f.Slow, f.To)
	case license.LinkStaled:
		return fmt.Sprintf("no contact since %s, told %v", sayTime(f.Contact), f.To)
	case license.GrantedAlone:
		return fmt.Sprintf("granted alone %s: %s %s on %s, without the cloud since %s, as it may until %s", idName(f.ID), f.User, f.Product, sayMachine(f.Machine),
			sayTime(f.Contact), sayTime(f.Until))
	case license.MirrorQuarantined:
		return fmt.Sprintf("%d not understood, told %v", f.Records, f.To)
	case license.Configured:
		return "configured"
	case license.Attempted:
		line := fmt.Sprintf("attempted %s on %s: %s", f.User, sayMachine(f.Machine), sayDenial(&f.Denial))
		if f.Relayed {
			line += ", the vendor's answer withheld"
		}
		if f.Offline {
			line += ", which its client may not heed"
		}
		return line
	case license.PoliciesRevoked:
		line := "revoked"
		for _, r := range f.Users {
			line += fmt.Sprintf(" %s before %s", r.User, sayTime(r.At))
		}
		return line
	case license.LearnedOf:
		line := "learned"
		for _, l := range f.Seen {
			line += " " + sayLearned(l)
		}
		return line
	case license.UsageAcknowledged, license.UsageSetAside, license.UsageSettled, license.BacklogChanged, license.UsageExported, license.UsageReceived:
		return sayOfUsage(f)
	}
	if line := sayNodeFact(f); line != "" {
		return line
	}
	if line := sayCredentialFact(f); line != "" {
		return line
	}
	return sayAdmin(f)
}

func sayOffers(c license.Capabilities) (lines []string) {
	for _, x := range []struct {
		what string
		of   license.Capability
	}{{"feed", c.Feed}, {"holds", c.Holds}, {"moves", c.Moves}, {"books", c.Books}} {
		if x.of.Offered != license.OfferUnknown {
			lines = append(lines, fmt.Sprintf("%s %t, since %s", x.what, x.of.Offered == license.OfferYes, sayTime(x.of.Since)))
		}
	}
	if c.UsageHow != 0 {
		lines = append(lines, fmt.Sprintf("usage by %s, since %s", c.Usage, sayTime(c.UsageHow)))
	}
	return append(lines, "no more is known")
}

func sayDue(commands []license.Command) []string {
	answer := make([]string, 0, len(commands)+1)
	for _, c := range commands {
		switch c := c.(type) {
		case license.EndCheckout:
			answer = append(answer, "due: end checkout "+idName(c.ID))
		case license.RemindCheckout:
			answer = append(answer, "due: remind of checkout "+idName(c.ID))
		case license.EndReservation:
			answer = append(answer, "due: end reservation of "+string(c.User))
		case license.WarnEnding:
			answer = append(answer, "due: warn "+idName(c.Session))
		case license.Offer:
			answer = append(answer, "due: see to who waits of "+string(c.User))
		case license.RemindTerm:
			answer = append(answer, "due: remind of the end of "+string(c.License))
		case license.EndBypass:
			answer = append(answer, "due: end the bypass")
		default:
			answer = append(answer, fmt.Sprintf("due: %T", c))
		}
	}
	if len(commands) == 0 {
		return append(answer, "nothing due")
	}
	return answer
}

func sayHolds(holds []license.CloudHold) []string {
	var answer []string
	for _, h := range holds {
		line := fmt.Sprintf("hold %s by %s %s: %s on %s", h.Key, h.Kind, idName(h.Ref), h.License, sayMachine(h.Machine))
		if h.Until != 0 {
			line += " until " + sayTime(h.Until)
		}
		if h.Provisional {
			line += ", provisional"
		}
		if h.Unbooked {
			line += ", not booked yet"
		}
		if h.WrittenOff {
			line += ", written off"
		}
		answer = append(answer, line)
	}
	if len(holds) == 0 {
		return []string{"no holds"}
	}
	return answer
}

func sayActive(a *license.Active) []string {
	if a == nil {
		return []string{"nothing open"}
	}
	var answer []string
	for i := range a.Sessions {
		answer = append(answer, "  "+saySession(&a.Sessions[i]))
	}
	for i := range a.Checkouts {
		answer = append(answer, "  "+sayCheckout(&a.Checkouts[i]))
	}
	for i := range a.Waiters {
		answer = append(answer, "  waits "+sayWaiter(&a.Waiters[i]))
	}
	for _, r := range a.Reservations {
		answer = append(answer, fmt.Sprintf("  kept for %s: %s on %s until %s", idName(r.Wait), r.Product, sayMachine(r.Machine), sayTime(r.Until)))
	}
	return answer
}

func sayUsage(usage []license.Usage) []string {
	var answer []string
	for _, u := range usage {
		kind := "session"
		if u.Kind == license.UsageCheckout {
			kind = "checkout"
		}
		line := fmt.Sprintf("usage of %s %s: %s %s (%s) on %s from %s to %s", kind, idName(u.ID), u.User, u.Product,
			u.License, sayMachine(u.Machine), sayTime(u.Started), sayTime(u.Ended))
		if u.Version != "" {
			line += ", version " + u.Version
		}
		if u.Country != "DE" {
			line += ", in " + u.Country
		}
		if u.LicenseType != license.Practitioner {
			line += " as " + u.LicenseType
		}
		answer = append(answer, line)
	}
	if len(usage) == 0 {
		return []string{"no usage"}
	}
	return answer
}

func sayLease(l license.Lease) string {
	line := "renewed for " + l.TTL.String()
	if l.Denial != nil {
		line = sayDenial(l.Denial)
	}
	if l.Notice != nil {
		line += "; " + sayEnding(l.Notice)
	}
	return line
}

func sayLearned(l license.Learned) string {
	line := fmt.Sprintf("%s uses %s", l.User, l.Product)
	if l.Name != "" {
		line += fmt.Sprintf(" %q", l.Name)
	}
	if l.Country != "" {
		line += " in " + l.Country
	}
	if l.Last > l.First {
		line += fmt.Sprintf(", for %d days", l.Last-l.First+1)
	}
	return line
}
