package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// accounts is GET /v1/accounts.
func (e *Endpoint) accounts(*call) (reply, error) {
	out := api.List[api.LocalAccount]{Items: []api.LocalAccount{}}
	e.gw.View(func(s *license.State) {
		for _, a := range license.LocalAccounts(s) {
			out.Items = append(out.Items, api.LocalAccount{Name: a.Name, Role: a.Role.String(), By: a.By, Since: a.Since.Std(), Changed: a.Changed.Std()})
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// makeAccount is POST /v1/accounts.
func (e *Endpoint) makeAccount(c *call, in api.LocalAccountRequest) (reply, error) {
	return e.setAccount(c, in.Name, in, false)
}

// resetAccount is POST /v1/accounts/{id}/reset.
func (e *Endpoint) resetAccount(c *call, in api.LocalAccountRequest) (reply, error) {
	name, err := c.named()
	if err != nil {
		return reply{}, err
	}
	if in.Name != "" && in.Name != name {
		return reply{}, malformed("name is another one than in the path")
	}
	return e.setAccount(c, name, in, true)
}

func (e *Endpoint) setAccount(c *call, name string, in api.LocalAccountRequest, reset bool) (reply, error) {
	if err := c.said(&in.By, ""); err != nil {
		return reply{}, err
	}
	role, err := roleNamed(in.Role)
	if err != nil {
		return reply{}, err
	}
	if !license.ValidAccountName(name) {
		return reply{}, malformed("name is small letters, digits, and . _ - between them, 64 at most")
	}
	if err := weak(in.Password, name); err != nil {
		return reply{}, err
	}
	hash, err := e.passwords.hash(c.ctx, in.Password)
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.SetLocalAccount(c.ctx, license.SetLocalAccount{Name: name, Role: role, Hash: hash, Reset: reset, By: in.By}))
	act := "create"
	if reset {
		act = "reset"
	}
	return e.acted(c, err, act, "account", name, in.By)
}

// removeAccount is DELETE /v1/accounts/{id}.
func (e *Endpoint) removeAccount(c *call) (reply, error) {
	name, err := c.named()
	if err != nil {
		return reply{}, err
	}
	by, err := c.queryBy()
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.RemoveLocalAccount(c.ctx, license.RemoveLocalAccount{Name: name, By: by}))
	return e.acted(c, err, "remove", "account", name, by)
}
