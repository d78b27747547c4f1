package endpoint

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// Cluster is what an operator does about the nodes. An error that is a *Refusal says
// that it cannot be done as things are, and why.
type Cluster interface {
	Members() []api.ClusterMember
	Token(context.Context, api.TokenRequest) (api.JoinToken, error)
	Remove(ctx context.Context, node string, r api.RemoveRequest) error
	// Rekey replaces the site's CA, and Replacement says how far that is; nil: there is
	// nothing to see to.
	Rekey(context.Context, api.RekeyRequest) error
	Replacement() *api.Replacement
	StepDown(context.Context) (api.SteppedDown, error)
	// Drain has a member lead no more and sends its clients elsewhere, which goes on
	// when it has returned. Empty is this node.
	Drain(ctx context.Context, node string, over time.Duration) error
	// Leave takes this node out of the cluster; it ends soon after.
	Leave(context.Context) error
}

// Refusal is why an operator's wish about the nodes is not granted: a denial of the
// rules, or a sentence.
type Refusal struct {
	Denial *license.Denial
	Text   string
}

// Error is the reason.
func (r *Refusal) Error() string {
	if r.Denial != nil {
		return string(r.Denial.Reason)
	}
	return r.Text
}

// maxDrainTime bounds how long clients may be sent away for.
const maxDrainTime = 10 * time.Minute

func (e *Endpoint) members(*call) (reply, error) {
	return reply{status: http.StatusOK, body: api.List[api.ClusterMember]{Items: e.cfg.Cluster.Members()}}, nil
}

// token is POST /v1/cluster/tokens.
func (e *Endpoint) token(c *call, in api.TokenRequest) (reply, error) {
	if err := c.said(&in.By, ""); err != nil {
		return reply{}, err
	}
	if d := time.Duration(in.ForMS) * time.Millisecond; in.ForMS <= 0 || in.ForMS > license.MaxTokenLife.Milliseconds() || d < time.Second {
		return reply{}, malformed("for_ms is from one second to seven days")
	}
	t, err := e.cfg.Cluster.Token(c.ctx, in)
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "join token issued", "id", c.id, "until", t.Expires, "by", in.By)
	return reply{status: http.StatusCreated, body: t}, nil
}

// remove is POST /v1/cluster/members/{id}/remove.
func (e *Endpoint) remove(c *call, in api.RemoveRequest) (reply, error) {
	node, err := c.named()
	if err != nil {
		return reply{}, err
	}
	if err := c.because(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	return e.acted(c, e.cfg.Cluster.Remove(c.ctx, node, in), "remove", "node", node, in.By)
}

// rekey is POST /v1/cluster/rekey.
func (e *Endpoint) rekey(c *call, in api.RekeyRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	switch {
	case in.Note == "":
		return reply{}, malformed("note is missing: say why the site's CA is replaced")
	case in.OverlapMS < time.Second.Milliseconds() || in.OverlapMS > license.MaxOverlap.Milliseconds():
		return reply{}, malformed("overlap_ms is from one second to 400 days")
	}
	return e.acted(c, e.cfg.Cluster.Rekey(c.ctx, in), "rekey", "site-ca", "", in.By)
}

// readAny reads a body that may be left out.
func (c *call) readAny(into any) error {
	if c.r.ContentLength == 0 {
		return nil
	}
	return c.read(into)
}

// stepDown is POST /v1/cluster/step-down. Its body may be left out with the reason.
func (e *Endpoint) stepDown(c *call) (reply, error) {
	var in api.StepDownRequest
	if err := c.readAny(&in); err != nil {
		return reply{}, err
	}
	if err := c.reason(in.Note); err != nil {
		return reply{}, err
	}
	e.noteWhy(c.ctx, c.administrator, "leadership-handed-over", "", in.Note)
	s, err := e.cfg.Cluster.StepDown(c.ctx)
	return reply{status: http.StatusOK, body: s}, err
}

// drain is POST /v1/cluster/drain.
func (e *Endpoint) drain(c *call, in api.DrainRequest) (reply, error) {
	over := time.Duration(in.OverMS) * time.Millisecond
	if in.OverMS < 0 || in.OverMS > maxDrainTime.Milliseconds() {
		return reply{}, malformed("over_ms is from zero to ten minutes")
	}
	if err := c.reason(in.Note); err != nil {
		return reply{}, err
	}
	node := e.node()
	if in.Node != "" {
		members := e.cfg.Cluster.Members()
		i := slices.IndexFunc(members, func(m api.ClusterMember) bool { return strings.EqualFold(m.Name, in.Node) })
		if i < 0 {
			return reply{}, &Refusal{Text: "There is no such node in the cluster: " + printable(in.Node)}
		}
		node = members[i].Name
	}
	e.noteWhy(c.ctx, c.administrator, "node-asked-to-drain", node, in.Note)
	if err := e.cfg.Cluster.Drain(c.ctx, node, over); err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "drained by the operator", "id", c.id, "node", node, "over_ms", in.OverMS)
	return reply{status: http.StatusAccepted}, nil
}

// leave is POST /v1/cluster/leave. Its body may be left out with the reason.
func (e *Endpoint) leave(c *call) (reply, error) {
	var in api.LeaveRequest
	if err := c.readAny(&in); err != nil {
		return reply{}, err
	}
	if err := c.reason(in.Note); err != nil {
		return reply{}, err
	}
	e.noteWhy(c.ctx, c.administrator, "node-asked-to-leave", e.node(), in.Note)
	err := e.cfg.Cluster.Leave(c.ctx)
	e.log.InfoContext(c.ctx, "asked to leave the cluster", "id", c.id, "err", err)
	return reply{status: http.StatusNoContent}, err
}
