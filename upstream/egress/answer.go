package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

// user is who one is to this proxy, by a scheme.
func (p *proxy) user(s Scheme) string {
	switch {
	case s == Negotiate && p.Kerberos != nil && p.Kerberos.Principal != "":
		return p.Kerberos.Principal
	case s == Negotiate && p.Kerberos != nil:
		return "of the credential cache"
	}
	return p.Username
}

// dialError tells why the proxy could not be connected to.
func (p *proxy) dialError(ctx context.Context, r *reached, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	addr := p.Address
	e := &Error{Code: ProxyConnectFailed, Err: err, Message: fmt.Sprintf("Cannot open TCP to the proxy %s: %v.", addr, err)}
	switch why, noName := Unresolved(err); {
	case noName:
		e.Code = ProxyDNSFailed
		e.Message = fmt.Sprintf("The proxy's name %s does not resolve from this server: %s.", p.host, why)
		e.Action = "Check the proxy's address in the configuration, and this server's DNS."
	case isTimeout(err):
		e.Code = ProxyConnectTimeout
		e.Message = fmt.Sprintf("Cannot open TCP to the proxy %s%s: no answer after %s.", addr, r.at(addr), seconds(r.took))
		e.Action = "Ask the firewall team to allow " + r.opening(addr) + "."
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Code = ProxyConnectRefused
		e.Message = fmt.Sprintf("Cannot open TCP to the proxy %s%s: connection refused.", addr, r.at(addr))
		e.Action = "Check the proxy's address and port, and that it runs."
	default:
		e.Action = "Ask the network team for a way for " + r.opening(addr) + "."
	}
	return e
}

// tlsError tells why there is no TLS with the proxy itself.
func (p *proxy) tlsError(err error) error {
	e := &Error{Code: ProxyTLSFailed, Err: err, Message: fmt.Sprintf("TLS with the proxy %s failed: %v.", p.Address, err),
		Action: "Check with the proxy team that this port takes CONNECT within TLS, and which certificates it shows and asks for."}
	var (
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		e.Message = fmt.Sprintf("The proxy %s hangs up when it is asked for TLS: it may be plain HTTP, or want a certificate of this server.", p.Address)
		e.Action = "Set the proxy's kind to http, or its cert_file and key_file; the proxy team knows which."
	case errors.As(err, &record):
		e.Message = fmt.Sprintf("The proxy %s speaks no TLS on this port; it is probably plain HTTP.", p.Address)
		e.Action = "Set the proxy's kind to http, or configure the port on which it takes TLS."
	case errors.As(err, &unknown):
		e.Message = fmt.Sprintf("The proxy %s shows a certificate issued by '%.200s', which is not trusted here.", p.Address, issuerOf(err))
		e.Action = "Add the root certificate of that authority as the proxy's ca_file; the proxy team has it."
	case errors.As(err, &name):
		e.Message = fmt.Sprintf("The proxy %s shows a certificate for another name.", p.Address)
		e.Action = "Configure the proxy by the name in its certificate, or set its server_name to that."
	}
	return e
}

// answerable says why none of the challenges could be met.
func (p *proxy) answerable(allowed []Scheme, offers []challenge) error {
	var schemes []string
	realm := ""
	for _, o := range offers {
		schemes = append(schemes, o.scheme)
		if slices.Contains(allowed, Scheme(strings.ToLower(o.scheme))) && o.params["realm"] != "" {
			realm = o.params["realm"]
		}
	}
	e := &Error{Code: ProxyAuthRequired, Message: fmt.Sprintf("The proxy %s asks for credentials (%s)", p.Address, printable(strings.Join(schemes, ", "), 200))}
	switch {
	case len(offers) == 0:
		e.Message = fmt.Sprintf("The proxy %s asks for credentials without saying which.", p.Address)
		e.Action = "Ask the proxy team which credentials it takes; nothing was sent."
	case len(allowed) == 0:
		e.Message += "; none are configured."
		e.Action = "Ask the proxy team for an account for this server, and configure its user name and password file, or Kerberos."
	case realm != "":
		e.Message += fmt.Sprintf(" for the realm %q; those configured are for %q.", printable(realm, 80), p.Realm)
		e.Action = "Check that this is the right proxy, then correct the realm in the configuration."
	default:
		var have []string
		for _, s := range allowed {
			have = append(have, title(s))
		}
		e.Message += fmt.Sprintf("; those configured are for %s.", strings.Join(have, ", "))
		e.Action = "Configure what it offers (auth, and kerberos for Negotiate), or ask the proxy team to offer one of those to this server, or to let it through by its address."
	}
	return e
}

// denied tells of an answer that is neither a tunnel nor a question for credentials, to whom the proxy takes for who.
func (p *proxy) denied(addr, who string, resp *http.Response, text string) error {
	e := &Error{Code: ProxyDenied, Message: fmt.Sprintf("The proxy %s refused CONNECT %s with %s%s", p.Address, addr, printable(resp.Status, 80), via(resp)),
		Action: fmt.Sprintf("Ask the proxy team to allow CONNECT to %s for %s.", p.w.needs(p, addr), who)}
	switch {
	case resp.StatusCode/100 == 3 || resp.StatusCode == http.StatusNetworkAuthenticationRequired:
		e.Code = CaptivePortal
		e.Message = fmt.Sprintf("%s wants somebody to sign in on a page%s before it lets CONNECT %s through: %s%s", p.Address, location(resp), addr, printable(resp.Status, 80), via(resp))
		e.Action = "Ask the proxy team to exempt this server from its sign-in page: it has no person in front of it."
	case resp.StatusCode == http.StatusBadGateway, resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusGatewayTimeout:
		e.Code = APIUnreachable
		e.Message = fmt.Sprintf("The proxy %s cannot reach %s: %s%s", p.Address, addr, printable(resp.Status, 80), via(resp))
		e.Action = "Ask the proxy team whether its own link is up and can resolve the name."
	}
	if text != "" {
		e.Message += fmt.Sprintf(": '%s'", text)
	}
	e.Message += "."
	return e
}

// location is the host that an answer sends to; the rest of the address may hold a token.
func location(resp *http.Response) string {
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || u.Host == "" {
		return ""
	}
	return " at " + printable(u.Host, 100)
}

// alert is what the other end has said over TLS before it ended the connection; empty: it has said nothing.
func alert(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error()
	}
	return ""
}

// answerError tells why there was no answer to make sense of.
func (p *proxy) answerError(ctx context.Context, addr string, l *leg, err error) error {
	at := p.Address
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, errTLS):
		return &Error{Code: ProxyTLSFailed, Err: err, Message: fmt.Sprintf("The proxy %s speaks TLS on this port, not plain HTTP.", at),
			Action: "Set the proxy's kind to https, or configure the port on which it takes plain CONNECT."}
	case alert(err) != "": // with TLS 1.3 the proxy's word about our certificate comes after the handshake
		return &Error{Code: ProxyTLSFailed, Err: err, Message: fmt.Sprintf("The proxy %s ended TLS: %s.", at, printable(alert(err), 100)),
			Action: "If it wants a certificate of ours, configure cert_file and key_file, with one that the proxy team has issued."}
	case ctx.Err() != nil || isTimeout(err):
		return &Error{Code: ProxyNoAnswer, Err: context.DeadlineExceeded, Message: fmt.Sprintf("The proxy %s took CONNECT %s and did not answer in time.", at, addr),
			Action: "Ask the proxy team whether its own link is up."}
	case l != nil && l.limit.N <= 0:
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
