package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// beginBypass is POST /v1/bypass.
func (e *Endpoint) beginBypass(c *call, in api.ReleaseRequest) (reply, error) {
	out, err := e.letPass(c, in, false)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: e.shownBypass(c, *out.Bypass)}, nil
}

// endBypass is POST /v1/bypass/over.
func (e *Endpoint) endBypass(c *call, in api.ReleaseRequest) (reply, error) {
	_, err := e.letPass(c, in, true)
	return reply{status: http.StatusNoContent}, err
}

func (e *Endpoint) letPass(c *call, in api.ReleaseRequest, over bool) (license.Outcome, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return license.Outcome{}, err
	}
	if in.Note == "" {
		return license.Outcome{}, malformed("note is missing: say why, for the audit trail")
	}
	a, err := decided(e.gw.LetPass(c.ctx, license.LetPass{Over: over, By: in.By, Note: in.Note}))
	if err != nil {
		return license.Outcome{}, err
	}
	act := "begin"
	if over {
		act = "end"
	}
	e.log.WarnContext(c.ctx, "administrator acted", "id", c.id, "act", act, "kind", "bypass", "by", in.By, "repeat", a.Outcome.Repeat)
	return a.Outcome, nil
}

// bypass is the one that lasts, as who asks is told of it; nil: none does.
func (e *Endpoint) bypass(c *call, s *license.State) *api.Bypass {
	b := license.BypassAt(s, e.gw.Now())
	if b.Until == 0 {
		return nil
	}
	return e.shownBypass(c, b)
}

func (e *Endpoint) shownBypass(c *call, b license.Bypass) *api.Bypass {
	out := &api.Bypass{Since: b.Since.Std(), Until: b.Until.Std()}
	if e.toldNotes(c) {
		out.By, out.Note = b.By, b.Note
	}
	return out
}
