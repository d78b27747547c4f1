package phrase

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"

	"sitegate/license"
)

// book is a language: its sentences, as they are written in en.go, fr.go and de.go. In
// them {product} stands for the product, and so on for every field of facts; a name of
// counts stands for a number of things, in the grammar of the language.
type book struct {
	denials  map[string]text // by reason, or "reason/variant"
	troubles map[string]text // by code
	notices  map[string]string
	advice   map[string]string // for administrators, by subject and case
	warnings map[string]string // by code
	rows     map[string]string // of files that are brought, by reason
	counts   map[string]forms

	theProduct string // a product without a name
	theMachine string // a machine whose name is not told
	someone    string // an administrator without a name
	thePerson  string // a user without a name
	admins     string // the administrators without names
	quote      [2]string
}

// text is what is said of one denial or trouble.
type text struct {
	title  string
	detail string
	next   []string
	until  string // one more step, where it is known until when
}

// forms are the grammatical numbers that the three languages have; which one a number
// takes is the catalog's to know (0 is singular in French only).
type forms struct{ one, other string }

// facts are what a sentence may speak of.
type facts struct {
	product, holding, machine      string
	until, since, from             license.Time
	by, note, person, about, email string
	node, proxy, issuer            string
	admins                         []string
	value, more                    string // of a file
	limit                          int
}

// names are those of the facts in a sentence; limit, the last, is a number.
var names = []string{"product", "holding", "machine", "until", "since", "by", "note", "person", "about", "email", "version", "admins", "node", "from", "proxy", "issuer", "value", "more", "limit"}

const numbers = 18 // from this place in names on

// text is the fact with that place in names, as it is said.
func (f *facts) text(b *book, name int) string {
	switch names[name] {
	case "product":
		return or(f.product, b.theProduct)
	case "holding":
		return or(f.holding, b.theProduct)
	case "machine":
		if f.machine == "" {
			return b.theMachine
		}
		return b.quote[0] + f.machine + b.quote[1]
	case "until":
		return clock(f.until)
	case "since":
		return clock(f.since)
	case "by":
		return or(f.by, b.someone)
	case "note":
		return f.note
	case "person":
		return or(f.person, b.thePerson)
	case "about":
		return or(f.about, b.thePerson)
	case "email":
		return f.email
	case "version":
		return license.PractitionerFrom
	case "admins":
		return or(strings.Join(f.admins, ", "), b.admins)
	case "node":
		return f.node
	case "from":
		return clock(f.from)
	case "proxy":
		return f.proxy
	case "issuer":
		return f.issuer
	case "value":
		return f.value
	case "more":
		return f.more
	}
	return ""
}

// args are all facts, for the catalog.
func (f *facts) args(b *book) []any {
	args := make([]any, len(names))
	for i := range numbers {
		args[i] = f.text(b, i)
	}
	args[numbers] = f.limit
	return args
}

// voice says sentences of one language about the same facts.
type voice struct {
	words
	book  *book
	facts facts
}

func (l Lang) about(f facts) *voice { return &voice{catalogued()[l], l.book(), f} }

// say writes the message of this id; one that does not exist is empty.
func (v *voice) say(id string) string {
	if plain, ok := v.plain[id]; ok {
		return plain.say(&v.facts, v.book)
	}
	if !v.has[id] {
		return ""
	}
	return v.printer.Sprintf(id, v.facts.args(v.book)...)
}

// words are the messages of a language.
type words struct {
	printer *message.Printer
	has     map[string]bool // the catalog itself cannot be asked
	// plain are the messages without numbers, in which there is nothing for the catalog
	// to decide: it would take several times as long as all else that a refusal takes.
	plain map[string]plain
}

// catalogued is the message catalog of all languages. A sentence that it does not take
// is a defect of this package and panics at the first sentence that is said.
var catalogued = sync.OnceValue(func() map[Lang]words {
	b := catalog.NewBuilder(catalog.Fallback(language.English))
	all := map[Lang]words{}
	for _, lang := range Langs() {
		w := words{message.NewPrinter(lang.tag(), message.Catalog(b)), map[string]bool{}, map[string]plain{}}
		counts, verbs := lang.book().compile()
		for id, sentence := range lang.book().sentences() {
			var msg []catalog.Message // the counts come first
			for name, count := range counts {
				if strings.Contains(sentence, "{"+name+"}") {
					msg = append(msg, count)
				}
			}
			if err := b.Set(lang.tag(), id, append(msg, catalog.String(verbs.Replace(sentence)))...); err != nil {
				panic(fmt.Sprintf("phrase: %s %s: %v", lang, id, err))
			}
			w.has[id] = true
			if p, ok := parsePlain(sentence); ok {
				w.plain[id] = p
			}
		}
		all[lang] = w
	}
	return all
})

// compile makes the counts of a language into variables of the catalog, and tells how
// the names in a sentence are written there.
func (b *book) compile() (counts map[string]catalog.Message, verbs *strings.Replacer) {
	pairs := []string{"%", "%%"}
	for i, name := range names {
		verb := "s"
		if name == "limit" {
			verb = "d"
		}
		pairs = append(pairs, "{"+name+"}", fmt.Sprintf("%%[%d]%s", i+1, verb))
	}
	inner := strings.NewReplacer(pairs...)
	counts = map[string]catalog.Message{}
	for name, f := range b.counts {
		counts[name] = catalog.Var(name, plural.Selectf(len(names), "%d",
			plural.One, inner.Replace(f.one), plural.Other, inner.Replace(f.other)))
		pairs = append(pairs, "{"+name+"}", "${"+name+"}")
	}
	return counts, strings.NewReplacer(pairs...)
}

// sentences lists all of a language by their ids.
func (b *book) sentences() map[string]string {
	all := map[string]string{}
	for section, texts := range map[string]map[string]text{"denial": b.denials, "trouble": b.troubles} {
		for key, t := range texts {
			id := section + "/" + key
			all[id+"#title"], all[id+"#detail"], all[id+"#until"] = t.title, t.detail, t.until
			for i, step := range t.next {
				all[stepID(id, i)] = step
			}
		}
	}
	for section, texts := range map[string]map[string]string{"notice": b.notices, "advice": b.advice, "warning": b.warnings, "row": b.rows} {
		for key, sentence := range texts {
			all[section+"/"+key] = sentence
		}
	}
	return all
}

// stepID is the id of a step, counted from 0.
func stepID(id string, i int) string { return id + "#" + strconv.Itoa(i) }

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
