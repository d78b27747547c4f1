package endpoint

import (
	"net/http"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// checkOut is POST /v1/checkouts.
func (e *Endpoint) checkOut(c *call, in api.CheckoutRequest) (reply, error) {
	c.client = in.Client
	id, m, err := c.asked(in.ID, in.Machine, in.Product, in.Version, in.Client)
	if err != nil {
		return reply{}, err
	}
	begun := time.Now()
	a, err := e.gw.CheckOut(c.ctx, license.CheckOut{ID: id, User: c.caller.User, Product: license.ProductID(in.Product),
		Machine: m, Version: in.Version, Until: license.TimeOf(in.Until), Proof: c.caller.Proof})
	e.staged(c, a, err, time.Since(begun))
	a, err = decided(a, err)
	if err != nil {
		return reply{}, err
	}
	return reply{status: created(a.Outcome.Repeat), body: checkout(a.Outcome.Checkout, a.Epoch)}, nil
}

// checkouts is GET /v1/checkouts: the caller's.
func (e *Endpoint) checkouts(c *call) (reply, error) {
	return reply{status: http.StatusOK, body: e.listCheckouts(c.caller.User)}, nil
}

// giveBack is DELETE /v1/checkouts/{id}.
func (e *Endpoint) giveBack(c *call) (reply, error) {
	id, m, err := c.idAndMachine()
	if err != nil {
		return reply{}, err
	}
	if _, err := decided(e.gw.Return(c.ctx, license.Return{ID: id, User: c.caller.User, Machine: m, Proof: c.caller.Proof})); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// wait is POST /v1/waits: 201 while something stands in the way, 200 with free
// set where nothing does.
func (e *Endpoint) wait(c *call, in api.WaitRequest) (reply, error) {
	id, m, err := c.asked(in.ID, in.Machine, in.Product)
	if err != nil {
		return reply{}, err
	}
	a, err := decided(e.gw.Wait(c.ctx, license.Wait{ID: id, User: c.caller.User, Product: license.ProductID(in.Product), Machine: m, Proof: c.caller.Proof}))
	if err != nil {
		return reply{}, err
	}
	return waited(in, a.Outcome), nil
}

// endWait is DELETE /v1/waits/{id}.
func (e *Endpoint) endWait(c *call) (reply, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	if _, err := decided(e.gw.EndWait(c.ctx, license.EndWait{ID: id, User: c.caller.User, Proof: c.caller.Proof})); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

func checkout(x *license.Checkout, epoch uint64) api.Checkout {
	out := api.Checkout{ID: x.ID.String(), Product: string(x.Product), Version: x.Version, License: string(x.License),
		LicenseType: license.Practitioner, Machine: apiMachine(x.Machine), Since: x.Since.Std(), Until: x.Until.Std(),
		Token: api.Token{Epoch: epoch, Seq: x.Token}, By: x.By, Note: x.Note}
	if l := x.WrittenOff; l != nil {
		out.WrittenOff = &api.WriteOff{By: l.By, Note: l.Note, At: l.At.Std()}
	}
	return out
}

func waiting(w *license.Waiter) api.Wait {
	return api.Wait{ID: w.ID.String(), Product: string(w.Product), Machine: apiMachine(w.Machine), Since: w.Since.Std(),
		Asks: asks[w.Asks], Until: w.Until.Std(), Declined: w.Declined}
}
