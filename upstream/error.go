package upstream

import (
	"errors"
	"fmt"
	"net/http"

	"sitegate/upstream/cloudapi"
)

// Errors of a question that the cloud has not decided.
var (
	// ErrUnreachable: no answer of the cloud's came back. The cause is often an *egress.Error.
	ErrUnreachable = errors.New("the cloud does not answer")
	// ErrGarbage: something answered that is not the cloud, or not to this question.
	ErrGarbage = errors.New("the answer is not the cloud's")
	// ErrBusy: the cloud, or this site's own rate, asks to come back later. It has a method Busy.
	ErrBusy error = busy("the cloud asks to come back later")
	// ErrUnauthorized: the cloud does not take this site's credentials.
	ErrUnauthorized = errors.New("the cloud does not accept this site's id and secret: check them, and the secret's file")
	// ErrStaleFence: a newer leader has spoken for this site; what was asked is not done, and this node no longer leads.
	ErrStaleFence = errors.New("a newer leader of this site has spoken to the cloud")
)

type busy string

func (b busy) Error() string { return string(b) }

// Busy says that nothing is known of whether the cloud answers otherwise.
func (busy) Busy() bool { return true }

// StatusError is the cloud's answer to a request that it takes to be wrong.
type StatusError struct {
	Status int
	Reason string // of cloudapi, where the answer had one
	Detail string
}

// NotOffered reports whether the cloud has no such thing for a site.
func (e *StatusError) NotOffered() bool {
	return e.Status == http.StatusNotFound && e.Reason == cloudapi.ReasonNotOffered
}

// Error tells status, reason and detail.
func (e *StatusError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("the cloud answered with status %d", e.Status)
	}
	return fmt.Sprintf("the cloud answered with status %d, %s: %s", e.Status, e.Reason, e.Detail)
}
