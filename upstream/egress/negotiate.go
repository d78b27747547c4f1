package egress

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"sitegate/upstream/egress/krb"
)

// tickets makes the tokens of Negotiate. Each begin makes one that was never sent before.
type tickets interface {
	begin(ctx context.Context, spn string, fresh bool) (*conversation, error)
}

// conversation is one exchange of tokens.
type conversation struct {
	token  []byte                       // the first
	cached bool                         // by a ticket that was there: a fresh one may help
	more   func([]byte) ([]byte, error) // what follows on the proxy's token; nil: nothing
	end    func()                       // nil: nothing
}

// ticketTime is how long a ticket may take, so that there is time for another scheme.
const ticketTime = 8 * time.Second

// negotiate shows a Kerberos ticket (RFC 4559).
type negotiate struct {
	x     *exchange
	talk  *conversation
	fresh bool
}

func (n *negotiate) answer(ctx context.Context, offers []challenge) (string, error) {
	token, err := token68Of(offers, Negotiate)
	if err != nil {
		return "", err
	}
	switch {
	case n.talk == nil:
	case token != nil && n.talk.more != nil:
		next, err := n.talk.more(token)
		if err != nil || next == nil {
			return "", err
		}
		return "Negotiate " + base64.StdEncoding.EncodeToString(next), nil
	case n.talk.cached && !n.fresh: // the proxy may have another key by now
		n.fresh = true
		n.close()
	default:
		return "", nil
	}
	tctx, cancel := context.WithTimeout(ctx, ticketTime)
	defer cancel()
	if n.talk, err = n.x.p.tickets.begin(tctx, n.x.p.spn(), n.fresh); err != nil {
		n.talk = nil
		return "", n.x.p.kerberosError(err, n.x.head.Get("Date"))
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(n.talk.token), nil
}

func (n *negotiate) legs() bool { return n.talk != nil && n.talk.more != nil }

func (n *negotiate) close() {
	if n.talk != nil && n.talk.end != nil {
		n.talk.end()
	}
	n.talk = nil
}

// spn is the proxy's name as a service.
func (p *proxy) spn() string {
	return cmp.Or(p.Kerberos.SPN, "HTTP/"+p.host)
}

// kdc stands for the realm's KDC where the breaker names proxies: all of them share what it has rejected.
const kdc = "kdc"

// kerberosTickets gets them from a KDC, or from a credential cache.
type kerberosTickets struct{ c *krb.Client }

func newKerberosTickets(p Proxy, creds *breaker) tickets {
	k := *p.Kerberos
	cfg := krb.Config{Principal: k.Principal, KeytabFile: k.KeytabFile, CacheFile: k.CacheFile, ConfigFile: k.ConfigFile}
	if k.KeytabFile == "" && k.CacheFile == "" {
		cfg.Password = func() (string, error) { return ReadSecret(p.PasswordFile) }
	}
	cfg.Guard = func(ctx context.Context, secret string) (func(krb.Verdict), error) {
		c, err := creds.acquire(ctx, kdc, k.Principal, secret)
		if err != nil {
			return nil, err
		}
		return func(v krb.Verdict) {
			switch v {
			case krb.Accepted:
				creds.settle(c, accepted)
			case krb.Rejected:
				creds.settle(c, rejected)
			default:
				creds.settle(c, unsettled)
			}
		}, nil
	}
	return kerberosTickets{krb.New(cfg)}
}

func (t kerberosTickets) begin(ctx context.Context, spn string, fresh bool) (*conversation, error) {
	token, cached, err := t.c.Token(ctx, spn, fresh)
	if err != nil {
		return nil, err
	}
	return &conversation{token: token, cached: cached}, nil
}

// kerberosError tells why there was no ticket for the proxy. date is the proxy's time, where it has told it.
func (p *proxy) kerberosError(err error, date string) error {
	if locked := (*lockedError)(nil); errors.As(err, &locked) {
		e := p.lockedError(p.Kerberos.Principal, locked).(*Error)
		e.Message = fmt.Sprintf("The KDC has rejected %s twice; this secret is not sent before %s, to keep the account from being locked.", p.Kerberos.Principal, locked.until.UTC().Format("2006-01-02 15:04:05 UTC"))
		return e
	}
	e := &Error{Code: KerberosFailed, Err: err, Message: fmt.Sprintf("No Kerberos ticket for %s: %s.", p.spn(), printable(err.Error(), 300)),
		Action: "Ask whoever runs the directory; what was tried is in the message."}
	var k *krb.Error
	if !errors.As(err, &k) {
		return e
	}
	switch k.Kind {
	case krb.ClockSkew:
		e.Code = KerberosClockSkew
		e.Message = fmt.Sprintf("This server's clock and the KDC's differ by more than Kerberos allows (300 s)%s: no ticket for %s.", differs(date), p.spn())
		e.Action = "Set this server's clock by the site's time service."
	case krb.UnknownService:
		e.Code = KerberosSPN
		e.Message = fmt.Sprintf("The KDC knows no service %s (%s).", p.spn(), printable(k.Err.Error(), 200))
		e.Action = "Ask the proxy team for the proxy's service name, which is for the host name in its DNS record and not for an alias, and set it as kerberos.spn; or ask the directory team to register it."
	case krb.BadSecret:
		e.Code = ProxyAuthRejected
		e.Message = fmt.Sprintf("The KDC rejected %s: %s.", p.Kerberos.Principal, printable(k.Err.Error(), 200))
		e.Action = "Correct the password file, or have a new keytab made; after two rejections the same one is not sent for 10 minutes."
	case krb.Unusable:
		e.Code = ProxySecretUnusable
		e.Message = fmt.Sprintf("The Kerberos files cannot be used: %s.", printable(k.Err.Error(), 300))
		e.Action = "Correct the keytab, the credential cache or krb5.conf; a credential cache must hold a ticket that is still good."
	case krb.Unreachable:
		e.Message = fmt.Sprintf("No KDC of %s answers: %s.", p.Kerberos.Principal, printable(k.Err.Error(), 300))
		e.Action = "Check the realm's KDCs in krb5.conf or DNS, and ask the firewall team to allow this server to reach them (88/tcp)."
	}
	return e
}
