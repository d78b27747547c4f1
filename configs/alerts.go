package configs

import (
	"net/mail"
	"strings"
	"time"
)

// Alerts is by which ways administrators are told what they have to see to.
type Alerts struct {
	// After is for how long something must be so, or not be so any more, before it is said.
	After    time.Duration `key:"after"`
	Language string        `key:"language"` // of what is told: en, fr or de
	Mail     *Mail         `key:"mail"`
	Webhooks []Webhook     `key:"webhooks"`
}

// Mail is alerts by e-mail.
type Mail struct {
	Server string `key:"server"` // host:port
	// TLS is starttls, without which nothing is sent, or implicit, as on port 465.
	TLS          string   `key:"tls"`
	Username     string   `key:"username"` // empty: the server wants none
	PasswordFile string   `key:"password_file,path"`
	From         string   `key:"from"`
	To           []string `key:"to"`
}

// Webhook is alerts by signed requests to a program of the site's.
type Webhook struct {
	Name       string `key:"name"`
	URL        string `key:"url"`
	SecretFile string `key:"secret_file,path"` // that requests are signed with
}

// The values of Mail.TLS.
const (
	MailStartTLS = "starttls"
	MailImplicit = "implicit"
)

// mailWay is the name of the way by e-mail, which no webhook may have.
const mailWay = "mail"

const (
	maxReceivers = 50
	maxWebhooks  = 8
)

func (a *Alerts) defaults() { a.After, a.Language = time.Minute, "en" }
func (m *Mail) defaults()   { m.TLS = MailStartTLS }

func (a *Alerts) validate(p *Problems) {
	p.duration("alerts.after", a.After, 0, time.Hour)
	p.oneOf("alerts.language", a.Language, "en", "fr", "de")
	if a.Mail == nil && len(a.Webhooks) == 0 {
		p.add("alerts", "says no way; set mail, or webhooks, or take the section out")
	}
	if a.Mail != nil {
		a.Mail.validate(p)
	}
	if len(a.Webhooks) > maxWebhooks {
		p.add("alerts.webhooks", "has %d entries; %d are the most", len(a.Webhooks), maxWebhooks)
	}
	names := map[string]bool{mailWay: true}
	for i, w := range a.Webhooks {
		key := keyf("alerts.webhooks[%d]", i+1)
		p.name(key+".name", w.Name)
		if names[strings.ToLower(w.Name)] {
			p.add(key+".name", "%s is the name of another way, too; what was sent is noted by it, so give it one of its own", w.Name)
		}
		names[strings.ToLower(w.Name)] = true
		p.url(key+".url", w.URL, true)
		if w.SecretFile == "" {
			p.add(key+".secret_file", "is missing; put a secret that its receiver knows, too, into a file that only this service can read, and name it: requests are signed with it")
		}
	}
}

func (m *Mail) validate(p *Problems) {
	p.address("alerts.mail.server", m.Server, reach)
	p.oneOf("alerts.mail.tls", m.TLS, MailStartTLS, MailImplicit)
	p.together("alerts.mail.username", m.Username, "alerts.mail.password_file", m.PasswordFile)
	p.mailbox("alerts.mail.from", m.From)
	if len(m.To) == 0 {
		p.add("alerts.mail.to", "is missing; list who is told, best a shared mailbox")
	}
	if len(m.To) > maxReceivers {
		p.add("alerts.mail.to", "has %d entries; %d are the most: use a list of the mail server's", len(m.To), maxReceivers)
	}
	for i, to := range m.To {
		p.mailbox(keyf("alerts.mail.to[%d]", i+1), to)
	}
}

// mailbox checks an address: alerts@example.com, or Alerts <alerts@example.com>.
func (p *Problems) mailbox(key, s string) {
	if s == "" {
		p.add(key, "is missing; it is of the form alerts@example.com")
		return
	}
	a, err := mail.ParseAddress(s)
	if err != nil || !strings.Contains(a.Address, "@") || strings.ContainsAny(a.Address, " \"<>\r\n") {
		p.add(key, "%.100q is no address of the form alerts@example.com", s)
	}
}
