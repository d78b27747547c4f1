package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sitegate/license"
)

// request is one request on its way between nodes; exactly one command is set. It
// travels as JSON between nodes that may be a version apart: fields are only
// ever added.
type request struct {
	ID string `json:"id,omitempty"` // of the client's request, for the leader's log

	Start    *license.Start    `json:"start,omitempty"`
	Stop     *license.Stop     `json:"stop,omitempty"`
	CheckOut *license.CheckOut `json:"check_out,omitempty"`
	Return   *license.Return   `json:"return,omitempty"`
	WriteOff *license.WriteOff `json:"write_off,omitempty"`
	Wait     *license.Wait     `json:"wait,omitempty"`
	EndWait  *license.EndWait  `json:"end_wait,omitempty"`
	Release  *license.Release  `json:"release,omitempty"`

	Move        *license.Move        `json:"move,omitempty"`
	Block       *license.Block       `json:"block,omitempty"`
	Unblock     *license.Unblock     `json:"unblock,omitempty"`
	ReleaseUser *license.ReleaseUser `json:"release_user,omitempty"`
	SignOut     *license.SignOut     `json:"sign_out,omitempty"`

	Refresh *refresh `json:"refresh,omitempty"`

	AcceptRestore *license.AcceptRestore `json:"accept_restore,omitempty"`

	Request *license.Request `json:"request,omitempty"`
	LetGo   *license.LetGo   `json:"let_go,omitempty"`
	Decline *license.Decline `json:"decline,omitempty"`

	WouldRefuse  *license.WouldRefuse  `json:"would_refuse,omitempty"`
	AcceptShrink *license.AcceptShrink `json:"accept_shrink,omitempty"`
	AcceptTime   *license.AcceptTime   `json:"accept_time,omitempty"`

	ResendUsage  *resendUsage          `json:"resend_usage,omitempty"`
	ExportUsage  *license.ExportUsage  `json:"export_usage,omitempty"`
	ReceiveUsage *license.ReceiveUsage `json:"receive_usage,omitempty"`

	Import *license.Import `json:"import,omitempty"`

	NoteLockout *license.NoteLockout `json:"note_lockout,omitempty"`

	Maintain *license.Maintain `json:"maintain,omitempty"`
}

// reply carries an answer, or the error that the asking node goes on from.
type reply struct {
	Answer *Answer `json:"answer,omitempty"`
	Error  string  `json:"error,omitempty"`
	Text   string  `json:"text,omitempty"`
}

// crossing are the errors that keep their meaning from one node to another.
var crossing = map[string]error{
	"not-leader": ErrNotLeader,
	"no-leader":  ErrNoLeader,
	"unknown":    ErrUnknown,
	"not-ready":  ErrNotReady,
	"disk-low":   ErrDiskLow,
	"diverged":   ErrDiverged,
	"cloud":      ErrCloud,
	"timeout":    context.DeadlineExceeded,
}

type requestKey struct{}

// WithRequest notes the id of a client's request, which the log lines about it
// carry on whichever node they are written.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

func requestOf(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

func (g *Gateway) forward(ctx context.Context, r request) (Answer, error) {
	r.ID = requestOf(ctx)
	body, err := json.Marshal(r)
	if err != nil {
		return Answer{}, fmt.Errorf("packing a request for the leader: %w", err)
	}
	body, err = g.log.Forward(ctx, body)
	if err != nil {
		return Answer{}, err
	}
	var rep reply
	if err := json.Unmarshal(body, &rep); err != nil {
		return Answer{}, fmt.Errorf("reading the leader's answer: %w", err)
	}
	switch {
	case rep.Answer != nil:
		return *rep.Answer, nil
	case crossing[rep.Error] != nil:
		return Answer{}, crossing[rep.Error]
	default:
		return Answer{}, fmt.Errorf("the leader could not decide this: %s", rep.Text)
	}
}

// Serve decides a request that another node has forwarded to this one.
func (g *Gateway) Serve(ctx context.Context, body []byte) ([]byte, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("reading a forwarded request: %w", err)
	}
	answer, err := g.decide(WithRequest(ctx, r.ID), r)
	rep := reply{Answer: &answer}
	if err != nil {
		rep = reply{Error: "error", Text: err.Error()}
		for name, known := range crossing {
			if errors.Is(err, known) {
				rep.Error = name
			}
		}
	}
	return json.Marshal(rep)
}
