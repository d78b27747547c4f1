package endpoint

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/phrase"
)

// trouble is an error with a code of the API.
type trouble struct {
	code    string
	variant string        // of the code's sentences: "/" and its name, or empty
	detail  string        // appended to the sentence: what exactly, in English
	after   time.Duration // when to try again; zero: the table's
	err     error         // for the log only
}

func (t *trouble) Error() string { return t.code + ": " + t.detail }

// TooMany is an error for Refuse: what was asked for is done for one at a time, and may be asked
// for again after that time. The detail is in English.
func TooMany(detail string, after time.Duration) error {
	return &trouble{code: api.CodeTooMany, detail: detail, after: after}
}

// NotDone is an error for Refuse: what was asked of a node cannot be done. code is one of the
// API's, with "/" and the variant of its sentences where it has one (no-backup/folder). The
// cause is told in English, after them, and the log has it.
func NotDone(code string, cause error) error {
	code, variant, more := strings.Cut(code, "/")
	if more {
		variant = "/" + variant
	}
	return &trouble{code: code, variant: variant, detail: cause.Error(), err: cause}
}

func malformed(detail string) error { return &trouble{code: api.CodeMalformed, detail: detail} }

type methodError struct{ allow []string }

func (methodError) Error() string { return api.CodeMethod }

// denied is a denial on its way out.
type denied struct{ denial license.Denial }

func (d denied) Error() string { return string(d.denial.Reason) }

// decided is an answer of the gateway's, a denial in it an error.
func decided(a gateway.Answer, err error) (gateway.Answer, error) {
	if err == nil && a.Outcome.Denial != nil {
		err = denied{*a.Outcome.Denial}
	}
	return a, err
}

// statuses are the statuses of the reasons and codes; a denial that is not here
// is a 409.
var statuses = map[string]int{
	string(license.NotAssigned):       http.StatusForbidden,
	string(license.NoCountry):         http.StatusForbidden,
	string(license.WrongCountry):      http.StatusForbidden,
	string(license.FeatureLevel):      http.StatusForbidden,
	string(license.UserBlocked):       http.StatusForbidden,
	string(license.UnknownUser):       http.StatusForbidden,
	string(license.NotYours):          http.StatusForbidden,
	string(license.UnknownProduct):    http.StatusNotFound,
	string(license.UnknownSession):    http.StatusNotFound,
	string(license.UnknownCheckout):   http.StatusNotFound,
	string(license.UnknownLicense):    http.StatusNotFound,
	string(license.MachineBlocked):    http.StatusForbidden,
	string(license.UserBlockedHere):   http.StatusForbidden,
	string(license.KeyNeeded):         http.StatusForbidden,
	string(license.SignInNeeded):      http.StatusForbidden,
	string(license.UnknownRequest):    http.StatusNotFound,
	string(license.UnknownCredential): http.StatusNotFound,
	string(license.CloudNeeded):       http.StatusServiceUnavailable,
	string(license.AfterRestore):      http.StatusServiceUnavailable,
	string(license.UsageFull):         http.StatusServiceUnavailable,
	string(license.BadCommand):        http.StatusBadRequest,

	api.CodeNoQuorum:     http.StatusServiceUnavailable,
	api.CodeUnknown:      http.StatusServiceUnavailable,
	api.CodeNotReady:     http.StatusServiceUnavailable,
	api.CodeDiskLow:      http.StatusServiceUnavailable,
	api.CodeDiverged:     http.StatusServiceUnavailable,
	api.CodeCloud:        http.StatusServiceUnavailable,
	api.CodeUnauthorized: http.StatusUnauthorized,
	api.CodeForbidden:    http.StatusForbidden,
	api.CodeNotFound:     http.StatusNotFound,
	api.CodeMethod:       http.StatusMethodNotAllowed,
	api.CodeTooLarge:     http.StatusRequestEntityTooLarge,
	api.CodeMediaType:    http.StatusUnsupportedMediaType,
	api.CodeMalformed:    http.StatusBadRequest,
	api.CodeTooMany:      http.StatusTooManyRequests,
	api.CodeReplaced:     http.StatusConflict,
	api.CodeCluster:      http.StatusConflict,
	api.CodeNoBackup:     http.StatusServiceUnavailable,
	api.CodeUsage:        http.StatusConflict,
	api.CodeSettings:     http.StatusUnprocessableEntity,
	api.CodeChanged:      http.StatusConflict,
	api.CodeInternal:     http.StatusInternalServerError,

	api.CodeNoBackup + "/folder":    http.StatusConflict,
	api.CodeNoBackup + "/under-way": http.StatusConflict,
}

// afters are how long to wait before trying again, for what waiting helps with.
var afters = map[string]time.Duration{
	string(license.CloudNeeded):  30 * time.Second,
	string(license.AfterRestore): time.Minute,
	string(license.UsageFull):    time.Minute,
	api.CodeNoQuorum:             time.Second,
	api.CodeUnknown:              time.Second,
	api.CodeNotReady:             5 * time.Second,
	api.CodeDiskLow:              time.Minute,
	api.CodeDiverged:             time.Minute,
	api.CodeCloud:                30 * time.Second,
	api.CodeTooMany:              time.Second,
}

func statusOf(code string) int {
	if s, ok := statuses[code]; ok {
		return s
	}
	return http.StatusConflict
}

// problem answers with an error: the one table from denials and errors to RFC
// 9457. What it does not know is a plain 500, whose text only the log has.
func (e *Endpoint) problem(c *call, err error) {
	if errors.Is(c.r.Context().Err(), context.Canceled) {
		c.w.reason, c.w.status = "client-gone", 499
		return // nobody reads it
	}
	if to, elsewhere := errors.AsType[redirected](err); elsewhere {
		c.w.reason = "sign-in"
		c.w.Header().Set("Location", to.to)
		c.w.WriteHeader(http.StatusSeeOther)
		return
	}
	p, auth := e.describe(c, err)
	c.w.reason = p.Code
	if m, ok := errors.AsType[methodError](err); ok {
		c.w.Header().Set("Allow", strings.Join(m.allow, ", "))
	}
	if auth != "" {
		c.w.Header().Set("WWW-Authenticate", auth)
		// A machine whose clock is wrong signs its next token by this.
		c.w.Header().Set("Date", e.gw.Now().Std().Format(http.TimeFormat))
	}
	if p.RetryAfterMS > 0 {
		c.w.Header().Set("Retry-After", strconv.FormatInt((p.RetryAfterMS+999)/1000, 10))
	}
	c.w.Header().Set("Content-Language", c.lang.String())
	writeJSON(c.w, api.ProblemType, p.Status, p)
}

// Refuse answers with an error, as the API does. w is what a handler behind Administer was given,
// which has written nothing to it.
func (e *Endpoint) Refuse(w http.ResponseWriter, err error) {
	e.problem(&w.(*recorder).call, err)
}

// describe is the problem of an error, and what WWW-Authenticate says with it.
func (e *Endpoint) describe(c *call, err error) (p api.Problem, auth string) {
	after, variant := time.Duration(0), ""
	no, refused := errors.AsType[*Refusal](err)
	if refused && no.Denial != nil {
		err = denied{*no.Denial}
	}
	if told, ok := errors.AsType[*gateway.CallerError](err); ok && isTokenWord(told.Word) { // by the leader
		err = &authError{told.Word}
	}
	d, isDenied := errors.AsType[denied](err)
	a, isAuth := errors.AsType[*authError](err)
	t, isTrouble := errors.AsType[*trouble](err)
	_, isMethod := errors.AsType[methodError](err)
	switch {
	case isDenied:
		e.metrics.denials.WithLabelValues(string(d.denial.Reason)).Inc()
		p = e.denial(c, d.denial)
	case isAuth:
		e.metrics.refusedTokens.WithLabelValues(a.why).Inc()
		p = text(c, api.CodeUnauthorized, "/"+a.why)
		auth = a.challenge()
	case isTrouble:
		p = text(c, t.code, t.variant)
		if t.detail != "" {
			p.Detail += " (" + t.detail + ")"
		}
		after, variant, c.w.err = t.after, t.variant, t.err
	case isMethod:
		p = text(c, api.CodeMethod, "")
	case errors.Is(err, gateway.ErrSocket):
		p = text(c, api.CodeForbidden, "/socket")
		if leader := e.gw.Cluster().Leader; leader != "" {
			p.Detail += " (leader: " + leader + ")"
		}
	case refused:
		p = text(c, api.CodeCluster, "")
		p.Detail = no.Text // an operator's, and in English like all of theirs
	default:
		p = text(c, codeOf(err), "")
		c.w.err = err
	}
	p.Type, p.Status, p.RequestID = api.ProblemBase+p.Code, cmp.Or(statuses[p.Code+variant], statusOf(p.Code)), c.id
	if after == 0 {
		after = afters[p.Code]
	}
	if after > 0 { // spread out those who were sent away together
		p.RetryAfterMS = (after + rand.N(after/2+1)).Milliseconds()
	}
	return p, auth
}

// codeOf is the code of an error of the gateway.
func codeOf(err error) string {
	switch {
	case errors.Is(err, gateway.ErrNoLeader), errors.Is(err, gateway.ErrNotLeader):
		return api.CodeNoQuorum
	case errors.Is(err, gateway.ErrUnknown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return api.CodeUnknown
	case errors.Is(err, gateway.ErrCloud):
		return api.CodeCloud
	case errors.Is(err, gateway.ErrCaller):
		return api.CodeUnauthorized
	case errors.Is(err, gateway.ErrNotReady):
		return api.CodeNotReady
	case errors.Is(err, gateway.ErrDiskLow):
		return api.CodeDiskLow
	case errors.Is(err, gateway.ErrDiverged):
		return api.CodeDiverged
	}
	return api.CodeInternal
}

func text(c *call, code, variant string) api.Problem {
	title, detail, next := phrase.Trouble(c.lang, code+variant)
	return api.Problem{Code: code, Title: title, Detail: detail, Next: next}
}

// denial words a denial, with the names people know things by.
func (e *Endpoint) denial(c *call, d license.Denial) api.Problem {
	var n phrase.Names
	var contacts []license.Contact
	e.gw.View(func(s *license.State) {
		n.Product = productName(s, d.Product)
		if l := s.License(d.Holding); l != nil {
			n.Holding = productName(s, l.Product)
		}
		if d.Person != "" {
			n.Person = personName(s, d.Person)
		}
		contacts = license.Contacts(s)
	})
	n.Administrators = askable(contacts)
	p := api.Problem{Code: string(d.Reason), Product: string(d.Product), License: string(d.License),
		Since: d.Since.Std(), Until: d.Until.Std(),
		User: string(d.Person), Note: d.Note, Contacts: administrators(contacts)}
	p.Title, p.Detail, p.Next = phrase.Denial(c.lang, d, n, c.client)
	if d.Holding != "" {
		p.By = d.By.String()
	}
	if license.NamesMachine(c.client) {
		p.Machine = phrase.Machine(d.Machine)
	}
	return p
}

// maxAdministrators is how many are named in a sentence; more are of no help.
const maxAdministrators = 3

// askable are whom to ask, as they are shown in a sentence.
func askable(contacts []license.Contact) []string {
	var names []string
	for _, a := range contacts[:min(len(contacts), maxAdministrators)] {
		names = append(names, administrator(a))
	}
	return names
}

func administrator(a license.Contact) string {
	switch {
	case a.Name == "":
		return a.Email
	case a.Email == "":
		return a.Name
	}
	return a.Name + " <" + a.Email + ">"
}

// administrators are contacts as the API shows them.
func administrators(contacts []license.Contact) []api.Administrator {
	out := make([]api.Administrator, 0, len(contacts))
	for _, c := range contacts {
		a := api.Administrator{Name: c.Name, Email: c.Email}
		switch c.Role {
		case license.RoleLicenseAdministrator:
			a.Role = "license-administrator"
		case license.RoleAdministrator:
			a.Role = "administrator"
		case license.RoleCoAdministrator:
			a.Role = "co-administrator"
		}
		out = append(out, a)
	}
	return out
}

// personName is how people call a user: by name, address, or id.
func personName(s *license.State, id license.UserID) string {
	if u := s.User(id); u != nil {
		return cmp.Or(u.Name, u.Email, string(id))
	}
	return string(id)
}

// productName is how people call a product, or its id.
func productName(s *license.State, id license.ProductID) string {
	if p := s.Product(id); p != nil && p.Name != "" {
		return p.Name
	}
	return string(id)
}
