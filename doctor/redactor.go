package doctor

// Redactor takes out of what may be sent away whatever a configuration knows to be secret or
// personal: the secrets in its files, what follows the host in addresses that are credentials
// themselves (webhooks, PAC files), names of its accounts, e-mail addresses, and paths.
type Redactor struct {
	clean *redactor
	c     Config
}

// NewRedactor reads the secrets that a configuration names, to know them when it sees them.
func NewRedactor(c Config) Redactor { return Redactor{redactorOf(c), c} }

// Text is a text without them.
func (r Redactor) Text(s string) string { return r.clean.text(s) }

// Secrets is a text without secrets, with all else that it has. Whoever puts other words in
// the place of some does this first: a secret is known as a whole only.
func (r Redactor) Secrets(s string) string { return r.clean.withoutSecrets(s) }

// Accounts is a text without secrets, accounts and e-mail addresses, but with its paths, as
// those of the API.
func (r Redactor) Accounts(s string) string {
	return r.clean.withoutAccounts(r.clean.withoutSecrets(s))
}

// Settings are all settings with where they are from, one in a line. What names an account or
// a place on this machine only says that it is set.
func (r Redactor) Settings() []byte { return r.clean.settings(r.c) }

// Status is what may be known of the node's status, to be written as JSON; nil: there is none.
func (r Redactor) Status() any {
	if r.c.Status == nil {
		return nil
	}
	return r.clean.status(*r.c.Status)
}

// Report is a report that may be sent away.
func (r Redactor) Report(of Report) Report { return r.clean.report(of) }
