package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Code is the stable name of what went wrong on the way out.
type Code string

// Codes.
const (
	ProxyDNSFailed      Code = "proxy_dns_failed"
	ProxyConnectRefused Code = "proxy_connect_refused"
	ProxyConnectTimeout Code = "proxy_connect_timeout"
	ProxyConnectFailed  Code = "proxy_connect_failed"  // neither of the two: no route, cut in the middle
	ProxyTLSFailed      Code = "proxy_tls_failed"      // it speaks TLS, not plain HTTP
	ProxyBadAnswer      Code = "proxy_bad_answer"      // it speaks no HTTP, or too much of it
	ProxyAuthRequired   Code = "proxy_auth_required"   // it asks for credentials that are not configured
	ProxyAuthRejected   Code = "proxy_auth_rejected"   // it does not take those that are
	ProxySecretUnusable Code = "proxy_secret_unusable" // the password file cannot be used
	ProxyDenied         Code = "proxy_denied"          // it does not let this destination through
	APIUnreachable      Code = "api_unreachable"       // the destination does not answer, as far as the proxy or the system can tell
	TLSIntercepted      Code = "tls_intercepted"       // the certificate is of an authority that is not trusted for this host
	TLSNameMismatch     Code = "tls_name_mismatch"
	TLSExpired          Code = "tls_expired"
	TLSFailed           Code = "tls_failed" // any other end of the handshake
)

// Error is what went wrong on the way out.
type Error struct {
	Code    Code
	Message string // what happened
	Action  string // what to do, and who
	Err     error  // the cause, where there is one
}

// Error is Message and Action.
func (e *Error) Error() string {
	if e.Action == "" {
		return e.Message
	}
	return e.Message + " " + e.Action
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// proxyDialError tells why the proxy could not be connected to.
func (d *Dialer) proxyDialError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	addr := d.cfg.Proxy.Address
	e := &Error{Code: ProxyConnectFailed, Err: err, Message: fmt.Sprintf("Cannot open TCP to the proxy %s: %v.", addr, err),
		Action: "Ask the network team to allow this server's address to reach it."}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && !dns.IsTimeout:
		host, _, _ := splitAddr(addr)
		e.Code = ProxyDNSFailed
		e.Message = fmt.Sprintf("The proxy's name %s does not resolve from this server: %s.", host, dns.Err)
		e.Action = "Check the proxy's address in the configuration, and this server's DNS."
	case isTimeout(err):
		e.Code = ProxyConnectTimeout
		e.Message = fmt.Sprintf("Cannot open TCP to the proxy %s: no answer.", addr)
		e.Action = "Ask the firewall team to allow this server's address to reach it."
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Code = ProxyConnectRefused
		e.Message = fmt.Sprintf("Cannot open TCP to the proxy %s: connection refused.", addr)
		e.Action = "Check the proxy's address and port, and that it runs."
	}
	return e
}

// directError tells why a destination could not be connected to without a proxy.
func directError(ctx context.Context, addr string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &Error{Code: APIUnreachable, Err: err, Message: fmt.Sprintf("Cannot open TCP to %s: %v.", addr, err),
		Action: "Check this server's network, or configure the site's proxy."}
}

// tlsError tells why a handshake with addr failed.
func tlsError(addr string, err error) error {
	e := &Error{Code: TLSFailed, Err: err, Message: fmt.Sprintf("The TLS handshake with %s failed: %v.", addr, err),
		Action: "Ask the proxy or firewall team whether something between here and there answers in its place."}
	var (
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	issuer := "an unnamed authority"
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		if s := verify.UnverifiedCertificates[0].Issuer.String(); s != "" {
			issuer = s
		}
	}
	switch {
	case errors.As(err, &name):
		e.Code = TLSNameMismatch
		e.Message = fmt.Sprintf("The certificate that answered for %s, issued by '%.200s', is for another name.", addr, issuer)
		e.Action = "Check the address in the configuration, and whether something between here and there answers in its place."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Code = TLSExpired
		e.Message = fmt.Sprintf("The certificate of %s, issued by '%.200s', has expired or is not valid yet by this server's clock.", addr, issuer)
		e.Action = "Check this server's clock first; then tell whoever runs the authority."
	case errors.As(err, &unknown):
		e.Code = TLSIntercepted
		e.Message = fmt.Sprintf("The certificate of %s was issued by '%.200s', which is not trusted here: the connection is probably inspected on its way.", addr, issuer)
		e.Action = "Add that authority's root certificate as an extra CA for this host, or ask the proxy team not to inspect this destination."
	case isTimeout(err), errors.Is(err, context.DeadlineExceeded):
		e.Message = fmt.Sprintf("The TLS handshake with %s got no answer.", addr)
	}
	return e
}
