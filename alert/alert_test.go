package alert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/phrase"
)

// apply puts commands to a state at a time, none of which may be refused.
func apply(t *testing.T, s *license.State, at license.Time, commands ...license.Command) {
	t.Helper()
	for _, c := range commands {
		if out, _ := license.Apply(s, license.Entry{At: at, Command: c}); out.Denial != nil {
			t.Fatalf("%T is refused: %+v", c, out.Denial)
		}
	}
}

// What administrators are to be told of follows from the state and the cluster alone, and
// names nobody.
func TestConditionsOfASite(t *testing.T) {
	now := license.TimeOf(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
	day := 24 * time.Hour
	well := Health{Voters: 3, Reached: 3}
	s := license.NewState()
	change := func(l license.License) license.Change {
		l.Product, l.AssignedAt = "3201", now
		return license.Change{License: &l}
	}
	apply(t, s, now, license.Found{Cluster: "site-7", Level: license.Level}, license.Link{Up: true, Contact: now},
		license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{
			{Account: &license.Account{ID: "acme", CheckoutMax: 30 * day}},
			{User: &license.User{ID: "u-1", Name: "Ida Named", Email: "ida@site.test", Country: "DE"}},
			{Product: &license.Product{ID: "3201", Name: "Plinth Drafting", Capped: license.CappedYes}},
			change(license.License{ID: "l-1", Assignee: "u-1"}),
		}})
	of := func(at license.Time, h Health) (list []string) {
		for _, c := range Of(s, at, h, phrase.English) {
			line := string(c.Kind) + " " + c.Subject + ": " + c.Detail
			list = append(list, line)
			if strings.Contains(line, "Ida") || strings.Contains(line, "ida@") || strings.Contains(line, "u-1") || strings.Contains(line, "WS-1") {
				t.Errorf("%q names somebody", line)
			}
			if _, known := english.kinds[c.Kind]; !known {
				t.Errorf("there are no words for %s", c.Kind)
			}
		}
		return list
	}
	want := func(when string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	want("a site that is well", of(now, well))

	for _, test := range []struct {
		voters, reached int
		risk            bool
	}{{1, 1, false}, {3, 3, false}, {3, 2, true}, {4, 3, true}, {4, 4, false}, {5, 4, false}, {5, 3, true}, {2, 1, true}, {2, 2, false}} {
		if got := len(of(now, Health{Voters: test.voters, Reached: test.reached})) == 1; got != test.risk {
			t.Errorf("%d of %d: at risk is %t, want %t", test.reached, test.voters, got, test.risk)
		}
	}
	want("nodes that do not agree", of(now, Health{Diverged: true}), "state-diverged : The nodes have different states, and no majority has the same.")

	apply(t, s, now, license.CheckOut{ID: license.ID{1}, User: "u-1", Product: "3201", Machine: license.Machine{ID: "m-1", Name: "WS-1"}, Until: now.Add(4 * day), Agreed: true})
	want("a checkout of four days", of(now, well))
	want("on the next day", of(now.Add(day+time.Hour), well), "checkout-ends 2026-11-06: 1 checkout ends on 2026-11-06.")

	apply(t, s, now, license.Mirror{From: "1", Cursor: "2", Last: true, Changes: []license.Change{
		change(license.License{ID: "l-2"}), change(license.License{ID: "l-3", Ends: now.Add(29 * day)}),
		change(license.License{ID: "l-4", Assignee: "u-1", Ends: now.Add(29*day + time.Hour)}), change(license.License{ID: "l-5", Assignee: "u-1", Ends: now.Add(31 * day)}),
	}})
	want("licenses", of(now, well), "license-ends 2026-12-01: 2 licenses end on 2026-12-01, of product 3201 (2).", "unassigned : 2 licenses are assigned to nobody.")
	apply(t, s, now, license.Mirror{From: "2", Cursor: "3", Last: true, Changes: []license.Change{{DeleteLicense: "l-2"}, {DeleteLicense: "l-3"}, {DeleteLicense: "l-4"}}})

	apply(t, s, now, license.Link{Contact: now}, license.NoteLockout{Node: "gw1", Proxy: "north", Until: now.Add(time.Minute)}, license.NoteBacklog{Bytes: 60, Most: 100})
	later := now.Add(license.StaleAfter)
	apply(t, s, later, license.Link{Contact: now})
	want("what goes wrong", of(later, well), "link-down : The cloud last answered at 2026-11-02 08:00 UTC.",
		"usage-waits : 0 usage records are waiting for the vendor; its room is half full.",
		"proxy-lockout gw1/north: The proxy north rejects the secret of node gw1, which is not sent for now.")

	// A list of the cloud's that shrinks by more than half.
	crowd := license.NewState()
	page := license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{{Product: &license.Product{ID: "3201"}}}}
	for i := range 100 {
		user := license.UserID(fmt.Sprint("u-", i))
		page.Changes = append(page.Changes, license.Change{User: &license.User{ID: user, Country: "DE"}}, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprint("l-", i)), Product: "3201", Assignee: user}})
	}
	apply(t, crowd, now, license.Found{Cluster: "site-7", Level: license.Level}, license.Link{Up: true, Contact: now}, page, license.HoldBack{Losing: license.Sizes{Users: 80, Licenses: 80, Assignments: 80}})
	s = crowd
	want("a list that shrinks", of(now, well), "mirror-shrunk : Since 2026-11-02 08:00 UTC more than half of the cloud's list is missing; it is held back.")
}

// The room for names in the audit trail is told of when four fifths are taken, and no name is.
func TestRoomForNamesInTheAuditTrail(t *testing.T) {
	now := license.TimeOf(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
	s := license.NewState()
	apply(t, s, now, license.Found{Cluster: "site-7", Level: license.Level})
	of := func() (list []Condition) {
		for _, c := range Of(s, now, Health{}, phrase.English) {
			if c.Kind == AuditNames {
				list = append(list, c)
			}
		}
		return list
	}
	for i := license.VeilCount(s); i < license.VeilsLeftFew-1; i++ {
		if err := s.Put(&license.Veil{Name: fmt.Sprint("u-", i), Kind: license.VeilUser, Text: fmt.Sprint("user ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := of(); len(got) > 0 {
		t.Errorf("with one name less: %+v", got)
	}
	apply(t, s, now, license.NoteAct{What: "history-opened", By: "ida"})
	if got := of(); len(got) != 1 || got[0].Detail != "It knows 200000 names and reasons, of 250000 at most." {
		t.Errorf("got %+v with %d names", got, license.VeilCount(s))
	}
}

// Keys of an issuer that nodes hold back are one alert for the issuer, until they are taken.
func TestKeysThatAreHeldBack(t *testing.T) {
	now := license.TimeOf(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
	s := license.NewState()
	const one, two = "https://sign-in.site.test", "https://other.site.test"
	apply(t, s, now, license.Found{Cluster: "site-7", Level: license.Level},
		license.NoteKeys{Issuer: one, Node: "gw1", Taken: []license.Digest{{1}}, Held: []license.Digest{{7}}},
		license.NoteKeys{Issuer: one, Node: "gw2", Taken: []license.Digest{{1}}, Held: []license.Digest{{7}}},
		license.NoteKeys{Issuer: one, Node: "gw3", Taken: []license.Digest{{1}}},
		license.NoteKeys{Issuer: two, Node: "gw2", Taken: []license.Digest{{2}}, Held: []license.Digest{{8}}})
	of := func() (list []Condition) {
		for _, c := range Of(s, now, Health{}, phrase.English) {
			if c.Kind == KeysHeld {
				list = append(list, c)
			}
		}
		return list
	}
	want := []Condition{{KeysHeld, two, "1 node holds back the keys that " + two + " lists now, none of which the site knows."},
		{KeysHeld, one, "2 nodes hold back the keys that " + one + " lists now, none of which the site knows."}}
	if got := of(); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	apply(t, s, now, license.NoteKeys{Issuer: one, Node: "gw1", Taken: []license.Digest{{7}}}, license.NoteKeys{Issuer: one, Node: "gw2", Taken: []license.Digest{{7}}})
	if got := of(); !slices.Equal(got, want[:1]) {
		t.Errorf("when one is taken: got %+v, want %+v", got, want[:1])
	}
}

// Usage that waits while the vendor takes some is no alert; that it takes none for hours is.
func TestUsageThatTheVendorDoesNotTake(t *testing.T) {
	now := license.TimeOf(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
	s := license.NewState()
	machine := license.Machine{ID: "m-1", Name: "WS-1"}
	apply(t, s, now, license.Found{Cluster: "site-7", Level: license.Level}, license.Link{Up: true, Contact: now},
		license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{{User: &license.User{ID: "u-1", Country: "DE"}}, {Product: &license.Product{ID: "3201", Capped: license.CappedNo}},
			{License: &license.License{ID: "l-1", Product: "3201", Assignee: "u-1"}}}})
	idle := &idleUsage{}
	look := func(at license.Time) bool {
		for _, c := range Of(s, at, Health{Stuck: idle.look(s, at)}, phrase.English) {
			if c.Kind == UsageWaits {
				return true
			}
		}
		return false
	}
	if look(now.Add(10 * time.Hour)) {
		t.Error("there is no usage, and an alert of it")
	}
	begun := now.Add(10 * time.Hour)
	apply(t, s, begun, license.Start{ID: license.ID{1}, User: "u-1", Product: "3201", Machine: machine, Agreed: true},
		license.Stop{ID: license.ID{1}, User: "u-1", Machine: machine})
	if s.UsageWaiting() == 0 {
		t.Fatal("no usage waits")
	}
	look(begun)
	if look(begun.Add(outboxLongest - time.Minute)) {
		t.Error("told too early")
	}
	if !look(begun.Add(outboxLongest)) {
		t.Error("not told")
	}
	apply(t, s, begun, license.UsageSent{Through: s.Head().Seq, Records: 1})
	if look(begun.Add(5 * time.Hour)) {
		t.Error("told when the vendor has taken it")
	}
}

// There is something to say of every kind, and nothing that more than a kind is said of.
func TestWordsOfAlerts(t *testing.T) {
	for _, k := range Kinds() {
		w := english.kinds[k]
		if w.title == "" || w.next == "" || strings.ContainsAny(w.title+w.next, "\r\n") {
			t.Errorf("%s: %+v", k, w)
		}
		a := license.Alert{Kind: string(k), Subject: "gw1", Detail: "so", Since: 1000}
		began, over := message(a, false, "site-7", 1, "", phrase.English), message(a, true, "site-7", 1, "", phrase.English)
		if began.Key == over.Key || over.thread != began.Key || began.Key != message(a, false, "site-7", 1, "other", phrase.English).Key || began.Key == message(a, false, "site-7", 2, "", phrase.English).Key {
			t.Errorf("%s: the keys are %s and %s", k, began.Key, over.Key)
		}
	}
	if m := message(license.Alert{Kind: "of-a-newer-version"}, false, "", 0, "", phrase.English); m.Title != "Alert of-a-newer-version" {
		t.Errorf("a kind that is not known: %q", m.Title)
	}
}

// Every language has words for every kind and every sentence, about the same facts in the same order.
func TestEveryLanguageHasEveryWord(t *testing.T) {
	facts := regexp.MustCompile("%.")
	for _, lang := range phrase.Langs() {
		b := bookOf(lang)
		for k := range english.kinds {
			if w := b.kinds[k]; w.title == "" || w.next == "" {
				t.Errorf("%v: no words for %s", lang, k)
			}
		}
		for name, want := range english.says {
			if got := b.says[name]; got == "" || !slices.Equal(facts.FindAllString(got, -1), facts.FindAllString(want, -1)) {
				t.Errorf("%v %s: %q, want the like of %q", lang, name, got, want)
			}
		}
		if len(b.says) != len(english.says) || len(b.kinds) != len(english.kinds) {
			t.Errorf("%v has %d sentences and %d kinds, want %d and %d", lang, len(b.says), len(b.kinds), len(english.says), len(english.kinds))
		}
	}
	for name, facts := range map[string][]any{"disk-low": {"gw1", 90}, "disk-warn": {"gw1", 90, 2000}, "clock": {"gw1", "08:00"}, "certificate": {"api", "gw1", "2026-12-01"}, "backup": {"gw1"}} {
		for _, lang := range phrase.Langs() {
			if got := Detail(lang, name, facts...); !strings.Contains(got, "gw1") || strings.Contains(got, "%!") {
				t.Errorf("%v %s: got %q", lang, name, got)
			}
		}
	}
	for k := range critical {
		if _, known := english.kinds[k]; !known {
			t.Errorf("%s is critical, and there are no words for it", k)
		}
	}
}

// A mail is in the language that is set, from its subject to its last line; its key does not depend on it.
func TestAMailIsInItsLanguage(t *testing.T) {
	a := license.Alert{Kind: string(Unassigned), Since: 1_000, Over: 2_000, Detail: bookOf(phrase.German).say("unassigned", 1)}
	m := message(a, false, "site-7", 1, "https://gw1.site.test", phrase.German)
	if m.heading() != "[sitegate] Lizenzen sind niemandem zugewiesen" {
		t.Errorf("got the subject %q", m.heading())
	}
	for _, want := range []string{"1 Lizenz ist niemandem zugewiesen.", "Was zu tun ist: Weisen Sie", "Seit: 1970-", "Standort: site-7", "Ansehen: https://gw1.site.test/console"} {
		if !strings.Contains(m.body(), want) {
			t.Errorf("no %q in\n%s", want, m.body())
		}
	}
	if over := message(a, true, "site-7", 1, "", phrase.French); over.heading() != "[sitegate] Terminé : Des licences ne sont attribuées à personne" || !strings.Contains(over.body(), "Terminé : 1970-") {
		t.Errorf("got %q\n%s", over.heading(), over.body())
	}
	if m.Key != message(a, false, "site-7", 1, "", phrase.English).Key {
		t.Error("the key depends on the language")
	}
	if urgent := message(license.Alert{Kind: string(Disk), Subject: "gw1"}, false, "", 0, "", phrase.German); urgent.heading() != "[sitegate] KRITISCH: Der Datenträger eines Knotens wird voll (gw1)" {
		t.Errorf("got %q", urgent.heading())
	}
	if try := Trial("gw1", "", phrase.French, time.Unix(0, 0)); try.Title != "Ceci est un essai des alertes de sitegate" || !strings.Contains(try.Detail, "gw1") {
		t.Errorf("got %+v", try)
	}
}
