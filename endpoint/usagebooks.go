package endpoint

import (
	"context"
	"net/http"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// refusedUsage is GET /v1/usage/refused on the operator's socket.
func (e *Endpoint) refusedUsage(*call) (reply, error) {
	out := api.List[api.RefusedUsage]{Items: []api.RefusedUsage{}}
	e.gw.View(func(s *license.State) {
		for _, x := range license.AllSetAside(s) {
			u := &x.Usage
			r := api.RefusedUsage{Record: u.Record, Kind: "session", Session: u.ID.String(), User: e.name(s, "user", string(u.User)), Machine: e.shownMachine(s, u.User, u.Machine).Name,
				Product: string(u.Product), Started: u.Started.Std(), Ended: u.Ended.Std(), Refused: x.At.Std(), Why: x.Why}
			switch u.Kind {
			case license.UsageCheckout:
				r.Kind = "checkout"
			case license.UsagePosted:
				r.Kind = "posting"
			}
			out.Items = append(out.Items, r)
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// resendUsage is POST /v1/usage/refused/resend on the operator's socket.
func (e *Endpoint) resendUsage(c *call, in api.ResendRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	who := c.administrator
	who.Name = in.By
	e.noteWhy(c.ctx, who, "usage-asked-to-be-sent-again", "", in.Note)
	a, err := decided(e.gw.ResendUsage(c.ctx, in.By))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "resend", "kind", "usage", "by", in.By, "pending", a.Pending)
	e.caughtUp(c.ctx, a.Seq)
	r, err := e.refusedUsage(c)
	if a.Pending {
		r.status = http.StatusAccepted
	}
	return r, err
}

// caughtUp waits a moment until this node has applied an event that the leader has.
func (e *Endpoint) caughtUp(ctx context.Context, seq uint64) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var at uint64
		e.gw.View(func(s *license.State) { at = s.Head().Seq })
		if at >= seq {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// auditAgain is when to ask anew who finds that the journal is being read for somebody.
const auditAgain = 30 * time.Second

// auditUsage is GET /v1/usage/audit: one at a time, since the whole journal is read for it.
func (e *Endpoint) auditUsage(c *call) (reply, error) {
	if !e.auditing.TryLock() {
		return reply{}, TooMany("usage is being audited for somebody", auditAgain)
	}
	defer e.auditing.Unlock()
	a, err := e.gw.Audit(c.ctx)
	if err != nil {
		return reply{}, err
	}
	out := api.UsageAudit{From: a.From, Through: a.Through, Began: a.Began, Before: a.Before, Ended: a.Ended, Open: a.Open,
		Acknowledged: a.Acknowledged, Waiting: a.Waiting, Refused: a.SetAside, Ways: []api.UsageWay{}, Findings: []api.UsageFinding{}, More: a.More}
	for _, w := range []license.UsageWay{license.WaySite, license.WayRealtime, license.WayFile, license.WayCarried} {
		if n := a.ByWay[w]; n > 0 {
			out.Ways = append(out.Ways, api.UsageWay{Way: w.String(), Records: n, Once: w.Once()})
		}
	}
	since := e.since()
	for _, f := range a.Findings {
		if f.At < since { // who it was is not told any more
			f.User = ""
		}
		out.Findings = append(out.Findings, api.UsageFinding{Kind: string(f.Kind), Seq: f.Seq, Record: f.Record, User: e.name(nil, "user", string(f.User)), Detail: f.Detail})
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// name is a user or a machine as reports show it; s is the state that the caller is
// reading, nil: none.
func (e *Endpoint) name(s *license.State, kind, name string) string {
	if e.cfg.Pseudonym == nil || name == "" {
		return name
	}
	return e.cfg.Pseudonym(s, kind, name)
}
