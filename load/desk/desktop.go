package desk

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"sitegate/api"
)

// User is somebody who is signed in.
type User struct {
	Token   string // access token
	Product string // of a license of theirs
}

// Machine is the computer that a desktop says it is.
type Machine struct{ ID, Name string }

// Refusal is an answer other than success.
type Refusal struct {
	Status int
	Code   string // of the problem document; empty: there was none
}

// Error is the status and the code.
func (r *Refusal) Error() string { return fmt.Sprintf("answered %d %s", r.Status, r.Code) }

// refusal reads an answer that is no success. Of a problem document it looks for the
// code only: reading all of it would cost as much as a quarter of the answer.
func refusal(status int, answer []byte) error {
	_, after, _ := bytes.Cut(answer, []byte(`"code":"`))
	code, _, _ := bytes.Cut(after, []byte(`"`))
	return &Refusal{Status: status, Code: string(code)}
}

// Is reports whether err is a refusal of that code.
func Is(err error, code string) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Code == code
}

// NewID makes a session's id.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Start starts a session under an id.
func (c *Conn) Start(u User, m Machine, id string) error {
	body := fmt.Appendf(nil, `{"id":%q,"product":%q,"machine":{"id":%q,"name":%q},"fences":true}`, id, u.Product, m.ID, m.Name)
	status, answer, err := c.Do(http.MethodPost, api.PathSessions, u.Token, body)
	if err == nil && status != http.StatusCreated && status != http.StatusOK {
		err = refusal(status, answer)
	}
	return err
}

// Stop ends a session.
func (c *Conn) Stop(u User, m Machine, id string) error {
	status, answer, err := c.Do(http.MethodDelete, api.PathSessions+"/"+id+"?machine="+m.ID+"&name="+m.Name, u.Token, nil)
	if err == nil && status != http.StatusNoContent {
		err = refusal(status, answer)
	}
	return err
}

// Has asks whether the node's state has a session.
func (c *Conn) Has(u User, id string) (bool, error) {
	status, answer, err := c.Do(http.MethodGet, api.PathSessions+"/"+id, u.Token, nil)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusOK:
		return true, nil
	}
	if err = refusal(status, answer); Is(err, CodeUnknownSession) {
		return false, nil
	}
	return false, err
}

// The codes of refusals that callers look for.
const (
	CodeUnknownSession = "unknown-session"
	CodeMachineActive  = "machine-active"
)

// Beat sends a heartbeat by HTTP.
func (c *Conn) Beat(u User, m Machine, id string) error {
	body := fmt.Appendf(nil, `{"machine":{"id":%q,"name":%q}}`, m.ID, m.Name)
	status, answer, err := c.Do(http.MethodPost, api.PathSessions+"/"+id+"/heartbeat", u.Token, body)
	if err == nil && status != http.StatusOK {
		err = refusal(status, answer)
	}
	return err
}
