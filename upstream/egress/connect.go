package egress

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxHeader = 16 << 10 // of the proxy's answer
	maxText   = 4 << 10  // of a refusal's body, kept for the error
	maxDrain  = 64 << 10 // of a 407's body, read to use the connection again
	maxLegs   = 3        // requests in one exchange: with what is known, with credentials, and once more after a lost connection
)

// leg is one CONNECT on one connection.
type leg struct {
	c     *net.TCPConn
	limit *io.LimitedReader
	r     *bufio.Reader
	sent  *credential // with the last request; nil: none
}

// connect opens a tunnel to addr.
//
// The first request carries credentials if this proxy is known to want them. A 407 without is answered with credentials, on the
// same connection if the proxy keeps it; a 407 to credentials ends the exchange, because another try would only bring the account
// closer to being locked.
func (d *Dialer) connect(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ConnectTimeout)
	defer cancel()
	var l *leg
	defer func() {
		if l != nil {
			l.c.Close()
		}
	}()
	// Once this exchange has credentials it may have to speak for all others that have not been answered yet: see breaker.
	var cred *credential
	settle := func(v verdict) {
		if cred != nil {
			d.creds.settle(cred, v)
			cred = nil
		}
	}
	defer settle(unsettled)
	if d.creds.wanted() && d.cfg.Proxy.Username != "" {
		var err error
		if cred, err = d.credential(ctx); err != nil {
			return nil, err
		}
	}
	for range maxLegs {
		reused := l != nil
		if l == nil {
			c, err := d.net.DialContext(ctx, "tcp", d.cfg.Proxy.Address)
			if err != nil {
				return nil, d.proxyDialError(ctx, err)
			}
			l = &leg{c: c.(*net.TCPConn)}
			l.limit = &io.LimitedReader{R: l.c}
			l.r = bufio.NewReaderSize(l.limit, 4096)
		}
		resp, err := l.ask(ctx, addr, cred)
		if err != nil {
			if reused && ctx.Err() == nil && l.limit.N == maxHeader { // closed after its 407, without a word
				l.c.Close()
				l = nil
				continue
			}
			return nil, d.answerError(ctx, addr, l, err)
		}
		switch {
		case resp.StatusCode/100 == 2:
			settle(accepted)
			c := l.c
			if n := l.r.Buffered(); n > 0 {
				ahead, _ := l.r.Peek(n)
				l = nil
				return &aheadConn{TCPConn: c, ahead: ahead}, nil
			}
			l = nil
			return c, nil
		case resp.StatusCode != http.StatusProxyAuthRequired:
			return nil, d.denied(addr, resp, l.text(resp))
		case cred != nil:
			settle(rejected)
			return nil, d.rejected(resp)
		}
		offers := parseChallenges(resp.Header.Values("Proxy-Authenticate"))
		if err := d.answerable(offers); err != nil {
			return nil, err
		}
		if cred, err = d.credential(ctx); err != nil {
			return nil, err
		}
		if !l.reusable(resp) {
			l.c.Close()
			l = nil
		}
	}
	return nil, &Error{Code: ProxyBadAnswer, Message: fmt.Sprintf("The proxy %s keeps closing the connection.", d.cfg.Proxy.Address),
		Action: "Ask the proxy team for its log of this server's address."}
}

// credential reads the password and waits for its turn to use it.
func (d *Dialer) credential(ctx context.Context) (*credential, error) {
	p := d.cfg.Proxy
	password, err := ReadSecret(p.PasswordFile)
	if err != nil {
		return nil, &Error{Code: ProxySecretUnusable, Err: err, Message: fmt.Sprintf("The password for the proxy %s cannot be read: %v.", p.Address, err),
			Action: "Put the password into the file, readable by the gateway's user only."}
	}
	c, err := d.creds.acquire(ctx, p.Username+":"+password)
	if locked := (*lockedError)(nil); errors.As(err, &locked) {
		return nil, &Error{Code: ProxyAuthRejected,
			Message: fmt.Sprintf("The proxy %s has rejected user %s twice; this password is not sent before %s, to keep the account from being locked.", p.Address, p.Username, locked.until.UTC().Format(time.RFC3339)),
			Action:  "Correct the password file: a changed password is tried at once."}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &Error{Code: APIUnreachable, Err: err,
			Message: fmt.Sprintf("The proxy %s has not answered in time to the one connection that tries out user %s's password.", p.Address, p.Username),
			Action:  "Ask the proxy team whether its own link is up."}
	}
	return c, err
}

// answerable says whether one of the challenges can be met.
func (d *Dialer) answerable(offers []challenge) error {
	p := d.cfg.Proxy
	var schemes []string
	realm := ""
	for _, o := range offers {
		schemes = append(schemes, o.scheme)
		if !strings.EqualFold(o.scheme, "basic") {
			continue
		}
		realm = o.params["realm"]
		if p.Username != "" && (p.Realm == "" || p.Realm == realm) {
			return nil
		}
	}
	e := &Error{Code: ProxyAuthRequired, Message: fmt.Sprintf("The proxy %s asks for credentials (%s)", p.Address, printable(strings.Join(schemes, ", "), 200))}
	switch {
	case len(offers) == 0:
		e.Message = fmt.Sprintf("The proxy %s asks for credentials without saying which.", p.Address)
		e.Action = "Ask the proxy team which credentials it takes; nothing was sent."
	case p.Username == "":
		e.Message += "; none are configured."
		e.Action = "Ask the proxy team for an account for this server, and configure its user name and password file."
	case realm != "":
		e.Message += fmt.Sprintf(" for the realm %q; those configured are for %q.", printable(realm, 80), p.Realm)
		e.Action = "Check that this is the right proxy, then correct the realm in the configuration."
	default:
		e.Message += "; those configured are for Basic."
		e.Action = "Ask the proxy team to offer Basic to this server, or to let it through by its address."
	}
	return e
}

// ask sends one CONNECT and reads the head of the answer.
func (l *leg) ask(ctx context.Context, addr string, cred *credential) (*http.Response, error) {
	stop := context.AfterFunc(ctx, func() { l.c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sitegate\r\nProxy-Connection: Keep-Alive\r\n", addr, addr)
	if l.sent = cred; cred != nil {
		fmt.Fprintf(&b, "Proxy-Authorization: Basic %s\r\n", cred.encoded())
	}
	b.WriteString("\r\n")
	l.limit.N = maxHeader
	if _, err := io.WriteString(l.c, b.String()); err != nil {
		return nil, err
	}
	for range 5 {
		if first, err := l.r.Peek(1); err != nil {
			return nil, err
		} else if first[0] < 0x20 { // a TLS record, not a status line
			return nil, errTLS
		}
		resp, err := http.ReadResponse(l.r, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			if !stop() {
				return nil, ctx.Err()
			}
			return resp, nil
		}
	}
	return nil, errors.New("it only says that it is working on it")
}

var errTLS = errors.New("it speaks TLS")

// text reads the beginning of a refusal's body, as one printable line. Some proxies
// show the request that they refuse; what was secret in it stays so.
func (l *leg) text(resp *http.Response) string {
	l.c.SetReadDeadline(time.Now().Add(2 * time.Second))
	l.limit.N = maxText
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxText))
	if !utf8.Valid(b) {
		return ""
	}
	said := string(b)
	if l.sent != nil {
		_, password, _ := strings.Cut(l.sent.userpass, ":")
		said = strings.NewReplacer(l.sent.encoded(), "***", password, "***", html.EscapeString(password), "***").Replace(said)
	}
	return printable(said, 500)
}

func (c *credential) encoded() string { return base64.StdEncoding.EncodeToString([]byte(c.userpass)) }

// reusable drains the body of a 407 and says whether the next request may follow on the same connection.
func (l *leg) reusable(resp *http.Response) bool {
	pc := strings.ToLower(resp.Header.Get("Proxy-Connection"))
	if resp.Close && pc != "keep-alive" || pc == "close" {
		return false
	}
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		return false // a body that ends with the connection
	}
	l.c.SetReadDeadline(time.Now().Add(2 * time.Second))
	defer l.c.SetReadDeadline(time.Time{})
	l.limit.N = maxDrain
	_, err := io.Copy(io.Discard, resp.Body)
	return err == nil
}

func (d *Dialer) rejected(resp *http.Response) error {
	p := d.cfg.Proxy
	return &Error{Code: ProxyAuthRejected, Message: fmt.Sprintf("The proxy %s rejected user %s (Basic)%s.", p.Address, p.Username, via(resp)),
		Action: "Check the user name and the password file; after two rejections the same password is not sent for 10 minutes."}
}

// denied tells of an answer that is neither a tunnel nor a question for credentials.
func (d *Dialer) denied(addr string, resp *http.Response, text string) error {
	e := &Error{Code: ProxyDenied, Message: fmt.Sprintf("The proxy %s refused CONNECT %s with %s%s", d.cfg.Proxy.Address, addr, printable(resp.Status, 80), via(resp)),
		Action: fmt.Sprintf("Ask the proxy team to allow CONNECT to %s for this server.", addr)}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Code = APIUnreachable
		e.Message = fmt.Sprintf("The proxy %s cannot reach %s: %s%s", d.cfg.Proxy.Address, addr, printable(resp.Status, 80), via(resp))
		e.Action = "Ask the proxy team whether its own link is up and can resolve the name."
	}
	if text != "" {
		e.Message += fmt.Sprintf(": '%s'", text)
	}
	e.Message += "."
	return e
}

// answerError tells why there was no answer to make sense of.
func (d *Dialer) answerError(ctx context.Context, addr string, l *leg, err error) error {
	at := d.cfg.Proxy.Address
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, errTLS):
		return &Error{Code: ProxyTLSFailed, Err: err, Message: fmt.Sprintf("The proxy %s speaks TLS on this port, not plain HTTP.", at),
			Action: "Configure the port on which it takes plain CONNECT."}
	case ctx.Err() != nil || isTimeout(err):
		return &Error{Code: APIUnreachable, Err: context.DeadlineExceeded, Message: fmt.Sprintf("The proxy %s took CONNECT %s and did not answer in time.", at, addr),
			Action: "Ask the proxy team whether its own link is up."}
	case l.limit.N <= 0:
		return &Error{Code: ProxyBadAnswer, Err: err, Message: fmt.Sprintf("The proxy %s answered with a header of more than %d bytes.", at, maxHeader),
			Action: "Check that this is the proxy's address."}
	}
	return &Error{Code: ProxyBadAnswer, Err: err, Message: fmt.Sprintf("The proxy %s gave no answer that can be understood: %s.", at, printable(err.Error(), 200)),
		Action: "Check that this is the proxy's address, and that it does HTTP CONNECT."}
}

// via is who answered, as far as the answer says.
func via(resp *http.Response) string {
	for _, h := range []string{"Via", "Server"} {
		if v := resp.Header.Get(h); v != "" {
			return fmt.Sprintf(" (%s: %s)", h, printable(v, 80))
		}
	}
	return ""
}

// printable makes one line of at most n characters of what somebody else wrote, without markup.
func printable(s string, n int) string {
	var b strings.Builder
	tag, space := false, false
	for _, r := range s {
		switch {
		case r == '<':
			tag, space = true, true
		case r == '>' && tag:
			tag = false
		case tag:
		case unicode.IsSpace(r), !unicode.IsPrint(r):
			space = true
		default:
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
			if n--; n <= 0 {
				return b.String() + "…"
			}
		}
	}
	return b.String()
}

// aheadConn is a connection of which some bytes have been read already.
type aheadConn struct {
	*net.TCPConn
	ahead []byte
}

// Read gives what was read ahead first.
func (c *aheadConn) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.TCPConn.Read(b)
}

// WriteTo gives what was read ahead first.
func (c *aheadConn) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(c.ahead)
	c.ahead = c.ahead[n:]
	if err != nil {
		return int64(n), err
	}
	rest, err := c.TCPConn.WriteTo(w)
	return int64(n) + rest, err
}
