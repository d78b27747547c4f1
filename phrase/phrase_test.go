package phrase

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

const monday = license.Time(1772442000000) // 2026-03-02 09:00 UTC

func active(by license.HoldKind, holding license.LicenseID) license.Denial {
	return license.Denial{Reason: license.MachineActive, Product: "road", License: "l-1", Holding: holding,
		Machine: license.Machine{ID: "m-101", Name: "WS-101"}, By: by}
}

func TestTheVendorsSentenceIsTheVendorsToTheLetter(t *testing.T) {
	const named = `It seems your Virtuoso license is active on another machine. Please close the application on "WS-101" and try again.`
	const unnamed = `It seems your Virtuoso license is active on another machine. Please close the application on the other machine and try again.`
	tests := []struct {
		name, client string
		denial       license.Denial
		want         string
	}{
		{"a client that shows names", "23.0.1.25", active(license.HoldSession, "l-1"), named},
		{"a client that does not say its version", "", active(license.HoldSession, "l-1"), named},
		{"an older client", "23.0.1.24", active(license.HoldSession, "l-1"), unnamed},
		{"a checkout", "", active(license.HoldCheckout, "l-1"), named},
		{"a machine without a name", "", license.Denial{Reason: license.MachineActive, License: "l-1", Holding: "l-1", Elsewhere: true}, unnamed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got, next := Denial(English, test.denial, Names{Product: "Road Designer"}, test.client)
			if got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			if !license.NamesMachine(test.client) && strings.Contains(strings.Join(next, " "), "WS-101") {
				t.Errorf("the steps name the machine to a client that does not show it: %q", next)
			}
		})
	}
}

func TestAnotherLicenseIsOurSentenceInEveryLanguage(t *testing.T) {
	for _, lang := range Langs() {
		_, got, _ := Denial(lang, active(license.HoldSession, "l-2"), Names{Product: "Road Designer", Holding: "Flow Master"}, "")
		if strings.Contains(got, "Virtuoso") {
			t.Errorf("%v: the vendor's sentence where it is not true: %s", lang, got)
		}
		for _, want := range []string{"WS-101", "Flow Master"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: got %q, want %q in it", lang, got, want)
			}
		}
	}
}

func TestEveryReasonHasASentenceAndAStepInEveryLanguage(t *testing.T) {
	names := Names{Product: "Road Designer", Holding: "Flow Master", Administrators: []string{"Ida Nord <ida@example.org>"}}
	for _, lang := range Langs() {
		_, internal, _ := Trouble(lang, "internal")
		for _, reason := range license.Reasons() {
			for _, by := range []license.HoldKind{license.HoldSession, license.HoldCheckout} {
				for _, holding := range []license.LicenseID{"l-1", "l-2"} {
					d := license.Denial{Reason: reason, Product: "road", License: "l-1", Holding: holding, By: by,
						Machine: license.Machine{Name: "WS-101"}, Until: monday}
					title, detail, next := Denial(lang, d, names, "")
					if title == "" || detail == "" || detail == internal || len(next) == 0 {
						t.Errorf("%v %s: title %q, detail %q, %d steps", lang, reason, title, detail, len(next))
					}
					if all := title + detail + strings.Join(next, ""); strings.ContainsAny(all, "{}") {
						t.Errorf("%v %s: an open placeholder in %q", lang, reason, all)
					}
				}
			}
		}
	}
}

func TestUntilIsToldWhereItIsKnown(t *testing.T) {
	d := active(license.HoldCheckout, "l-1")
	_, _, without := Denial(English, d, Names{}, "")
	d.Until = monday
	_, _, with := Denial(English, d, Names{}, "")
	if len(with) != len(without)+1 || with[len(with)-1] != "It is free on 2026-03-02 09:00 UTC at the latest." {
		t.Errorf("with a time %q, without %q; want one step more, telling it", with, without)
	}
}

func TestAnUnknownReasonStillReads(t *testing.T) {
	title, detail, next := Denial(German, license.Denial{Reason: "of-a-newer-version"}, Names{}, "")
	if title == "" || detail == "" || strings.ContainsAny(title+detail+strings.Join(next, ""), "{}") {
		t.Errorf("got %q, %q, %q", title, detail, next)
	}
}

// The three languages say the same things of the same things: what is missing in one
// would be read as something else, or not at all.
func TestTheLanguagesHaveTheSameMessagesAboutTheSameThings(t *testing.T) {
	english := sentences(t, English)
	for _, lang := range []Lang{French, German} {
		others := sentences(t, lang)
		same(t, lang, "messages", keys(english), keys(others))
		for id, e := range english {
			o := others[id]
			if (e == "") != (o == "") {
				t.Errorf("%v %s: %q, in English %q", lang, id, o, e)
			}
			if spokenOf(e) != spokenOf(o) {
				t.Errorf("%v %s speaks of %s: %q\nin English of %s: %q", lang, id, spokenOf(o), o, spokenOf(e), e)
			}
		}
	}
	for id, e := range english {
		if strings.HasPrefix(id, "trouble/") && e == "" && !strings.HasSuffix(id, "#until") {
			t.Errorf("%s is empty", id)
		}
	}
}

// sentences are those of a language as the catalog holds them; what they speak of must
// have a name there.
func sentences(t *testing.T, lang Lang) map[string]string {
	b := lang.book()
	known := slices.Concat(names, keys(b.counts))
	all := b.sentences()
	for id, s := range all {
		for _, m := range inBraces.FindAllStringSubmatch(s, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%v %s speaks of %s, which has no value: %q", lang, id, m[0], s)
			}
		}
	}
	return all
}

var inBraces = regexp.MustCompile(`\{([^{}]*)\}`)

func spokenOf(sentence string) string {
	found := inBraces.FindAllString(sentence, -1)
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " ")
}

// Whatever has no name, no time and no number still reads as a sentence, and what looks
// like a verb or a placeholder in a name is shown as it is.
func TestNoVerbAndNoPlaceholderIsEverRead(t *testing.T) {
	nasty := `100%s %[9]d %!v {machine} ${checkouts} <b>`
	for _, lang := range Langs() {
		for id := range lang.book().sentences() {
			if got := lang.about(facts{}).say(id); strings.ContainsAny(got, "{}%") || strings.Contains(got, "EXTRA") {
				t.Errorf("%v %s reads %q without anything", lang, id, got)
			}
		}
		got := Notice(lang, Told{Kind: "stopped", Product: nasty, Machine: license.Machine{Name: "WS-101"}, Note: nasty})
		if strings.Count(got, nasty) != 2 || !strings.Contains(got, "WS-101") {
			t.Errorf("%v: got %s, want %s twice in it as it is", lang, got, nasty)
		}
	}
}

func TestNumbersAndPluralsAreThoseOfTheLanguage(t *testing.T) {
	tests := []struct {
		lang   Lang
		reason license.Reason
		limit  int
		want   string
	}{
		{English, license.TooManyCheckouts, 0, "You have 0 checkouts already."},
		{English, license.TooManyCheckouts, 1, "You have one checkout already."},
		{English, license.TooManyBlocks, license.MaxBars, "This site has 10,000 blocks already."},
		{German, license.TooManySessions, 1, "Sie haben schon eine laufende Sitzung."},
		{German, license.TooManySessions, 2, "Sie haben schon 2 laufende Sitzungen."},
		{German, license.TooManyBlocks, license.MaxBars, "Dieser Standort hat schon 10.000 Sperren."},
		{French, license.TooManyCheckouts, 0, "Vous avez déjà 0 emprunt."}, // none is singular in French
		{French, license.TooManyCheckouts, 2, "Vous avez déjà 2 emprunts."},
		{French, license.TooManyBlocks, license.MaxBars, "Ce site a déjà 10\u00a0000 blocages."},
	}
	for _, test := range tests {
		if got := test.lang.about(facts{limit: test.limit}).say("denial/" + string(test.reason) + "#detail"); got != test.want {
			t.Errorf("%v %s of %d:\n got %q\nwant %q", test.lang, test.reason, test.limit, got, test.want)
		}
	}
	if _, got, _ := Denial(English, license.Denial{Reason: license.TooManyBlocks}, Names{}, ""); got != tests[2].want {
		t.Errorf("got %q, want %q: the limit of the rules", got, tests[2].want)
	}
	if got := Row(English, "too-many-checkouts", license.Denial{}, ""); got != "This user has 100 checkouts already." {
		t.Errorf("got %q, want the limit of the rules", got)
	}
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func same(t *testing.T, lang Lang, what string, want, got []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%v %s:\n got %q\nwant %q", lang, what, got, want)
	}
}

// No rule reads a desktop's clock: whoever's token is not taken for its time is not
// sent to look there (R20).
func TestATokensTimeIsTheGatewaysBusiness(t *testing.T) {
	gateway := map[Lang]string{English: "gateway", French: "passerelle", German: "Gateway"}
	for lang, word := range gateway {
		for _, code := range []string{"unauthorized/expired", "unauthorized/early"} {
			if _, _, next := Trouble(lang, code); !strings.Contains(strings.Join(next, " "), word) {
				t.Errorf("%v %s: got steps %q, want one about the %s's clock", lang, code, next, word)
			}
		}
	}
}

func TestNoticeSentences(t *testing.T) {
	ws202 := license.Machine{ID: "m-202", Name: "WS-202"}
	tests := []struct {
		lang Lang
		told Told
		want string
	}{
		{English, Told{Kind: "attempted", Reason: "machine-active", Mine: true, Product: "Road Designer", Machine: ws202},
			`"WS-202" tried Road Designer and was refused, because you are active here.`},
		{English, Told{Kind: "free", Product: "Road Designer", Machine: ws202},
			`Road Designer was closed on "WS-202": your license is free.`},
		{English, Told{Kind: "free", Reason: "expired", Mine: true, Product: "Road Designer", Machine: license.Machine{ID: "m-9"}},
			`"m-9" has not been heard of: your license of Road Designer is free.`},
		{English, Told{Kind: "released", Reason: "released", Mine: true, Product: "Road Designer", By: "Ida", Note: "the server restarts"},
			`Your session of Road Designer was ended by Ida. Save your work and close it. They say: the server restarts`},
		{English, Told{Kind: "yours", Mine: true, Product: "Road Designer", Until: license.TimeOf(time.Date(2026, 3, 2, 9, 0, 30, 0, time.UTC))},
			`Yours now: Road Designer is free and kept for this machine until 2026-03-02 09:00:30 UTC. Start it.`},
		{German, Told{Kind: "checked-out", Product: "Road Designer", Machine: ws202, Until: monday},
			`Road Designer ist auf „WS-202“ bis 2026-03-02 09:00 UTC ausgeliehen.`},
		{French, Told{Kind: "returned", Reason: "over", Product: "Road Designer", Machine: ws202},
			`L’emprunt de Road Designer sur « WS-202 » est terminé.`},
		{English, Told{Kind: "of-a-newer-version"}, ""},
	}
	for _, test := range tests {
		if got := Notice(test.lang, test.told); got != test.want {
			t.Errorf("%v %+v:\n got %s\nwant %s", test.lang, test.told, got, test.want)
		}
	}
}

// What is read of somebody else addresses nobody as them.
func TestWhoAdministersIsNotAddressedAsTheUser(t *testing.T) {
	you := map[Lang]*regexp.Regexp{English: regexp.MustCompile(`(?i)\b(you|yours?)\b`), French: regexp.MustCompile(`(?i)\b(vous|votre|vos)\b`), German: regexp.MustCompile(`\b(Ihre?[nmrs]?|Ihnen|(haben|werden|wurden|sind|Speichern|Starten) Sie)\b`)}
	toThem := []string{"site-license-ends", "user-not-found", "reminders", "mirror-held", "usage-refused", "usage-backlog", "machine-clone", "machine-rekeyed", "proxy-secret-stopped", "issuer-keys-held", "maintenance"}
	for _, lang := range Langs() {
		for key := range lang.book().notices {
			kind, reason, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(key, "/site"), "/mine"), "/now"), "/")
			if slices.Contains(toThem, kind) {
				continue
			}
			for _, now := range []bool{false, true} {
				said := Notice(lang, Told{Kind: kind, Reason: reason, Site: true, Now: now, Product: "Road Designer", About: "Ada", By: "Ida"})
				if found := you[lang].FindString(said); found != "" || said == "" {
					t.Errorf("%v %s (now: %v) says %q: %s", lang, key, now, found, said)
				}
			}
		}
	}
	for want, told := range map[string]Told{
		"A license of Road Designer was assigned to Ada.":                                        {Kind: "assigned", Product: "Road Designer", About: "Ada", Site: true},
		"Ada was blocked at this site by Ida. They say: lost":                                    {Kind: "blocked", By: "Ida", Note: "lost", About: "Ada", Site: true},
		"Ada has lost the license of Road Designer on the other machine: it must be closed now.": {Kind: "ending", Reason: "unassigned", Now: true, Product: "Road Designer", About: "Ada", Site: true},
		"You were blocked at this site by Ida.":                                                  {Kind: "blocked", By: "Ida"},
	} {
		if got := Notice(English, told); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAcceptPicksTheBestLanguage(t *testing.T) {
	tests := map[string]Lang{
		"":                                English,
		"de":                              German,
		"DE-ch, fr;q=0.9":                 German,
		"fr;q=0.2, de;q=0.8, en;q=0.1":    German,
		"it, es;q=0.9":                    English,
		"it, fr;q=0.5, *;q=0.1":           French,
		"de;q=0, fr;q=0.1":                French,
		"de;q=7, fr;q=x":                  English,
		"fr, de":                          French,
		strings.Repeat("xx,", 50) + "de":  English,
		"xx, q1, de;q=0.3":                German,  // what is not known is passed over
		"\x00\xff;;q=, ,*, fr":            French,  // and what is no tag at all
		"lb, fr;q=0.9":                    German,  // Luxembourgers read German
		"br":                              French,  // Bretons French
		"zh-Hant-TW":                      English, // nothing fits
		strings.Repeat("d", 5000) + ",de": German,
	}
	for header, want := range tests {
		if got := Accept(header); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func TestABlockSaysWhoAndWhy(t *testing.T) {
	d := license.Denial{Reason: license.MachineBlocked, Product: "road", Machine: license.Machine{Name: "WS-101"}, Who: "Ida", Note: "a virus"}
	const want = "This machine was blocked at this site by Ida. They say: a virus"
	if _, got, _ := Denial(English, d, Names{}, ""); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What is refused to an administrator is said of the user it is about.
func TestAnAdministratorReadsOfThePerson(t *testing.T) {
	for _, lang := range Langs() {
		for _, reason := range []license.Reason{license.UnknownUser, license.UserBlocked, license.OtherAccount, license.NoCountry, license.MoveLocked, license.UserNotFound} {
			_, got, _ := Denial(lang, license.Denial{Reason: reason, Person: "ben"}, Names{Person: "Ben Ek"}, "")
			if !strings.Contains(got, "Ben Ek") {
				t.Errorf("%v %s: got %q, want Ben Ek in it", lang, reason, got)
			}
		}
	}
}

func TestAdviceNamesWhatItIsAbout(t *testing.T) {
	got := Advice(English, "removal/locked", Matter{Product: "Road Designer", Person: "Ben Ek", Until: monday})
	const want = "The license of Road Designer can be assigned to somebody else from 2026-03-02 09:00 UTC. Do not remove Ben Ek before that."
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, lang := range Langs() {
		for key := range english.advice {
			got := Advice(lang, key, Matter{Until: monday, Since: monday})
			if got == "" || strings.ContainsAny(got, "{}") {
				t.Errorf("%v %s: %q", lang, key, got)
			}
		}
	}
}

func TestEveryWarningHasASentenceThatSaysWhatToDoInEveryLanguage(t *testing.T) {
	names := Names{Product: "Road Designer", Administrators: []string{"Ida Nord <ida@example.org>"}}
	says := map[license.Warning]string{license.PooledMayCost: "Ida Nord", license.OtherEmail: "ada@example.org",
		license.ClientOutdated: "10.00.18", license.TrialMode: "Ida Nord", license.V8iPassed: "V8i"}
	for _, lang := range Langs() {
		seen := map[string]bool{}
		for _, w := range license.Warnings() {
			got := Warning(lang, w, names, "ada@example.org")
			if seen[got] || !strings.Contains(got, "Road Designer") || !strings.Contains(got, says[w]) || strings.ContainsAny(got, "{}") {
				t.Errorf("%v %s: %q; want a sentence of its own with the product and %q in it", lang, w, got, says[w])
			}
			seen[got] = true
		}
		if got := Warning(lang, "of-a-newer-version", names, ""); got != "" {
			t.Errorf("%v: an unknown warning reads %q", lang, got)
		}
	}
}

// R15: who is signed in with another e-mail is told which one it is assigned to.
func TestAnotherEmailIsNamedInEveryLanguage(t *testing.T) {
	d := license.Denial{Reason: license.NotAssigned, Product: "road", License: "l-1", Email: "ada@example.org"}
	for _, lang := range Langs() {
		title, detail, next := Denial(lang, d, Names{Product: "Road Designer"}, "")
		plain, _, _ := Denial(lang, license.Denial{Reason: license.NotAssigned}, Names{}, "")
		if title == plain || !strings.Contains(detail, "ada@example.org") || !strings.Contains(next[0], "ada@example.org") {
			t.Errorf("%v: %q, %q, %q; want the e-mail in the sentence and in the first step", lang, title, detail, next)
		}
		if all := detail + strings.Join(next, ""); strings.ContainsAny(all, "{}") {
			t.Errorf("%v: an open placeholder in %q", lang, all)
		}
	}
}

func TestAReminderOfPooledUseSaysWhatItCosts(t *testing.T) {
	for lang, want := range map[Lang][2]string{
		English: {"on one day of the last 60", "on 12 days of the last 60"},
		French:  {"pendant 1 jour sur les 60 derniers", "pendant 12 jours sur les 60 derniers"},
		German:  {"an einem Tag der letzten 60", "an 12 Tagen der letzten 60"},
	} {
		for i, days := range []int{1, 12} {
			got := Advice(lang, "reminder/"+license.RemindPooled.String(), Matter{Product: "Road Designer", Person: "Ann", Days: days})
			if !strings.Contains(got, want[i]) || !strings.Contains(got, strconv.Itoa(license.UseDays)) {
				t.Errorf("got %q, want %q in it, and the window of the rules, %d days", got, want[i], license.UseDays)
			}
		}
	}
}

func TestAdministratorsReadHowMuchThereIsToSeeTo(t *testing.T) {
	c := license.ReminderCounts{Missing: 1, Unassigned: 3, NeverUsed: 2, Pooled: 1, PooledDays: 12}
	for lang, want := range map[Lang]string{
		English: "To see to in your account: one license of somebody who is gone from it; 3 licenses assigned to nobody; " +
			"2 licenses assigned and never used here; 12 license-days used from the pool in the last 60 days, while a license was free.",
		French: "À voir dans votre compte : 1 licence d’une personne qui n’en fait plus partie ; 3 licences sans attribution ; " +
			"2 licences sans aucune utilisation ici malgré l’attribution ; 12 jours de licence d’utilisation en commun au cours des 60 derniers jours, alors qu’une licence était libre.",
		German: "In Ihrem Konto ist etwas zu tun: eine Lizenz von jemandem, der nicht mehr darin ist; 3 Lizenzen ohne Zuweisung; " +
			"2 Lizenzen mit Zuweisung, aber ohne jede Nutzung hier; 12 Lizenztage aus dem gemeinsamen Bestand in den letzten 60 Tagen, obwohl eine Lizenz frei war.",
	} {
		if got := Notice(lang, Told{Kind: "reminders", Counts: c}); got != want {
			t.Errorf("%v:\n got %s\nwant %s", lang, got, want)
		}
	}
}

// What ends now is not said to end by a time, and why is said all the same; what says no
// time reads as always. What was released or blocked is told as another kind.
func TestWhatEndsNowIsSaidSo(t *testing.T) {
	for _, lang := range Langs() {
		seen := map[string]string{}
		for _, reason := range append(license.Endings(), "") {
			if reason == license.EndReleased || reason == license.EndBlocked {
				continue
			}
			for _, mine := range []bool{true, false} {
				told := Told{Kind: "ending", Reason: reason, Mine: mine, Product: "Road Designer", Machine: license.Machine{Name: "WS-101"}, Until: monday, Now: true}
				got := Notice(lang, told)
				if got == "" || strings.Contains(got, "2026") || !strings.Contains(got, "Road Designer") {
					t.Errorf("%v, %s, mine %t: %q; want it said without a time", lang, reason, mine, got)
				}
				if before, ok := seen[got]; ok {
					t.Errorf("%v, %s, mine %t: %q, as for %s; want a sentence of its own", lang, reason, mine, got, before)
				}
				seen[got] = reason
			}
		}
	}
}
