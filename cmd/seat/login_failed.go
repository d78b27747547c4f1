package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"sitegate/client/signin"
)

// failed is what a sign-in that failed ends seat with: what happened, and what
// can be done.
func (i issuerOptions) failed(err error) error {
	e := &exitError{status: exitUnavailable, err: err, next: []string{"Check --issuer; IT knows the address of the sign-in."}}
	refused, byProxy := errors.AsType[*signin.ProxyError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, network := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return &exitError{status: exitInterrupted}
	case errors.Is(err, signin.ErrTooLate):
		e.status, e.next = exitDenied, []string{"Start again: seat login"}
	case errors.Is(err, signin.ErrNoDeviceFlow):
		e.status, e.next = exitFailed, []string{"Sign in without a browser: --email ADDRESS --password-file FILE", "Ask IT whether the sign-in can offer it to desktops."}
	case errors.Is(err, signin.ErrRefused) && i.email == "":
		e.status, e.next = exitDenied, []string{"If you did not deny it yourself, ask IT."}
	case errors.Is(err, signin.ErrRefused):
		e.status = exitDenied
		e.next = []string{"Check --email, and that the password is the first line of --password-file.",
			"If you cannot sign in with a browser either, ask IT."}
	case byProxy:
		e.next = doorSays(refused)
	case untrusted:
		e.next = []string{"If the certificate is by an authority of your site, name that one's file, which IT has: --issuer-ca FILE.",
			"Check --issuer: the certificate is for the name that stands there."}
	case network && i.proxy != "":
		e.next = []string{"Check --proxy: the gateway's CONNECT door is http://HOST:PORT, and IT knows its address.",
			"Ask IT whether the gateway is running and has a CONNECT door."}
	case network:
		e.next = []string{"If this computer has no way out of its own, go through the gateway's CONNECT door, whose address IT knows: --proxy http://HOST:PORT.",
			"Check --issuer; IT knows the address of the sign-in."}
	}
	return e
}

// doorSays is what can be done where a proxy does not connect.
func doorSays(e *signin.ProxyError) []string {
	switch {
	case e.Reason == "host_not_allowed":
		return []string{fmt.Sprintf("Ask IT to allow %s at the gateway's CONNECT door (connect.allow).", e.Target), "Check --issuer."}
	case e.Reason == "private_address":
		return []string{fmt.Sprintf("Ask IT to let %s be reached inside the site at the gateway's CONNECT door (connect.private).", e.Target), "Check --issuer."}
	case e.Reason == "use-relay":
		return []string{fmt.Sprintf("%s is for licenses and not for signing in. Check --issuer.", e.Target)}
	case e.Reason == "client_not_allowed":
		return []string{"Ask IT to let this computer's network in at the gateway's CONNECT door (connect.from)."}
	case e.Reason == "too_many_tunnels" || e.Reason == "closing":
		return []string{"Try again in a while."}
	case e.Reason != "":
		return []string{fmt.Sprintf("Ask IT why the gateway does not reach %s; its log tells which hop failed.", e.Target)}
	case e.Status == http.StatusProxyAuthRequired:
		return []string{"This proxy wants a password, which seat has none for. Give the gateway's CONNECT door instead, whose address IT knows: --proxy http://HOST:PORT."}
	}
	return []string{fmt.Sprintf("Check that --proxy is the gateway's CONNECT door, or ask whose proxy it is to allow %s.", e.Target)}
}
