package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

// Code is the stable name of what went wrong on the way out.
type Code string

// Codes.
const (
	ProxyDNSFailed      Code = "proxy_dns_failed"
	ProxyConnectRefused Code = "proxy_connect_refused"
	ProxyConnectTimeout Code = "proxy_connect_timeout"
	ProxyConnectFailed  Code = "proxy_connect_failed"  // neither of the two: no route, cut in the middle
	ProxyTLSFailed      Code = "proxy_tls_failed"      // TLS with the proxy itself: it speaks none, or only that, or its certificate is not trusted
	ProxyBadAnswer      Code = "proxy_bad_answer"      // it speaks another protocol, or too much of it
	ProxyNoAnswer       Code = "proxy_no_answer"       // it took the request and did not answer in time
	ProxyAuthRequired   Code = "proxy_auth_required"   // it asks for credentials that are not configured, or offers what does not work
	ProxyAuthRejected   Code = "proxy_auth_rejected"   // it does not take those that are
	ProxySecretUnusable Code = "proxy_secret_unusable" // the password file, keytab or credential cache cannot be used
	ProxyDenied         Code = "proxy_denied"          // it does not let this destination through
	KerberosClockSkew   Code = "kerberos_clock_skew"
	KerberosSPN         Code = "kerberos_spn"    // the proxy is not known by this name
	KerberosFailed      Code = "kerberos_failed" // anything else that keeps tickets away
	PACFailed           Code = "pac_failed"
	CaptivePortal       Code = "captive_portal"    // something sends to a sign-in page instead of answering
	HostNotAllowed      Code = "host_not_allowed"  // this gateway's own configuration denies it
	PrivateAddress      Code = "private_address"   // a name leads to where desktops are not let through directly
	APIUnreachable      Code = "api_unreachable"   // the destination does not answer, as far as the proxy or the system can tell
	WebsocketBlocked    Code = "websocket_blocked" // HTTPS goes through, and a websocket does not
	TLSIntercepted      Code = "tls_intercepted"   // the certificate is of an authority that is not trusted for this host
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

// unreached says whether err is that the proxy itself cannot be reached.
func unreached(err error) bool {
	return hasCode(err, ProxyDNSFailed, ProxyConnectRefused, ProxyConnectTimeout, ProxyConnectFailed, ProxyTLSFailed)
}

// sick says whether err is the proxy's own fault, whatever it was asked for.
func sick(err error) bool { return unreached(err) || hasCode(err, ProxyBadAnswer, ProxyNoAnswer) }

func hasCode(err error, codes ...Code) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// passes says whether another way out may do better. What a proxy denies by its policy is denied.
func passes(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return errors.Is(err, context.DeadlineExceeded)
	}
	switch e.Code {
	case ProxyDenied, CaptivePortal, HostNotAllowed, PrivateAddress:
		return false
	}
	return true
}

// directError tells why a destination could not be connected to without a proxy.
func directError(ctx context.Context, addr string, r *reached, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var refused *Error
	if errors.As(err, &refused) {
		return refused
	}
	e := &Error{Code: APIUnreachable, Err: err, Message: fmt.Sprintf("Cannot open TCP to %s: %v.", addr, err),
		Action: "Check this server's network, or configure the site's proxy."}
	switch why, noName := Unresolved(err); {
	case noName:
		e.Message = fmt.Sprintf("%s does not resolve from this server: %s.", addr, why)
		e.Action = "Check the address in the configuration and this server's DNS; or configure the site's proxy, which resolves names itself."
	case isTimeout(err):
		e.Message = fmt.Sprintf("Cannot open TCP to %s%s: no answer after %s.", addr, r.at(addr), seconds(r.took))
		e.Action = "Ask the firewall team to allow " + r.opening(addr) + ", or configure the site's proxy."
	}
	return e
}

// seconds is how long something took, for a sentence.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
}

// differs tells how far a date, as in an HTTP header, is from this server's clock; empty: it cannot be told, or is not far.
func differs(date string) string {
	t, err := http.ParseTime(date)
	if err != nil {
		return ""
	}
	d := time.Since(t).Round(time.Second)
	switch {
	case d > time.Minute:
		return fmt.Sprintf("; it is %d s ahead of the proxy's", int(d.Seconds()))
	case d < -time.Minute:
		return fmt.Sprintf("; it is %d s behind the proxy's", int(-d.Seconds()))
	}
	return ""
}
