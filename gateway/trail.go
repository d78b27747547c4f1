package gateway

import (
	"context"
	"fmt"
	"time"

	"sitegate/license"
)

// trail is the request's command about the audit trail, or nil.
func (r *request) trail() license.Command {
	switch {
	case r.NoteAct != nil:
		return *r.NoteAct
	case r.EraseNames != nil:
		return *r.EraseNames
	case r.ExportAudit != nil:
		return *r.ExportAudit
	}
	return nil
}

// NoteAct notes in the audit trail what was done and has changed nothing else. It is there
// when this returns without an error.
func (g *Gateway) NoteAct(ctx context.Context, c license.NoteAct) error {
	a, err := g.ask(ctx, request{NoteAct: &c})
	if err == nil && a.Outcome.Denial != nil {
		err = fmt.Errorf("noting %q in the audit trail: %s", c.What, a.Outcome.Denial.Reason)
	}
	return err
}

// EraseNames makes the audit trail forget who somebody was.
func (g *Gateway) EraseNames(ctx context.Context, c license.EraseNames) (Answer, error) {
	return g.ask(ctx, request{EraseNames: &c})
}

// ExportAudit begins to export the audit trail, or says that it was written.
func (g *Gateway) ExportAudit(ctx context.Context, c license.ExportAudit) (Answer, error) {
	return g.ask(ctx, request{ExportAudit: &c})
}

// trimEvery is how often the leader looks whether records of the audit trail may go.
const trimEvery = time.Hour

// trimAudit drops, on the leader, what of the audit trail was exported and is older than
// it is kept.
func (g *Gateway) trimAudit(ctx context.Context) {
	for again := true; again; again = pause(ctx, trimEvery) {
		var through uint64
		before := g.log.Now().Add(-g.auditKeep)
		g.log.View(func(s *license.State) { through = s.Head().Audit.AuditTrim(before) })
		if through == 0 {
			continue
		}
		if out, err := g.log.Propose(ctx, license.TrimAudit{Through: through}); err == nil && out.Denial == nil {
			g.logger.InfoContext(ctx, "records of the audit trail were dropped, which had been exported", "through", through)
		}
	}
}
