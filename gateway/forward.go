package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"sitegate/license"
)

// request is one request on its way between nodes; exactly one command is set. It
// travels as JSON between nodes that may be a version apart: fields are only
// ever added.
type request struct {
	ID string `json:"id,omitempty"` // of the client's request, for the leader's log
	// Proof is what the caller has shown, which the leader verifies; see vouched.
	Proof string `json:"proof,omitempty"`
	// Socket: it came by the operator's socket of the node that passes it on; see act.
	Socket bool `json:"socket,omitempty"`

	Start *license.Start `json:"start,omitempty"`
	// StartRelayed is of the vendor's own client, and agreed to by what the vendor signed.
	StartRelayed *license.Start `json:"start_relayed,omitempty"`

	Stop     *license.Stop     `json:"stop,omitempty"`
	CheckOut *license.CheckOut `json:"check_out,omitempty"`
	Return   *license.Return   `json:"return,omitempty"`
	WriteOff *license.WriteOff `json:"write_off,omitempty"`
	Wait     *license.Wait     `json:"wait,omitempty"`
	EndWait  *license.EndWait  `json:"end_wait,omitempty"`
	Release  *license.Release  `json:"release,omitempty"`

	Move    *license.Move    `json:"move,omitempty"`
	Block   *license.Block   `json:"block,omitempty"`
	Unblock *license.Unblock `json:"unblock,omitempty"`

	GiveCredential     *license.GiveCredential     `json:"give_credential,omitempty"`
	UseCredential      *license.UseCredential      `json:"use_credential,omitempty"`
	EndCredential      *license.EndCredential      `json:"end_credential,omitempty"`
	SetLocalAccount    *license.SetLocalAccount    `json:"set_local_account,omitempty"`
	RemoveLocalAccount *license.RemoveLocalAccount `json:"remove_local_account,omitempty"`
	ReleaseUser        *license.ReleaseUser        `json:"release_user,omitempty"`
	SignOut            *license.SignOut            `json:"sign_out,omitempty"`

	Refresh *refresh `json:"refresh,omitempty"`

	AcceptRestore *license.AcceptRestore `json:"accept_restore,omitempty"`

	Request *license.Request `json:"request,omitempty"`
	LetGo   *license.LetGo   `json:"let_go,omitempty"`
	Decline *license.Decline `json:"decline,omitempty"`

	WouldRefuse  *license.WouldRefuse  `json:"would_refuse,omitempty"`
	Observe      *Observation          `json:"observe,omitempty"`
	Refused      *license.Refused      `json:"refused,omitempty"`
	AcceptShrink *license.AcceptShrink `json:"accept_shrink,omitempty"`
	AcceptTime   *license.AcceptTime   `json:"accept_time,omitempty"`

	ResendUsage  *resendUsage          `json:"resend_usage,omitempty"`
	ExportUsage  *license.ExportUsage  `json:"export_usage,omitempty"`
	ReceiveUsage *license.ReceiveUsage `json:"receive_usage,omitempty"`

	Import *license.Import `json:"import,omitempty"`

	Report      *license.Report      `json:"report,omitempty"`
	Product     license.ProductID    `json:"product,omitempty"` // of Report, without a session
	KeepPosting *license.KeepPosting `json:"keep_posting,omitempty"`
	// ImportCheckout was made by the vendor, and is agreed to by its signature.
	ImportCheckout *license.CheckOut `json:"import_checkout,omitempty"`

	NoteLockout *license.NoteLockout `json:"note_lockout,omitempty"`
	NoteAlert   *license.NoteAlert   `json:"note_alert,omitempty"`

	NoteKeys   *license.NoteKeys   `json:"note_keys,omitempty"`
	AcceptKeys *license.AcceptKeys `json:"accept_keys,omitempty"`

	Maintain *license.Maintain `json:"maintain,omitempty"`
	LetPass  *license.LetPass  `json:"let_pass,omitempty"`

	Learn       *license.Learn       `json:"learn,omitempty"`
	NoteRevoked *license.NoteRevoked `json:"note_revoked,omitempty"`

	BindKey   *license.BindKey   `json:"bind_key,omitempty"`
	SeeKey    *license.SeeKey    `json:"see_key,omitempty"`
	ForgetKey *license.ForgetKey `json:"forget_key,omitempty"`

	NoteAct     *license.NoteAct     `json:"note_act,omitempty"`
	EraseNames  *license.EraseNames  `json:"erase_names,omitempty"`
	ExportAudit *license.ExportAudit `json:"export_audit,omitempty"`
}

// reply carries an answer, or the error that the asking node goes on from.
type reply struct {
	Answer *Answer `json:"answer,omitempty"`
	Error  string  `json:"error,omitempty"`
	Text   string  `json:"text,omitempty"`
	Word   string  `json:"word,omitempty"` // of a CallerError
}

// crossing are the errors that keep their meaning from one node to another; of several that
// an error is, the first counts.
var crossing = []struct {
	name string
	err  error
}{
	{"unknown", ErrUnknown},
	{"not-leader", ErrNotLeader},
	{"no-leader", ErrNoLeader},
	{"not-ready", ErrNotReady},
	{"disk-low", ErrDiskLow},
	{"diverged", ErrDiverged},
	{"cloud", ErrCloud},
	{"caller", ErrCaller},
	{"socket", ErrSocket},
	{"timeout", context.DeadlineExceeded},
}

// crossed is the error of that name, or nil.
func crossed(name string) error {
	for _, c := range crossing {
		if c.name == name {
			return c.err
		}
	}
	return nil
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
	r.ID, r.Proof, r.Socket = requestOf(ctx), proofOf(ctx), bySocket(ctx)
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
	switch known := crossed(rep.Error); {
	case rep.Answer != nil:
		return *rep.Answer, nil
	case rep.Word != "" && known == ErrCaller:
		return Answer{}, &CallerError{rep.Word}
	case known != nil:
		return Answer{}, known
	default:
		return Answer{}, fmt.Errorf("the leader could not decide this: %s", rep.Text)
	}
}

// Serve decides a request that another node, from, has forwarded to this one; empty: this
// node has, which leads by now.
func (g *Gateway) Serve(ctx context.Context, from string, body []byte) ([]byte, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("reading a forwarded request: %w", err)
	}
	var answer Answer
	err := g.vouched(ctx, from, &r)
	if err != nil {
		g.notVouched.note(func(times int64) {
			g.logger.Warn("a forwarded request was not decided", "id", r.ID, "from", from, "times", times, "err", err)
		})
	} else {
		answer, err = g.decide(WithRequest(ctx, r.ID), r)
	}
	if errors.Is(err, context.Canceled) {
		err = errors.Join(ErrUnknown, err) // this node ends: the next leader is to be asked the same
	}
	rep := reply{Answer: &answer}
	if err != nil {
		rep = reply{Error: "error", Text: err.Error()}
		for _, c := range crossing {
			if errors.Is(err, c.err) {
				rep.Error = c.name
				break
			}
		}
		if c, ok := errors.AsType[*CallerError](err); ok {
			rep.Word = c.Word
		}
	}
	return json.Marshal(rep)
}

// rarely tells of what may happen often, once in a window, and how often it has happened
// since the last time.
type rarely struct {
	times  atomic.Int64
	window rate.Sometimes
}

func (r *rarely) note(tell func(times int64)) {
	r.times.Add(1)
	r.window.Do(func() { tell(r.times.Swap(0)) })
}

// notVouchedEvery is the window in which one request is told of that is not its caller's: any
// node with a wrong clock, or a stolen one, can make thousands of them.
const notVouchedEvery = time.Minute
