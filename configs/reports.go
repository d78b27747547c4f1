package configs

import "time"

// Reports is what is sent again and again to who reads it, by the ways of Alerts.
type Reports struct {
	Every []string `key:"every"` // day, week, month: of what a report is sent
	// At is how long after the end of its time, midnight GMT, a report is made.
	At       time.Duration `key:"at"`
	Language string        `key:"language"` // en, fr or de
	// Names adds who has never used a license and whose checkouts end.
	Names bool     `key:"names"`
	To    []string `key:"to"` // by mail; none: alerts.mail.to
}

func (r *Reports) defaults() { r.Every, r.At, r.Language = []string{"week"}, 6*time.Hour, "en" }

func (r *Reports) validate(p *Problems, a *Alerts) {
	if a == nil {
		p.add("reports", "has no way to leave by; set the section alerts, with mail or webhooks")
	}
	if len(r.Every) == 0 {
		p.add("reports.every", "is empty; it lists day, week, month, or take the section out")
	}
	seen := map[string]bool{}
	for i, every := range r.Every {
		key := keyf("reports.every[%d]", i+1)
		p.oneOf(key, every, "day", "week", "month")
		if seen[every] {
			p.add(key, "%.20q is there twice", every)
		}
		seen[every] = true
	}
	p.duration("reports.at", r.At, 0, 23*time.Hour)
	p.oneOf("reports.language", r.Language, "en", "fr", "de")
	if len(r.To) > 0 && a != nil && a.Mail == nil {
		p.add("reports.to", "is who gets a mail, and there is no alerts.mail to send it by")
	}
	if len(r.To) > maxReceivers {
		p.add("reports.to", "has %d entries; %d are the most: use a list of the mail server's", len(r.To), maxReceivers)
	}
	for i, to := range r.To {
		p.mailbox(keyf("reports.to[%d]", i+1), to)
	}
}
