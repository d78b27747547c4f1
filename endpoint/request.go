package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// request is POST /v1/requests: as a wait, but that the active machine is asked to
// let go, or ends after a grace, as the site has it.
func (e *Endpoint) request(c *call, in api.WaitRequest) (reply, error) {
	id, m, err := c.asked(in.ID, in.Machine, in.Product)
	if err != nil {
		return reply{}, err
	}
	a, err := decided(e.gw.Request(c.ctx, license.Request{ID: id, User: c.caller.User, Product: license.ProductID(in.Product), Machine: m, Proof: c.caller.Proof}))
	if err != nil {
		return reply{}, err
	}
	return waited(in, a.Outcome), nil
}

// waited answers a wait or a request.
func waited(in api.WaitRequest, out license.Outcome) reply {
	if out.Waiter == nil {
		return reply{status: http.StatusOK, body: api.Wait{ID: in.ID, Product: in.Product, Machine: in.Machine, Free: true}}
	}
	return reply{status: created(out.Repeat), body: waiting(out.Waiter)}
}

// decline is POST /v1/requests/{id}/decline, on the machine that was asked.
func (e *Endpoint) decline(c *call, in api.MachineRequest) (reply, error) {
	id, m, err := c.mine(in)
	if err != nil {
		return reply{}, err
	}
	if _, err := decided(e.gw.Decline(c.ctx, license.Decline{ID: id, User: c.caller.User, Machine: m, Proof: c.caller.Proof})); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// letGo is POST /v1/sessions/{id}/let-go, on the session's own machine: its client
// is told to stop, and it is renewed no more.
func (e *Endpoint) letGo(c *call, in api.MachineRequest) (reply, error) {
	id, m, err := c.mine(in)
	if err != nil {
		return reply{}, err
	}
	if _, err := decided(e.gw.LetGo(c.ctx, license.LetGo{Session: id, User: c.caller.User, Machine: m, Proof: c.caller.Proof})); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// mine reads the id of the path and the machine of the body.
func (c *call) mine(in api.MachineRequest) (license.ID, license.Machine, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return id, license.Machine{}, err
	}
	m, err := c.machine(in.Machine)
	return id, m, err
}

var asks = map[license.TakeoverPolicy]string{license.TakeoverAsk: api.AsksAsk, license.TakeoverGrace: api.AsksGrace}
