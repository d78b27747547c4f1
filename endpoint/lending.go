package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// What IT does about checkouts, on the operator's socket.

// checkOutFor is POST /v1/users/{id}/checkouts: for a user's machine that may have no
// way to the site itself.
func (e *Endpoint) checkOutFor(c *call, in api.CheckoutForRequest) (reply, error) {
	name, err := c.named()
	if err != nil {
		return reply{}, err
	}
	id, err := parseID(in.ID)
	if err != nil {
		return reply{}, err
	}
	if err := words(in.Product, in.Version); err != nil {
		return reply{}, err
	}
	user, err := e.userActedOn(c, name)
	if err != nil {
		return reply{}, err
	}
	m, err := e.which(c, user, in.Machine, &in.By, in.Note)
	if err != nil {
		return reply{}, err
	}
	a, err := decided(e.gw.CheckOut(c.ctx, license.CheckOut{ID: id, User: user, Product: license.ProductID(in.Product),
		Machine: m, Version: in.Version, Until: license.TimeOf(in.Until), By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "checkout made", "id", c.id, "user", user, "machine", m.Name, "product", in.Product, "by", in.By)
	return reply{status: created(a.Outcome.Repeat), body: checkout(a.Outcome.Checkout, a.Epoch)}, nil
}

// checkoutsOf is GET /v1/users/{id}/checkouts.
func (e *Endpoint) checkoutsOf(c *call) (reply, error) {
	user, err := c.named()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: e.listCheckouts(e.userNamed(c, user))}, nil
}

// writeOff is POST /v1/checkouts/{id}/write-off: all that IT can do about a checkout
// from afar. Its machine is told, and may return it.
func (e *Endpoint) writeOff(c *call, in api.ReleaseRequest) (reply, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	if in.Note == "" {
		return reply{}, malformed("note is missing: say why it is given up")
	}
	a, err := decided(e.gw.WriteOff(c.ctx, license.WriteOff{Checkout: id, By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "checkout written off", "id", c.id, "checkout", id.String(), "by", in.By)
	return reply{status: http.StatusOK, body: checkout(a.Outcome.Checkout, a.Epoch)}, nil
}

// words checks what names a product, and what else is said of it.
func words(product string, more ...string) error {
	if product == "" {
		return malformed("product is missing")
	}
	for _, s := range append(more, product) {
		if !plain(s) {
			return malformed("a field is longer than 256 bytes or has control characters")
		}
	}
	return nil
}

// listCheckouts lists what a user has checked out.
func (e *Endpoint) listCheckouts(user license.UserID) api.List[api.Checkout] {
	list := api.List[api.Checkout]{Items: []api.Checkout{}}
	e.gw.View(func(s *license.State) {
		if a := s.Active(user); a != nil {
			for i := range a.Checkouts {
				list.Items = append(list.Items, checkout(&a.Checkouts[i], s.Head().Epoch))
			}
		}
	})
	return list
}
