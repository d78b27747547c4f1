package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sitegate/license"
	"sitegate/phrase"
)

// The states of a message.
const (
	Raised = "raised" // it began
	Over   = "over"   // it lasts no more
	Test   = "test"   // somebody tries a way
)

// Message is what is sent of an alert, once when it begins and once when it is over. Its
// JSON form is what a webhook gets.
type Message struct {
	// Key is the same whenever the same is sent again, and of nothing else.
	Key      string    `json:"key"`
	State    string    `json:"state"` // Raised, Over, Test or Reported
	Kind     Kind      `json:"kind"`
	Subject  string    `json:"subject,omitempty"` // what of the kind: a node, a day
	Severity string    `json:"severity"`          // critical or warning; of a report info
	Title    string    `json:"title"`
	Detail   string    `json:"detail,omitempty"` // as it was when it began
	Next     string    `json:"next,omitempty"`   // what to do
	Since    time.Time `json:"since"`
	Over     time.Time `json:"over,omitzero"`
	Site     string    `json:"site"` // the site's id
	URL      string    `json:"url,omitempty"`
	// Of a report: for people, and as the API has it.
	Text   string          `json:"text,omitempty"`
	Report json.RawMessage `json:"report,omitempty"`
	// Table is a CSV file that a mail has with it, and TableName what it is called.
	Table     []byte      `json:"-"`
	TableName string      `json:"-"`
	lang      phrase.Lang // of the words of a mail around these
	// thread is the Key of the message that said that it began.
	thread string
}

// words are what is said of a kind.
type words struct{ title, next string }

// critical are the kinds that cannot wait.
var critical = map[Kind]bool{LinkDown: true, QuorumAtRisk: true, StateDiverged: true, Disk: true, MirrorShrunk: true, ProxyLockout: true, Bypass: true, KeysHeld: true}

// book is a language: what is said of each kind, and sentences by a name. Of a sentence that
// begins with how many there are, "name.one" is what is said of one.
type book struct {
	kinds map[Kind]words
	says  map[string]string
}

func bookOf(lang phrase.Lang) *book {
	switch lang {
	case phrase.French:
		return &french
	case phrase.German:
		return &german
	default:
		return &english
	}
}

// Detail is a sentence about a condition that a node knows of itself: disk-low (node, free
// MB), disk-warn (node, free MB, MB), clock (node, what it shows), certificate (its name, node,
// until), backup (node).
func Detail(lang phrase.Lang, name string, facts ...any) string {
	return bookOf(lang).say(name, facts...)
}

func (b *book) say(name string, facts ...any) string {
	if len(facts) > 0 && facts[0] == 1 {
		if one, ok := b.says[name+".one"]; ok {
			return fmt.Sprintf(one, facts[1:]...)
		}
	}
	return fmt.Sprintf(b.says[name], facts...)
}

// Kinds are all kinds, in no order.
func Kinds() (list []Kind) {
	for k := range english.kinds {
		list = append(list, k)
	}
	return list
}

// message is what to send of an alert, of one site at one epoch.
func message(a license.Alert, over bool, site string, epoch uint64, url string, lang phrase.Lang) Message {
	b := bookOf(lang)
	w, known := b.kinds[Kind(a.Kind)]
	if !known { // of a newer version than this program
		w.title = b.say("unknown", a.Kind)
	}
	m := Message{State: Raised, Kind: Kind(a.Kind), Subject: a.Subject, Severity: "warning", Title: w.title, Detail: a.Detail, Next: w.next,
		Since: a.Since.Std().UTC(), Site: site, URL: url, lang: lang}
	if critical[Kind(a.Kind)] {
		m.Severity = "critical"
	}
	m.Key = keyOf(site, epoch, a, false)
	m.thread = m.Key
	if over {
		m.State, m.Over, m.Next = Over, a.Over.Std().UTC(), ""
		m.Key = keyOf(site, epoch, a, true)
	}
	return m
}

// keyOf is the key of a message: the same on whichever node.
func keyOf(site string, epoch uint64, a license.Alert, over bool) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q %q %d %t", site, epoch, a.Kind, a.Subject, a.Since, over))
	return hex.EncodeToString(sum[:16])
}

// Trial is for trying a way.
func Trial(node, url string, lang phrase.Lang, now time.Time) Message {
	b := bookOf(lang)
	sum := sha256.Sum256(fmt.Appendf(nil, "test %q %d", node, now.UnixNano()))
	m := Message{Key: hex.EncodeToString(sum[:16]), State: Test, Kind: Test, Severity: "warning", Title: b.say("test"),
		Detail: b.say("test-from", node), Since: now.UTC().Truncate(time.Second), URL: url, lang: lang}
	m.thread = m.Key
	return m
}

// heading is the subject of a mail: one line.
func (m Message) heading() string {
	line := "[sitegate] " + m.Title
	if m.Subject != "" {
		line += " (" + m.Subject + ")"
	}
	switch m.State {
	case Over:
		line = strings.Replace(line, "[sitegate]", "[sitegate] "+bookOf(m.lang).say("head-over"), 1)
	case Raised:
		if m.Severity == "critical" {
			line = strings.Replace(line, "[sitegate]", "[sitegate] "+bookOf(m.lang).say("head-critical"), 1)
		}
	}
	return oneLine(line)
}

// body is the text of a mail.
func (m Message) body() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	row := func(name, value string) { line("%s %s", bookOf(m.lang).say(name), value) }
	if m.State == Reported {
		for text := range strings.Lines(m.Text) {
			line("%s", oneLine(strings.TrimRight(text, "\r\n")))
		}
		if m.URL != "" {
			line("")
			line("%s/console", m.URL)
		}
		return b.String()
	}
	line("%s", oneLine(m.Title))
	if m.Detail != "" {
		line("%s", oneLine(m.Detail))
	}
	line("")
	if m.Next != "" {
		row("next", m.Next)
		line("")
	}
	if m.Subject != "" {
		row("about", oneLine(m.Subject))
	}
	row("since", m.Since.Format("2006-01-02 15:04:05 UTC"))
	if !m.Over.IsZero() {
		row("over", m.Over.Format("2006-01-02 15:04:05 UTC"))
	}
	if m.Site != "" {
		row("site", m.Site)
	}
	if m.URL != "" {
		row("look", m.URL+"/console")
	}
	return b.String()
}

// oneLine is a text without what would break a line of it.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
