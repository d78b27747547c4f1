package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sitegate/license"
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
	Table     []byte `json:"-"`
	TableName string `json:"-"`
	// thread is the Key of the message that said that it began.
	thread string
}

// words are what is said of a kind.
type words struct {
	critical    bool
	title, next string
}

// kinds are all kinds, and what is said of them.
var kinds = map[Kind]words{
	LinkDown:      {true, "No contact with the vendor's cloud for two hours", "Run sitegate doctor on the node that leads: it names the hop that is to blame. Starts are granted only as far as the account's terms allow."},
	UsageWaits:    {false, "Usage waits for the vendor", "See to the link (sitegate status, sitegate doctor). Nothing is lost, but when its room is full nothing new is granted; docs/operator/usage.md says how usage is carried by hand."},
	QuorumAtRisk:  {true, "One more node lost, and nothing is granted any more", "Bring the silent node back (sitegate cluster members names it), or take it out and let another join."},
	StateDiverged: {true, "The nodes do not agree on the site's state", "Nothing new is granted. Keep the logs and the data folders of all nodes, and ask for help before any node is taken out."},
	Disk:          {true, "A node's disk is filling up", "Make room in the file system of its data folder: docs/operator/disk.md."},
	Certificate:   {false, "A certificate ends soon", "Renew it: docs/operator/tls.md. Certificates by the site CA renew themselves; that one is this near means that they could not."},
	LicenseEnds:   {false, "Licenses end", "Have them renewed at the vendor, or tell their users in time. sitegate's console lists them under Licenses."},
	CheckoutEnds:  {false, "Checkouts end", "Their users are told, too. Who needs one for longer returns it and checks out anew."},
	MirrorShrunk:  {true, "More than half of the licenses are missing in the cloud's list", "Nothing is taken away until somebody has looked: sitegate mirror, and docs/operator/mirror.md."},
	ProxyLockout:  {true, "A proxy rejects the gateway's password", "It is not sent for a while, so that its account is not locked. Correct the password file; no restart is needed."},
	ClockOff:      {false, "A node's clock is far from the site's time", "Nothing ends early or late by it. See to the machine's time service; if the clock is right, sitegate time accept."},
	Unassigned:    {false, "Licenses are assigned to nobody", "Assign them at the vendor; sitegate's console lists them under Licenses."},
	Bypass:        {true, "Nothing that is relayed to the vendor is withheld", "Somebody has begun a bypass, for fifteen minutes: sitegate audit list says who and why. sitegate bypass stop --note WHY ends it."},
	KeysHeld:      {true, "An issuer of sign-ins lists keys that the site does not know", "They are not believed until somebody accepts them: compare them with the issuer's by another way, sitegate trust show, and docs/operator/sign-in.md. Sign-ins by the keys of before hold for a week."},
	AuditNames:    {false, "The audit trail has room for few more names", "Whoever comes once it is full is nameless in it. Export it (sitegate audit export): what is older than audit.retention is dropped then, with its names; keep it for a shorter time, or erase names (docs/operator/audit.md)."},
	BackupOverdue: {false, "The last good backup is too old", "sitegate status says why the last one failed; see to the folder that backup.folder names."},
}

// Kinds are all kinds, in no order.
func Kinds() (list []Kind) {
	for k := range kinds {
		list = append(list, k)
	}
	return list
}

// message is what to send of an alert, of one site at one epoch.
func message(a license.Alert, over bool, site string, epoch uint64, url string) Message {
	w, known := kinds[Kind(a.Kind)]
	if !known { // of a newer version than this program
		w.title = "Alert " + a.Kind
	}
	m := Message{State: Raised, Kind: Kind(a.Kind), Subject: a.Subject, Severity: "warning", Title: w.title, Detail: a.Detail, Next: w.next,
		Since: a.Since.Std().UTC(), Site: site, URL: url}
	if w.critical {
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
func Trial(node, url string, now time.Time) Message {
	sum := sha256.Sum256(fmt.Appendf(nil, "test %q %d", node, now.UnixNano()))
	m := Message{Key: hex.EncodeToString(sum[:16]), State: Test, Kind: Test, Severity: "warning", Title: "This is a test of sitegate's alerts",
		Detail: "Sent from " + node + " by sitegate alert test.", Since: now.UTC().Truncate(time.Second), URL: url}
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
		line = strings.Replace(line, "[sitegate]", "[sitegate] Over:", 1)
	case Raised:
		if m.Severity == "critical" {
			line = strings.Replace(line, "[sitegate]", "[sitegate] CRITICAL:", 1)
		}
	}
	return oneLine(line)
}

// body is the text of a mail.
func (m Message) body() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
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
		line("What to do: %s", m.Next)
		line("")
	}
	if m.Subject != "" {
		line("About: %s", oneLine(m.Subject))
	}
	line("Since: %s", m.Since.Format("2006-01-02 15:04:05 UTC"))
	if !m.Over.IsZero() {
		line("Over:  %s", m.Over.Format("2006-01-02 15:04:05 UTC"))
	}
	if m.Site != "" {
		line("Site:  %s", m.Site)
	}
	if m.URL != "" {
		line("Look:  %s/console", m.URL)
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
