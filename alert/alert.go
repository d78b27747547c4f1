// Package alert tells administrators by e-mail and webhook what they have to see to, once
// when it begins and once when it is over.
//
// What lasts is found out by the nodes: of the site by the one that leads, which reads the
// state (Of); of its own machine by each node. What was found goes into the log
// (license.NoteAlert), and so does by which ways it was told. So whichever node leads goes
// on where another left off: nothing is lost, and what was on its way when a leader was lost
// is sent again with the same key, by which its receiver knows it.
//
// A message has no names of people in it: numbers, days, products, nodes and proxies.
//
// Reports leave by the same ways, again and again; what is in them is made by others.
//
// The package leaves to others: the way out (a dialer is given to it), the log, and what a
// node knows of its own machine.
package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sitegate/license"
	"sitegate/phrase"
)

// Kind is what an alert is about; the words are stable, programs go by them.
type Kind string

// The kinds.
const (
	LinkDown      Kind = "link-down"        // no contact with the cloud for two hours
	UsageWaits    Kind = "usage-waits"      // usage does not get to the vendor
	QuorumAtRisk  Kind = "quorum-at-risk"   // one node more, and nothing is granted
	StateDiverged Kind = "state-diverged"   // the nodes do not agree, and nothing is granted
	Disk          Kind = "disk"             // a node's disk is filling up
	Certificate   Kind = "certificate-ends" // of a node, within 30 days
	LicenseEnds   Kind = "license-ends"     // some do on a day within 30 days
	CheckoutEnds  Kind = "checkout-ends"    // some do on a day within three days
	MirrorShrunk  Kind = "mirror-shrunk"    // more than half of the cloud's list is missing
	ProxyLockout  Kind = "proxy-lockout"    // a proxy rejects a node's secret
	ClockOff      Kind = "clock-off"        // a node's clock is far from the site's time
	Unassigned    Kind = "unassigned"       // licenses are nobody's
	BackupOverdue Kind = "backup-overdue"   // a node's last good backup is too old
	Bypass        Kind = "bypass"           // nothing that is relayed is withheld
	KeysHeld      Kind = "issuer-keys-held" // an issuer's keys are not believed
	AuditNames    Kind = "audit-names"      // the audit trail has no room for many more names
)

// When it is told of what comes, and how much of it.
const (
	licenseSoon   = 30 * 24 * time.Hour
	checkoutSoon  = 3 * 24 * time.Hour
	outboxLongest = 4 * time.Hour // that the vendor takes no usage
	maxDays       = 40            // of one kind
	mostProducts  = 8             // that are named of a day
)

// Condition is something that is so now and that administrators are told of.
type Condition struct {
	Kind    Kind
	Subject string // what of the kind: a node, a day; empty: the site
	Detail  string // one sentence
}

func (c Condition) key() key { return key{string(c.Kind), c.Subject} }

// key is what an alert is known by while it lasts.
type key struct{ kind, subject string }

// Health is what the node that leads knows of the cluster.
type Health struct {
	Voters, Reached int
	Diverged        bool
	Members         []string // names of the nodes there are
	// Stuck is for how long usage has waited while the cloud took none; zero: it does not.
	Stuck time.Duration
}

// ofNodes are the kinds that each node says of itself: the subject is its name, and maybe
// more behind a slash.
var ofNodes = map[Kind]bool{Disk: true, Certificate: true, ClockOff: true, BackupOverdue: true}

// atOnce are the kinds that are said without waiting whether they last: somebody has meant
// them.
var atOnce = map[Kind]bool{Bypass: true}

// Of are the conditions of the site at a time, in the order of their kinds, told in a language.
func Of(s *license.State, at license.Time, h Health, lang phrase.Lang) (list []Condition) {
	add := func(k Kind, subject, detail string, args ...any) {
		text := bookOf(lang).say(detail, args...)
		list = append(list, Condition{k, subject, strings.ToValidUTF8(text[:min(len(text), license.MaxName)], "")})
	}
	head := s.Head()
	switch {
	case head.Link.Stale && head.Link.Contact == 0:
		add(LinkDown, "", "cloud-never")
	case head.Link.Stale:
		add(LinkDown, "", "cloud", when(head.Link.Contact))
	}
	switch waiting := s.UsageWaiting(); {
	case head.Backlog.Level > 0:
		add(UsageWaits, "", "usage", int(waiting), fullness(head.Backlog.Level, lang))
	case waiting > 0 && h.Stuck >= outboxLongest:
		add(UsageWaits, "", "usage-stuck", int(waiting), int(h.Stuck.Hours()))
	}
	if h.Voters > 1 && h.Reached < h.Voters && h.Reached <= h.Voters/2+1 {
		add(QuorumAtRisk, "", "quorum", h.Reached, h.Voters)
	}
	if h.Diverged {
		add(StateDiverged, "", "diverged")
	}
	if b := license.BypassAt(s, at); b.Until != 0 {
		add(Bypass, "", "bypass", when(b.Since), when(b.Until))
	}
	if head.Held.Since != 0 {
		add(MirrorShrunk, "", "mirror", when(head.Held.Since))
	}
	for _, l := range head.Lockouts {
		add(ProxyLockout, l.Node+"/"+l.Proxy, "lockout", l.Proxy, l.Node)
	}
	for _, issuer := range holding(head.KeyViews) {
		add(KeysHeld, issuer.of, "keys", issuer.nodes, issuer.of)
	}
	if n := license.VeilCount(s); n >= license.VeilsLeftFew {
		add(AuditNames, "", "names", n, license.MaxVeils)
	}
	ahead := license.LookAhead(s, at, licenseSoon, checkoutSoon)
	for _, day := range first(ahead.Licenses) {
		all, of := 0, []string{}
		for _, n := range ahead.Licenses[day] {
			all += n
		}
		for _, p := range slices.Sorted(maps.Keys(ahead.Licenses[day])) {
			if of = append(of, fmt.Sprintf("%.40s (%d)", p, ahead.Licenses[day][p])); len(of) == mostProducts {
				of = append(of, "…")
				break
			}
		}
		add(LicenseEnds, day, "licenses", all, day, strings.Join(of, ", "))
	}
	for _, day := range first(ahead.Checkouts) {
		add(CheckoutEnds, day, "checkouts", ahead.Checkouts[day], day)
	}
	if n := ahead.Unassigned; n > 0 {
		add(Unassigned, "", "unassigned", n)
	}
	return list
}

// held is an issuer whose keys wait for somebody to accept them, and how many nodes say so.
type held struct {
	of    string
	nodes int
}

// holding are those issuers; the views are in their order.
func holding(views []license.KeyView) (list []held) {
	for _, v := range views {
		if len(v.Held) == 0 {
			continue
		}
		if n := len(list); n > 0 && list[n-1].of == v.Issuer {
			list[n-1].nodes++
			continue
		}
		list = append(list, held{v.Issuer, 1})
	}
	return list
}

// first are the first days, as many as there may be of one kind.
func first[V any](days map[string]V) []string {
	sorted := slices.Sorted(maps.Keys(days))
	return sorted[:min(len(sorted), maxDays)]
}

func when(t license.Time) string {
	return t.Std().UTC().Format("2006-01-02 15:04 UTC")
}

// fullness says how full the room for usage is.
func fullness(l license.BacklogLevel, lang phrase.Lang) string {
	switch l {
	case 1:
		return bookOf(lang).say("room-half")
	case 2:
		return bookOf(lang).say("room-most")
	}
	return bookOf(lang).say("room-full")
}
