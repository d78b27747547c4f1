package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// acceptTime is POST /v1/time/accept on the operator's socket.
func (e *Endpoint) acceptTime(c *call, in api.ReleaseRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	if in.Note == "" {
		return reply{}, malformed("note is missing: say why the clocks are right")
	}
	a, err := decided(e.gw.AcceptTime(c.ctx, license.AcceptTime{By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	f := *a.Outcome.Time
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "accept", "kind", "time", "by", in.By, "before", f.From.String(), "now", f.To.String())
	return reply{status: http.StatusOK, body: api.AcceptedTime{Before: f.From.Std(), Now: f.To.Std()}}, nil
}
