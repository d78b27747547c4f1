// Package phrase holds the sentences people read: denials, notices and troubles,
// each with what they can do next, in English, French and German.
//
// Every reason of the rules has a title, a sentence and at least one step in every
// language. Where it is true, for the same license, the sentence about another
// active machine is the vendor's own, to the letter (R7); where another license of
// the user is the reason, it is ours.
//
// The sentences are written by language, en.go, fr.go and de.go with their denials beside
// them, with names for what they speak of. They are put into one message catalog (golang.org/x/text), which knows
// each language's plurals and numbers, and who reads which of the three.
//
// The package leaves to others: which language a request wants is read here, but
// who is told what is decided in license and notice.
package phrase

import (
	"strings"

	"sitegate/license"
)

// Names are the names of what a denial speaks of; empty ones are written around.
type Names struct {
	Product string // asked for
	Holding string // that is active on the other machine
	// Administrators are whom to ask (R23), as they are to be shown.
	Administrators []string
	Person         string // whom an administrator's command is about
}

// Denial is what a refused user reads: a few words, a sentence, and what to do
// next. A client whose version does not show the other machine's name (R7) is not
// given it.
func Denial(lang Lang, d license.Denial, n Names, clientVersion string) (title, detail string, next []string) {
	denials := lang.book().denials
	key := string(d.Reason)
	if d.Reason == license.MachineActive && d.Holding != d.License {
		key += "/other"
	}
	if _, personal := denials[key+"/person"]; personal && d.Person != "" {
		key += "/person"
	}
	if _, ours := denials[key+"/here"]; ours && d.Here {
		key += "/here"
	}
	if d.Reason == license.NotAssigned && d.Email != "" {
		key += "/email"
	}
	t, ok := denials[key]
	if !ok {
		return Trouble(lang, "internal")
	}
	f := facts{product: n.Product, holding: n.Holding, until: d.Until, admins: n.Administrators,
		person: n.Person, by: d.Who, note: d.Note, email: d.Email, node: d.Node, limit: limit(d.Reason)}
	if license.NamesMachine(clientVersion) {
		f.machine = Machine(d.Machine)
	}
	v, id := lang.about(f), "denial/"+key
	steps := key
	if d.Reason == license.MachineActive {
		if steps = key + "/" + d.By.String(); denials[steps].next == nil {
			steps = string(d.Reason) + "/" + d.By.String()
		}
	}
	for i := range denials[steps].next {
		next = append(next, v.say(stepID("denial/"+steps, i)))
	}
	if t.until != "" && d.Until != 0 {
		next = append(next, v.say(id+"#until"))
	}
	detail = v.say(id + "#detail")
	if d.Note != "" {
		detail += v.say("notice/note")
	}
	return v.say(id + "#title"), detail, next
}

// limit is the number of things that a denial says are too many.
func limit(r license.Reason) int {
	switch r {
	case license.TooManyCheckouts:
		return license.MaxCheckouts
	case license.TooManySessions:
		return license.MaxSessions
	case license.TooManyBlocks:
		return license.MaxBars
	case license.TooManyTokens:
		return license.MaxTokens
	case license.TooManyCredentials:
		return license.MaxTokensOfAPI
	case license.TooManyAccounts:
		return license.MaxLocalAccounts
	case license.TooManyNodes:
		return license.MaxNodes
	}
	return 0
}

// Trouble is what somebody reads whose request could not be decided: the texts of
// an API code, or of "code/variant". An unknown code reads as "internal".
func Trouble(lang Lang, code string) (title, detail string, next []string) {
	t, ok := lang.book().troubles[code]
	if !ok {
		code, t = "internal", lang.book().troubles["internal"]
	}
	v, id := lang.about(facts{}), "trouble/"+code
	for i := range t.next {
		next = append(next, v.say(stepID(id, i)))
	}
	return v.say(id + "#title"), v.say(id + "#detail"), next
}

// Told is what a notice speaks of.
type Told struct {
	Kind    string // a kind of notice
	Reason  string // of its ending
	Mine    bool   // it is read on the very machine it is said to
	Site    bool   // it is read by who administers the site, of the user it is about
	Product string
	Machine license.Machine
	By      string
	Note    string
	Until   license.Time
	From    license.Time
	Now     bool   // until is now
	About   string // the user it is about, where that is not the reader
	Counts  license.ReminderCounts
	Node    string
	Proxy   string
	Issuer  string
}

// Notice is the sentence of a notice. An unknown kind has none.
func Notice(lang Lang, t Told) string {
	id := sentence(lang.book().notices, t)
	v := lang.about(facts{product: t.Product, machine: Machine(t.Machine), until: t.Until, from: t.From, by: t.By, note: t.Note, about: t.About, node: t.Node, proxy: t.Proxy, issuer: t.Issuer})
	said := v.say("notice/"+id) + toSeeTo(lang, t.Counts)
	if t.Note != "" {
		said += v.say("notice/note")
	}
	return said
}

// sentence picks the most particular one there is: of the reason before the kind's, and
// of what ends now one that does not say until when, where there is any.
func sentence(notices map[string]string, t Told) string {
	for _, now := range []bool{t.Now, false} {
		for _, key := range []string{t.Kind + "/" + t.Reason, t.Kind} {
			for _, variant := range []struct {
				text string
				fits bool
			}{{"/now/mine", now && t.Mine}, {"/mine", t.Mine}, {"/now/site", now && t.Site}, {"/site", t.Site}, {"/now", now}, {"", true}} {
				if said := notices[key+variant.text]; variant.fits && said != "" && !(now && strings.Contains(said, "{until}")) {
					return key + variant.text
				}
			}
		}
	}
	return ""
}

// toSeeTo lists what there are reminders of.
func toSeeTo(lang Lang, c license.ReminderCounts) string {
	var parts []string
	for _, part := range []struct {
		kind license.ReminderKind
		n    uint32
	}{{license.RemindMissing, c.Missing}, {license.RemindEnding, c.Ending}, {license.RemindUnassigned, c.Unassigned},
		{license.RemindNeverUsed, c.NeverUsed}, {license.RemindPooled, c.PooledDays}} {
		if part.n > 0 {
			parts = append(parts, lang.about(facts{limit: int(part.n)}).say("notice/reminders/"+part.kind.String()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, lang.about(facts{}).say("notice/reminders/and")) + "."
}

// Matter is what an advice to an administrator speaks of.
type Matter struct {
	Product string
	Person  string
	Machine license.Machine
	Until   license.Time
	Since   license.Time
	Days    int
}

// Quoted is what somebody was told, as a sentence about them has it.
func Quoted(lang Lang, told string) string {
	q := lang.book().quote
	return q[0] + told + q[1]
}

// Advice is a sentence for administrators by its key, such as "removal/move" or
// "reminder/unassigned". An unknown key has none.
func Advice(lang Lang, key string, m Matter) string {
	return lang.about(facts{product: m.Product, person: m.Person, machine: Machine(m.Machine), until: m.Until, since: m.Since, limit: m.Days}).say("advice/" + key)
}

// Warning is the sentence of a warning that a start was granted with; email is the
// one the user's licenses are assigned to. An unknown warning has none.
func Warning(lang Lang, w license.Warning, n Names, email string) string {
	return lang.about(facts{product: n.Product, email: email, admins: n.Administrators}).say("warning/" + string(w))
}

// Row is what IT reads of a row of a bulk checkout that cannot be done: of the user,
// not to them. A reason without a sentence of its own reads as its title.
func Row(lang Lang, reason string, d license.Denial, product string) string {
	b, id := lang.book(), "trouble/internal#title"
	if _, ok := b.rows[reason+"/here"]; ok && d.Here {
		id = "row/" + reason + "/here"
	} else if _, ok := b.rows[reason]; ok {
		id = "row/" + reason
	} else if _, ok := b.denials[reason]; ok {
		id = "denial/" + reason + "#title"
	} else if _, ok := b.troubles[reason]; ok {
		id = "trouble/" + reason + "#title"
	}
	return lang.about(facts{product: product, machine: Machine(d.Machine), until: d.Until, limit: limit(license.Reason(reason))}).say(id)
}

// Fault is what IT reads of a fault in a file, by its reason, such as "row-date". What is
// wrong is the value; more is what else there is to say of it.
func Fault(lang Lang, reason, value, more string) string {
	id := "row/" + reason
	if lang.book().rows[reason] == "" {
		id = "trouble/internal#title"
	}
	return lang.about(facts{value: value, more: more}).say(id)
}

// Machine is how a machine is called: by its name, or else its id.
func Machine(m license.Machine) string { return or(m.Name, m.ID) }
