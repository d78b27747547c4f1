// Package phrase holds the sentences people read: denials, notices and troubles,
// each with what they can do next, in English, French and German.
//
// Every reason of the rules has a title, a sentence and at least one step in every
// language. Where it is true, for the same license, the sentence about another
// active machine is the vendor's own, to the letter (R7); where another license of
// the user is the reason, it is ours.
//
// The package leaves to others: which language a request wants is read here, but
// who is told what is decided in license and notice.
package phrase

import (
	"strings"

	"sitegate/license"
)

// text is one entry of a catalog. In its strings, {product}, {machine}, {holding},
// {until}, {by}, {note}, {person}, {about}, {email}, {version} and {admins} stand for
// what they say.
type text struct {
	title  string
	detail string
	next   []string
	until  string // one more step, where it is known until when
}

// catalog is a language.
type catalog struct {
	denials  map[string]text // by reason, or "reason/variant"
	troubles map[string]text // by code
	notices  map[string]string
	advice   map[string]string // for administrators, by subject and case
	warnings map[string]string // by code

	theProduct string // a product without a name
	theMachine string // a machine whose name is not told
	someone    string // an administrator without a name
	thePerson  string // a user without a name
	admins     string // the administrators without names
	quote      [2]string
}

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
	c := lang.catalog()
	key := string(d.Reason)
	if d.Reason == license.MachineActive && d.Holding != d.License {
		key += "/other"
	}
	if _, personal := c.denials[key+"/person"]; personal && d.Person != "" {
		key += "/person"
	}
	if d.Reason == license.NotAssigned && d.Email != "" {
		key += "/email"
	}
	t, ok := c.denials[key]
	if !ok {
		t = c.troubles["internal"]
	}
	machine := ""
	if license.NamesMachine(clientVersion) {
		machine = Machine(d.Machine)
	}
	fill := c.filler(n.Product, machine, d.Until,
		"{holding}", or(n.Holding, c.theProduct), "{admins}", or(strings.Join(n.Administrators, ", "), c.admins),
		"{person}", or(n.Person, c.thePerson), "{by}", or(d.Who, c.someone), "{note}", d.Note, "{email}", d.Email)
	steps := t.next
	if d.Reason == license.MachineActive {
		steps = c.denials[key+"/"+d.By.String()].next
		if steps == nil {
			steps = c.denials[string(d.Reason)+"/"+d.By.String()].next
		}
	}
	for _, s := range steps {
		next = append(next, fill.Replace(s))
	}
	if t.until != "" && d.Until != 0 {
		next = append(next, fill.Replace(t.until))
	}
	detail = t.detail
	if d.Note != "" {
		detail += c.notices["note"]
	}
	return fill.Replace(t.title), fill.Replace(detail), next
}

// Trouble is what somebody reads whose request could not be decided: the texts of
// an API code, or of "code/variant". An unknown code reads as "internal".
func Trouble(lang Lang, code string) (title, detail string, next []string) {
	c := lang.catalog()
	t, ok := c.troubles[code]
	if !ok {
		t = c.troubles["internal"]
	}
	return t.title, t.detail, append([]string(nil), t.next...)
}

// Told is what a notice speaks of.
type Told struct {
	Kind    string // a kind of notice
	Reason  string // of its ending
	Mine    bool   // it is read on the very machine it is said to
	Product string
	Machine license.Machine
	By      string
	Note    string
	Until   license.Time
	About   string // the user it is about, where that is not the reader
}

// Notice is the sentence of a notice. An unknown kind has none.
func Notice(lang Lang, t Told) string {
	c := lang.catalog()
	keys := []string{t.Kind}
	if t.Reason != "" {
		keys = append(keys, t.Kind+"/"+t.Reason)
	}
	sentence := ""
	for _, k := range keys { // the most particular one there is
		if s, ok := c.notices[k]; ok {
			sentence = s
		}
		if s, ok := c.notices[k+"/mine"]; ok && t.Mine {
			sentence = s
		}
	}
	if t.Note != "" {
		sentence += c.notices["note"]
	}
	return c.filler(t.Product, Machine(t.Machine), t.Until, "{by}", or(t.By, c.someone), "{note}", t.Note,
		"{about}", or(t.About, c.thePerson)).Replace(sentence)
}

// Matter is what an advice to an administrator speaks of.
type Matter struct {
	Product string
	Person  string
	Machine license.Machine
	Until   license.Time
	Since   license.Time
}

// Advice is a sentence for administrators by its key, such as "removal/move" or
// "reminder/unassigned". An unknown key has none.
func Advice(lang Lang, key string, m Matter) string {
	c := lang.catalog()
	return c.filler(m.Product, Machine(m.Machine), m.Until, "{person}", or(m.Person, c.thePerson), "{since}", clock(m.Since)).Replace(c.advice[key])
}

// Warning is the sentence of a warning that a start was granted with; email is the
// one the user's licenses are assigned to. An unknown warning has none.
func Warning(lang Lang, w license.Warning, n Names, email string) string {
	c := lang.catalog()
	return c.filler(n.Product, "", 0, "{email}", email, "{version}", license.PractitionerFrom,
		"{admins}", or(strings.Join(n.Administrators, ", "), c.admins)).Replace(c.warnings[string(w)])
}

// Machine is how a machine is called: by its name, or else its id.
func Machine(m license.Machine) string { return or(m.Name, m.ID) }

func (c *catalog) filler(product, machine string, until license.Time, more ...string) *strings.Replacer {
	if machine == "" {
		machine = c.theMachine
	} else {
		machine = c.quote[0] + machine + c.quote[1]
	}
	return strings.NewReplacer(append(more, "{product}", or(product, c.theProduct), "{machine}", machine,
		"{until}", clock(until))...)
}

// clock writes a moment so that it reads alike in all languages.
func clock(t license.Time) string {
	layout := "2006-01-02 15:04 UTC"
	if t%60_000 != 0 {
		layout = "2006-01-02 15:04:05 UTC"
	}
	return t.Std().Format(layout)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
