package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// health is GET /healthz: the process lives.
func health(*call) (reply, error) {
	return reply{status: http.StatusOK, body: api.Ready{Ready: true}}, nil
}

// ready is GET /readyz: whether this node can serve, and if not, what it lacks.
func (e *Endpoint) ready(*call) (reply, error) {
	var out api.Ready
	e.gw.View(func(s *license.State) {
		if s.Head().Cluster == "" {
			out.Missing = append(out.Missing, api.MissingState)
		}
		if !s.Head().Filled {
			out.Missing = append(out.Missing, api.MissingMirror)
		}
	})
	if e.gw.Cluster().Leader == "" {
		out.Missing = append(out.Missing, api.MissingLeader)
	}
	if e.sockets.going() {
		out.Missing = append(out.Missing, api.MissingStay)
	}
	if out.Ready = len(out.Missing) == 0; !out.Ready {
		return reply{status: http.StatusServiceUnavailable, body: out}, nil
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// siteCA is GET /ca.pem: whom a client is to trust that comes to this node.
func (e *Endpoint) siteCA(c *call) (reply, error) {
	var pem []byte
	if e.cfg.SiteCA != nil {
		pem = e.cfg.SiteCA()
	}
	if len(pem) == 0 {
		return reply{}, &trouble{code: api.CodeNotFound}
	}
	c.w.Header().Set("Content-Type", "application/x-pem-file")
	c.w.WriteHeader(http.StatusOK)
	c.w.Write(pem)
	return reply{done: true}, nil
}

// document shows a contract.
func document(text []byte) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		c.w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
		c.w.WriteHeader(http.StatusOK)
		c.w.Write(text)
		return reply{done: true}, nil
	}
}
