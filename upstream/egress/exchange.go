package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// maxLegs bounds the requests of one exchange: one without credentials, three for each scheme, and a few connections that were closed in between.
const maxLegs = 14

// exchange is how one tunnel is asked for.
//
// The first request carries what worked last, or nothing. A 407 is answered with the schemes that the proxy offers and the configuration
// allows, one after the other: the strongest first, those that failed lately last, each but the first on a connection of its own. A scheme that is
// rejected, or breaks before it has shown a secret, makes room for the next. Any 2xx opens the tunnel, at whatever leg.
type exchange struct {
	p       *proxy
	addr    string
	allowed []Scheme
	only    bool // nothing is sent before it is asked for, and nothing is learned from it: for Check

	l      *leg
	at     handshake // under way; nil: none
	scheme Scheme    // of at
	cred   *credential
	tried  []Scheme
	offers []challenge // of the first 407
	head   http.Header // of the last 407
	err    error       // why the strongest of those that were tried did not work
}

// handshake is one scheme's part in an exchange.
type handshake interface {
	// answer is the Proxy-Authorization that follows on what the proxy offers, which is nil where nothing was asked yet. Empty: it has
	// nothing more to say, so the proxy has rejected it.
	answer(ctx context.Context, offers []challenge) (string, error)
	// legs says whether the next answer belongs on the connection of the last one.
	legs() bool
	// close lets go of what it has.
	close()
}

func (x *exchange) run(ctx context.Context) (net.Conn, error) {
	header, err := x.preempt(ctx)
	if err != nil {
		return nil, err
	}
	for range maxLegs {
		if x.l == nil {
			c, err := x.p.open(ctx)
			if err != nil {
				return nil, err
			}
			x.l = newLeg(c)
		}
		resp, err := x.l.ask(ctx, x.addr, header)
		if err != nil {
			if x.l.asked == 1 || ctx.Err() != nil || !x.l.silent() {
				return nil, x.p.answerError(ctx, x.addr, x.l, err)
			}
			x.drop() // closed after its 407, without a word
			if x.at == nil || !x.at.legs() {
				continue
			}
			x.broke(ctx, errors.New("the proxy closes the connection in the middle of it"))
			if header, err = x.next(ctx); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case resp.StatusCode/100 == 2:
			return x.done(), nil
		case resp.StatusCode == http.StatusUnauthorized && x.at != nil: // tinyproxy's word for wrong credentials
		case resp.StatusCode != http.StatusProxyAuthRequired:
			account := ""
			if x.at != nil {
				account = x.p.user(x.scheme)
			}
			return nil, x.p.denied(x.addr, x.p.from(x.l.c.LocalAddr(), account), resp, x.l.text(resp, x.cred))
		}
		if header, err = x.challenged(ctx, resp); err != nil {
			return nil, err
		}
	}
	return nil, &Error{Code: ProxyBadAnswer, Message: fmt.Sprintf("The proxy %s keeps closing the connection.", x.p.Address),
		Action: "Ask the proxy team for its log of this server's address."}
}

// preempt begins with the scheme that worked last.
func (x *exchange) preempt(ctx context.Context) (string, error) {
	x.p.mu.Lock()
	known := x.p.known
	x.p.mu.Unlock()
	if x.only || !slices.Contains(x.allowed, known) {
		return "", nil
	}
	x.begin(known)
	header, err := x.at.answer(ctx, nil)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil || header == "" { // it needs a challenge first, or is broken: see what is offered
		x.end(unsettled)
		return "", nil
	}
	x.tried = append(x.tried, known)
	return header, nil
}

// challenged makes sense of a 407.
func (x *exchange) challenged(ctx context.Context, resp *http.Response) (string, error) {
	if !x.only {
		x.p.asks(true)
	}
	offers := parseChallenges(resp.Header.Values("Proxy-Authenticate"))
	if x.head = resp.Header; x.offers == nil {
		x.offers = offers
	}
	kept := x.l.reusable(resp)
	if !kept {
		x.drop()
	}
	if x.at != nil {
		header, err := x.at.answer(ctx, offers)
		switch {
		case ctx.Err() != nil:
			return "", ended(ctx, err)
		case err != nil:
			x.broke(ctx, err)
		case header == "":
			x.rejected(resp)
		case !kept && x.at.legs():
			x.broke(ctx, errors.New("the proxy closes the connection in the middle of it"))
		default:
			return header, nil
		}
	}
	return x.next(ctx)
}

// next begins with the best scheme that is left.
func (x *exchange) next(ctx context.Context) (string, error) {
	for {
		s, ok := x.choose()
		if !ok {
			if x.err != nil {
				return "", x.err
			}
			return "", x.p.answerable(x.allowed, x.offers)
		}
		if len(x.tried) > 0 {
			x.drop() // each scheme has a connection of its own
		}
		x.tried = append(x.tried, s)
		x.begin(s)
		header, err := x.at.answer(ctx, x.offers)
		if ctx.Err() != nil {
			return "", ended(ctx, err)
		}
		if err == nil && header != "" {
			return header, nil
		}
		if err == nil {
			err = errors.New("the proxy's offer of it makes no sense")
		}
		x.broke(ctx, err)
	}
}

// ended is why an exchange ends with its context: what it was waiting for, if that is known.
func ended(ctx context.Context, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) && !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	return ctx.Err()
}

// choose is the strongest scheme that is offered, allowed and not tried, those that failed lately last.
func (x *exchange) choose() (Scheme, bool) {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	var last Scheme
	for _, s := range x.allowed {
		if slices.Contains(x.tried, s) || !x.offered(s) {
			continue
		}
		if !x.p.broken[s] {
			return s, true
		}
		if last == "" {
			last = s
		}
	}
	return last, last != ""
}

// offered says whether the proxy offers a scheme to this realm.
func (x *exchange) offered(s Scheme) bool {
	return slices.ContainsFunc(x.offers, func(o challenge) bool {
		return strings.EqualFold(o.scheme, string(s)) && (s != Basic && s != Digest || x.p.Realm == "" || x.p.Realm == o.params["realm"])
	})
}

func (x *exchange) begin(s Scheme) {
	x.scheme = s
	switch s {
	case Negotiate:
		x.at = &negotiate{x: x}
	case NTLM:
		x.at = &ntlm{x: x}
	case Digest:
		x.at = &digestAuth{x: x}
	default:
		x.at = &basic{x: x}
	}
}

// secret is the password, which may be sent until the handshake ends.
func (x *exchange) secret(ctx context.Context) (*credential, error) {
	if x.cred == nil {
		c, err := x.p.secret(ctx)
		if err != nil {
			return nil, err
		}
		x.cred = c
	}
	return x.cred, nil
}

// end ends the handshake.
func (x *exchange) end(v verdict) {
	if x.at != nil {
		x.at.close()
		x.at = nil
	}
	if x.cred != nil {
		x.p.settle(x.cred, v)
		x.cred = nil
	}
}

// broke gives up a scheme that is offered and does not work.
func (x *exchange) broke(ctx context.Context, err error) {
	x.end(unsettled)
	if locked := (*lockedError)(nil); errors.As(err, &locked) {
		x.tried = append(x.tried, x.sharing()...) // they are no worse for it, only not to be tried now
	} else if ctx.Err() == nil {
		x.doubt()
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: ProxyAuthRequired, Err: err, Message: fmt.Sprintf("The proxy %s offers %s, which does not work here: %s.", x.p.Address, title(x.scheme), printable(err.Error(), 300)),
			Action: "Ask the proxy team to look at that, or configure another scheme that it offers."}
	}
	x.keep(e)
}

// sharing are the schemes that use the same secret as the one under way.
func (x *exchange) sharing() []Scheme {
	if x.scheme == Negotiate {
		return []Scheme{Negotiate}
	}
	return []Scheme{NTLM, Digest, Basic}
}

// rejected gives up a scheme that the proxy does not accept.
func (x *exchange) rejected(resp *http.Response) {
	user := x.p.user(x.scheme)
	shown := x.cred != nil || x.scheme == Negotiate
	x.end(rejected)
	x.doubt()
	if !shown {
		x.keep(&Error{Code: ProxyAuthRequired, Message: fmt.Sprintf("The proxy %s offers %s and does not go on with it%s.", x.p.Address, title(x.scheme), via(resp)),
			Action: "Ask the proxy team to look at that, or configure another scheme that it offers."})
		return
	}
	e := &Error{Code: ProxyAuthRejected, Message: fmt.Sprintf("The proxy %s rejected user %s (%s)%s.", x.p.Address, user, title(x.scheme), via(resp)),
		Action: "Check the user name and the password file; after two rejections the same password is not sent for 10 minutes."}
	if x.scheme == Negotiate {
		e.Action = "Ask the proxy team whether this account may use the proxy, and whether the proxy's keytab is up to date."
	}
	x.keep(e)
}

// doubt has other schemes come first the next time.
func (x *exchange) doubt() {
	if !x.only {
		x.p.doubt(x.scheme)
	}
}

// keep remembers what to say if nothing else works: that something was rejected comes before that something is broken.
func (x *exchange) keep(e *Error) {
	old := (*Error)(nil)
	if !errors.As(x.err, &old) || old.Code == ProxyAuthRequired || e.Code == ProxyAuthRejected && old.Code != ProxyAuthRejected {
		x.err = e
	}
}

// done hands the tunnel over.
func (x *exchange) done() net.Conn {
	if x.at != nil && !x.only {
		x.p.remember(x.scheme)
	}
	if x.at == nil && len(x.tried) == 0 && x.head == nil && !x.only {
		x.p.asks(false)
	}
	x.end(accepted)
	c := x.l.tunnel()
	x.l = nil
	return c
}

// drop closes the connection; the next request takes another.
func (x *exchange) drop() {
	if x.l != nil {
		x.l.c.Close()
		x.l = nil
	}
}

func (x *exchange) close() {
	x.end(unsettled)
	x.drop()
}
