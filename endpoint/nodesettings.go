package endpoint

import (
	"context"
	"net/http"
	"time"

	"sitegate/api"
)

// nodeSettings is GET /v1/node/settings: what this node goes by, and where that is set.
func (e *Endpoint) nodeSettings(*call) (reply, error) {
	if e.cfg.Settings == nil {
		return reply{}, &trouble{code: api.CodeNotFound}
	}
	return reply{status: http.StatusOK, body: api.List[api.NodeSetting]{Items: e.cfg.Settings()}}, nil
}

// doctorAgain is when to ask anew who finds that somebody is being examined.
const doctorAgain = 30 * time.Second

// examine is POST /v1/node/doctor: the way out of this node is gone along, one at a time,
// since proxies are shown the site's secret.
func (e *Endpoint) examine(c *call) (reply, error) {
	if e.cfg.Doctor == nil {
		return reply{}, &trouble{code: api.CodeNotFound}
	}
	if !e.examining.TryLock() {
		return reply{}, examined()
	}
	defer e.examining.Unlock()
	e.noteAct(c.ctx, c.administrator, actExamined, e.node())
	r, err := e.cfg.Doctor(c.ctx)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: r}, nil
}

const actExamined = "way-out-examined"

func examined() error {
	return TooMany("the way out of this node is being examined", doctorAgain)
}

// Examine is for a handler behind Administer that goes along this node's way out itself: the audit
// trail has it, as Note says, and nobody else does until over is called. An error is for Refuse.
func (e *Endpoint) Examine(ctx context.Context) (over func(), err error) {
	if !e.examining.TryLock() {
		return nil, examined()
	}
	if err := e.Note(ctx, actExamined); err != nil {
		e.examining.Unlock()
		return nil, err
	}
	return e.examining.Unlock, nil
}
