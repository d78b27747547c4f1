package desktop

import (
	"strings"
)

// What ImportCheckout answers.
const (
	Imported     = 0
	ImportFailed = -1
	WrongMachine = -2 // it is another machine's
)

// ImportCheckout takes a checkout file that somebody has carried here: two lines, the policy's token and the certificate.
func (c *Client) ImportCheckout(file []byte) int {
	token, certificate, ok := strings.Cut(strings.TrimSpace(string(file)), "\n")
	if !ok {
		return ImportFailed
	}
	s := storedPolicy{Token: strings.TrimSpace(token), Certificate: strings.TrimSpace(certificate), Updated: c.now()}
	p, err := openPolicy(s.Token, s.Certificate)
	if err != nil || !p.valid() || !c.now().Before(p.PolicyExpiresOn.Time) {
		return ImportFailed
	}
	if SID(p.RequestData.MachineName) != SID(c.cfg.Machine) {
		return WrongMachine
	}
	s.User = p.UserData.UserID
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Checkouts[p.PolicyID] = s
	if c.kept.save() != nil {
		return ImportFailed
	}
	return Imported
}

// DeleteCheckouts removes the checkouts from this machine. Nobody else hears of it: at the vendor they are still checked out.
func (c *Client) DeleteCheckouts() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.kept.Checkouts)
	return c.kept.save()
}
