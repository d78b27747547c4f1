package client

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"

	"sitegate/api"
)

// Reason is the stable name of a refusal or a failure, to be found with
// errors.Is. The constants are those that programs branch on; any other code of
// the gateway works the same: errors.Is(err, client.Reason("license-ended")).
type Reason string

// Error is the reason's name.
func (r Reason) Error() string { return "sitegate: " + string(r) }

// What the gateway's rules refuse.
const (
	ErrActiveElsewhere Reason = "machine-active"     // another machine is active
	ErrReserved        Reason = "reserved"           // free, but kept for a machine that waited
	ErrNotAssigned     Reason = "not-assigned"       // no license of the product is assigned
	ErrLicenseEnded    Reason = "license-ended"      // its term is over
	ErrCloudNeeded     Reason = "cloud-needed"       // the link is down and the site may not decide alone
	ErrRestored        Reason = "restored"           // the site was restored and does not know yet what is in use
	ErrCheckoutTooLong Reason = "checkout-too-long"  // beyond the license's term or the maximum
	ErrCheckoutOff     Reason = "checkout-off"       // no new checkouts in the user's country
	ErrUnknownUser     Reason = "unknown-user"       // not in the site's account
	ErrUserBlocked     Reason = "user-blocked"       // blocked in the account
	ErrMachineClone    Reason = "machine-clone"      // the machine goes by another key, and is in use
	ErrKeyNeeded       Reason = "machine-key-needed" // the machine goes by a key, which was not shown
	ErrTooManyKeys     Reason = "too-many-keys"      // the user has shown the keys of too many machines
	ErrSignInNeeded    Reason = "sign-in-needed"     // the machine's key alone starts nothing new any more
	ErrUnknownProduct  Reason = "unknown-product"    // not in the site's account
	ErrUnknownSession  Reason = "unknown-session"    // not running any more
	ErrUnknownCheckout Reason = "unknown-checkout"   // not open any more
	ErrAlreadyEnded    Reason = "already-ended"      // it was, and is over
)

// What else goes wrong.
const (
	ErrNoQuorum     Reason = api.CodeNoQuorum     // most nodes cannot be reached
	ErrUnknown      Reason = api.CodeUnknown      // it is not known whether it was done
	ErrNotReady     Reason = api.CodeNotReady     // the site has not read its licenses yet
	ErrDiverged     Reason = api.CodeDiverged     // the gateway's nodes do not agree, and nothing new is granted
	ErrDiskLow      Reason = api.CodeDiskLow      // the gateway's disk is nearly full, and nothing new is granted
	ErrCloud        Reason = api.CodeCloud        // the vendor's cloud does not answer
	ErrUnauthorized Reason = api.CodeUnauthorized // no token, or one that does not hold
	ErrSignIn       Reason = codeSignIn           // the access token cannot be renewed now
	ErrKeyUnusable  Reason = codeKeyUnusable      // the machine's key could not sign
	ErrTooMany      Reason = api.CodeTooMany      // asked too often
	ErrUnreachable  Reason = "unreachable"        // no node answers
	ErrLeaseLost    Reason = "lease-lost"         // no heartbeat was acknowledged in time
	ErrWaitEnded    Reason = "wait-ended"         // another machine waits instead
	ErrReplaced     Reason = api.CodeReplaced     // this instance has connected again elsewhere
	ErrClosed       Reason = "closed"             // the client was closed
)

// Error is a problem as the gateway told it, or one the client found itself and
// shaped alike: Detail is a sentence for the person at the desktop, Next what
// they can do.
type Error struct {
	api.Problem
	Node   string      // base URL of the node that answered
	Ending *api.Ending // why a session lost its right, where the gateway said so
	Cause  error       // what lies behind, if anything
}

// Error is the sentence; the cause follows where the client found the problem.
func (e *Error) Error() string {
	s := e.Detail
	if s == "" {
		s = e.Title
	}
	if s == "" {
		s = e.Code
	}
	if e.Cause != nil {
		s += " (" + e.Cause.Error() + ")"
	}
	return s
}

// Is reports whether target is this problem's Reason.
func (e *Error) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && string(r) == e.Code
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// notDenials are codes that say nothing about the user's right.
var notDenials = []string{
	api.CodeNoQuorum, api.CodeUnknown, api.CodeNotReady, api.CodeDiskLow, api.CodeDiverged, api.CodeCloud, api.CodeUnauthorized, api.CodeForbidden, api.CodeNotFound,
	api.CodeMethod, api.CodeTooLarge, api.CodeMediaType, api.CodeMalformed, api.CodeTooMany, api.CodeInternal,
	string(ErrUnreachable), string(ErrReplaced), string(ErrClosed), codeSignIn, codeKeyUnusable, codeUnexpected, "",
}

// Denied reports whether the rules refused: asking again changes nothing until
// something else has changed.
func (e *Error) Denied() bool { return !slices.Contains(notDenials, e.Code) }

// Denied reports whether err is a refusal by the rules.
func Denied(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Denied()
}

// retry reports whether another node, or the same a little later, may answer
// better. Denials are never asked again.
func (e *Error) retry() bool {
	switch e.Code {
	case api.CodeNoQuorum, api.CodeUnknown, api.CodeNotReady, api.CodeTooMany, string(ErrUnreachable):
		return true
	}
	return false
}

// unreachable is what the client says where no node's answer can be had.
func (w lang) unreachable(node string, cause error) *Error {
	e := &Error{Node: node, Cause: cause, Problem: api.Problem{
		Type: api.ProblemBase + string(ErrUnreachable), Code: string(ErrUnreachable), Status: http.StatusServiceUnavailable,
		Title:  w.say("No license gateway answers"),
		Detail: w.say("The license gateway of this site cannot be reached."),
		Next:   []string{w.say("Check that this computer is on the site's network."), w.say("Ask IT whether the license gateway is running.")},
	}}
	if certificate(e) {
		w.distrusted(e)
	}
	return e
}

// distrusted says what is wrong with the certificate of a node that was reached,
// and whose fault that may be.
func (w lang) distrusted(e *Error) {
	e.Title = w.say("The license gateway is not trusted")
	ca := w.say("Ask IT for the site's CA file, site-ca.pem, and name it: --ca FILE for seat, Config.CA for a program.")
	if _, ok := errors.AsType[x509.HostnameError](e.Cause); ok {
		e.Detail = w.say("The license gateway's certificate is for another name than the one in its URL.")
		e.Next = []string{w.say("Write the gateway's URL with a name that its certificate is for; IT knows it."), ca}
		return
	}
	if c, ok := errors.AsType[x509.CertificateInvalidError](e.Cause); ok && c.Reason == x509.Expired {
		e.Detail = w.say("The license gateway's certificate is not valid at this computer's time.")
		e.Next = []string{w.say("Check the date and time of this computer."), w.say("Ask IT to renew the gateway's certificate.")}
		return
	}
	e.Detail = w.say("The license gateway's certificate is not by an authority that is known here.")
	e.Next = []string{ca}
}

func (w lang) waitEnded() *Error {
	return &Error{Problem: api.Problem{
		Type: api.ProblemBase + string(ErrWaitEnded), Code: string(ErrWaitEnded), Title: w.say("This machine waits no more"),
		Detail: w.say("This machine does not wait for the license any more: another one of yours does, or the wait was given up."),
		Next:   []string{w.say("Ask again on the machine that is to wait.")},
	}}
}

func (w lang) leaseLost() *Error {
	return &Error{Problem: api.Problem{
		Type: api.ProblemBase + string(ErrLeaseLost), Code: string(ErrLeaseLost), Title: w.say("The license lease has run out"),
		Detail: w.say("The license gateway has not confirmed this session in time; the license may be given to another machine."),
		Next:   []string{w.say("Save your work and start again when the gateway can be reached.")},
	}}
}

// notSignedIn is what the client says where it was given no access token. An issuer
// that cannot be asked has not said that the sign-in is over.
func (w lang) notSignedIn(cause error) *Error {
	_, network := errors.AsType[net.Error](cause)
	if network || errors.Is(cause, context.Canceled) {
		return &Error{Cause: cause, Problem: api.Problem{
			Type: api.ProblemBase + codeSignIn, Code: codeSignIn, Status: http.StatusServiceUnavailable,
			Title: w.say("The sign-in cannot be renewed"), Detail: w.say("Your sign-in is to be renewed, and that cannot be done now."),
			Next: []string{w.say("Check that this computer reaches the sign-in, and try again."), w.say("Ask IT whether the sign-in can be reached from here.")},
		}}
	}
	return &Error{Cause: cause, Problem: api.Problem{
		Type: api.ProblemBase + api.CodeUnauthorized, Code: api.CodeUnauthorized, Status: http.StatusUnauthorized,
		Title: w.say("Not signed in"), Detail: w.say("There is no valid sign-in."), Next: []string{w.say("Sign in again.")},
	}}
}

// keyUnusable is what the client says where the machine's key did not sign, as one of a TPM
// that is busy or was cleared. No other takes its place: the cause says what to do.
func (w lang) keyUnusable(cause error) *Error {
	return &Error{Cause: cause, Problem: api.Problem{
		Type: api.ProblemBase + codeKeyUnusable, Code: codeKeyUnusable, Status: http.StatusServiceUnavailable,
		Title: w.say("This computer's key cannot be used"), Detail: w.say("This computer's key cannot be used, and the license gateway knows the machine by it."),
		Next: []string{w.say("Try again; if it stays so, restart the computer."), w.say("If the key is lost, have IT take it from this machine (sitegate machines forget-key), and delete its file: a new one will be made.")},
	}}
}

const (
	codeUnexpected  = "unexpected"           // an answer that is none of a gateway's
	codeSignIn      = "sign-in-unreachable"  // see notSignedIn
	codeKeyUnusable = "machine-key-unusable" // see keyUnusable
)
