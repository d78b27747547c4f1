package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// relayError is why a request was not relayed, or its answer not passed on.
type relayError struct {
	code   string
	detail string // for the person who looks into it, in English
	err    error  // for the log only
	status int    // of the vendor's answer, where that is why; zero: it gave none, or it does not matter
}

func (e *relayError) Error() string {
	s := "the relay: " + e.code
	if e.detail != "" {
		s += ": " + e.detail
	}
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

func (e *relayError) Unwrap() error { return e.err }

// noAnswer reports whether the vendor was not heard, or had nothing to say.
func (e *relayError) noAnswer() bool {
	switch e.code {
	case relayUnreachable, relayTimeout, relayCutShort, relayBusy, relayBadAnswer:
		return true
	}
	return false
}

// answered reports whether the vendor did answer, if not in a way that is understood: what
// was asked of it may be done.
func answered(why error) bool {
	var e *relayError
	return errors.As(why, &e) && e.code == relayBadAnswer && e.status < 500
}

// The codes of the relay, which are in the header X-Sitegate-Error beside those of the
// API. docs/desktop-protocol.md lists them.
const (
	relayMisdirected = "misdirected"
	relayMediaType   = api.CodeMediaType
	relayTooLarge    = api.CodeTooLarge
	relayTooSlow     = "too-slow"
	relayLoop        = "loop"
	relayBusy        = "busy"

	relayUnreachable = "cloud-unreachable"
	relayTimeout     = "cloud-timeout"
	relayCutShort    = "answer-cut-short"
	relayBadAnswer   = "answer-not-understood"
	relayRedirected  = "redirect-not-allowed"
	relayNotSigned   = "policy-not-verified"
	relayWhoseToken  = "user-not-known"
)

// relayStatus is the status, and the sentence, of one of them.
func relayStatus(code string) (status int, sentence string) {
	switch code {
	case relayMisdirected:
		return http.StatusMisdirectedRequest, "The request is for another host than its connection was made to."
	case relayMediaType:
		return http.StatusUnsupportedMediaType, "The request is not in the form that the vendor's service takes."
	case relayTooLarge:
		return http.StatusRequestEntityTooLarge, "The request is too large."
	case relayTooSlow:
		return http.StatusRequestTimeout, "The request was not sent to its end in time."
	case relayLoop:
		return http.StatusLoopDetected, "The request has come by this gateway before: its own DNS, or its proxy, leads the vendor's name back to it."
	case relayBusy:
		return http.StatusServiceUnavailable, "Too many requests are being relayed. Try again."
	case relayUnreachable:
		return http.StatusBadGateway, "The vendor's service could not be reached."
	case relayTimeout:
		return http.StatusGatewayTimeout, "The vendor's service did not answer in time."
	case relayCutShort:
		return http.StatusBadGateway, "The vendor's answer ended too early."
	case relayBadAnswer:
		return http.StatusBadGateway, "The vendor's answer was not understood."
	case relayRedirected:
		return http.StatusBadGateway, "The vendor's service sends the client to an address that this gateway does not relay."
	case relayNotSigned:
		return http.StatusBadGateway, "The policy was not found to be good: the vendor's signature is not under it, it has ended, or it is for another user or machine."
	case relayWhoseToken:
		return http.StatusForbidden, "It is not known whose token this is: refresh the policy."
	}
	return http.StatusInternalServerError, "Something is wrong in the gateway."
}

// lost is the error of a request to which the vendor gave no answer that can be used.
func lost(err error) error {
	var own *relayError
	var no *withheld
	var d denied
	var t *trouble
	switch {
	case errors.As(err, &own), errors.As(err, &no), errors.As(err, &d), errors.As(err, &t), codeOf(err) != api.CodeInternal && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &relayError{code: relayTimeout, err: err}
	}
	return &relayError{code: relayUnreachable, err: err}
}

// withheld is a policy that the vendor allows and this site does not.
type withheld struct {
	denial license.Denial
	// offline: by the policy that is withheld, or the client's last one, it works on
	// without asking.
	offline bool
}

func (w *withheld) Error() string { return "withheld: " + string(w.denial.Reason) }

// refuse answers without a policy. The vendor's client takes every error for "offline",
// and shows nothing of it; the reason is in a header, for those who look, and in the log.
func (rl *relay) refuse(x *exchange, err error) {
	var own *relayError
	var no *withheld
	slow := errors.As(err, &own) && own.code == relayTooSlow // the server has given its reading up
	if errors.Is(x.r.Context().Err(), context.Canceled) && !slow {
		x.w.reason, x.w.status = "client-gone", 499
		return
	}
	x.w.quiet = false // what is refused is told, also where what is relayed is not
	if errors.As(err, &no) {
		x.w.level = slog.LevelWarn
		x.w.more = append(x.w.more, slog.String("withheld", string(no.denial.Product)), slog.String("other", no.denial.Machine.Name),
			slog.Bool("cannot_hold", no.offline))
		rl.e.metrics.withheld.WithLabelValues(string(no.denial.Reason), strconv.FormatBool(no.offline)).Inc()
		err = denied{no.denial}
	}
	code, status, sentence, auth, after := "", 0, "", "", time.Duration(0)
	if errors.As(err, &own) {
		code = own.code
		status, sentence = relayStatus(code)
		x.w.err = err
		if status == http.StatusServiceUnavailable {
			after = time.Second
		}
	} else {
		var p api.Problem
		p, auth = rl.e.describe(x.call, err)
		code, status, after = p.Code, p.Status, time.Duration(p.RetryAfterMS)*time.Millisecond
		sentence = strings.Join(append([]string{p.Detail}, p.Next...), "\n- ")
	}
	x.w.reason = code
	if no == nil {
		rl.e.metrics.refused.WithLabelValues(code).Inc()
	}
	h := x.w.Header()
	for _, name := range []string{"Content-Length", "Content-Type", "Location", "Set-Cookie"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Sitegate-Error", code)
	if auth != "" {
		h.Set("WWW-Authenticate", auth)
	}
	if after > 0 {
		after += rand.N(after/2 + 1)
		h.Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
	}
	x.w.WriteHeader(status)
	x.w.Write([]byte(sentence + "\nThe license gateway's log tells more, under " + x.id + ".\n"))
}
