package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// bindKey is POST /v1/machine-key: from now on the machine goes by its key.
func (e *Endpoint) bindKey(c *call, in api.KeyRequest) (reply, error) {
	m, err := machine(in.Machine)
	if err != nil {
		return reply{}, err
	}
	if !plain(in.Host) {
		return reply{}, malformed("host is longer than 256 bytes or has control characters")
	}
	if c.caller.byKey() { // a key alone proves nothing anew
		return reply{}, &authError{tokenMissing}
	}
	access, err := bearer(c.r)
	if err != nil {
		return reply{}, err
	}
	proof, err := proveKey(in.Proof, access, m, in.Host)
	if err != nil {
		return reply{}, err
	}
	ctx := gateway.WithProof(c.ctx, access+" "+in.Proof)
	a, err := decided(e.gw.BindKey(ctx, license.BindKey{User: c.caller.User, Machine: m, Proof: proof, Email: c.caller.Email}))
	if err != nil {
		return reply{}, err
	}
	if !e.hub.Await(c.ctx, notice.Token{Epoch: a.Epoch, Seq: a.Seq}) {
		return reply{}, gateway.ErrUnknown // its session tokens would not be known here yet
	}
	out := api.MachineKey{User: string(c.caller.User), Time: e.gw.Now().Std()} // by which the tokens are judged
	e.gw.View(func(s *license.State) {
		out.Cluster = s.Head().Cluster
		out.Until = license.StartsUntil(s, a.Outcome.Key.Verified).Std()
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// forgetKey is POST /v1/users/{id}/forget-key.
func (e *Endpoint) forgetKey(c *call, in api.ForgetKeyRequest) (reply, error) {
	user, err := c.named()
	if err != nil {
		return reply{}, err
	}
	whose, err := e.userActedOn(c, user)
	if err != nil {
		return reply{}, err
	}
	m, err := e.which(c, whose, in.Machine, &in.By, in.Note)
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.ForgetKey(c.ctx, license.ForgetKey{User: whose, Machine: m, By: in.By, Note: in.Note}))
	return e.acted(c, err, "forget-key", "user", string(whose), in.By)
}

// machine reads the machine that a request speaks of. A session token is good for its own
// machine, and for no other.
func (c *call) machine(in api.Machine) (license.Machine, error) {
	m, err := machine(in)
	if err == nil && c.caller.byKey() && c.caller.Machine != m.ID {
		err = denied{license.Denial{Reason: license.NotYours}}
	}
	return m, err
}

// barred is why a caller may not listen on a machine though they are known here: IT keeps
// one of them out, or their session token is good no more.
func barred(s *license.State, c *Caller, m license.Machine) error {
	if d := license.KeptOut(s, c.User, m, ""); d != nil {
		return denied{*d}
	}
	return stands(s, c)
}
