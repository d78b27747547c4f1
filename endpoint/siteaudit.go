package endpoint

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sitegate/api"
	"sitegate/endpoint/roster"
	"sitegate/license"
)

// auditPiece is how many records of the audit trail are read at a time.
const auditPiece = 500

// siteAudit is GET /v1/site/audit: what administrators did, newest first, with names for
// who may be told them. Records are searched by what of them is told.
func (e *Endpoint) siteAudit(c *call) (reply, error) {
	if e.cfg.Audit == nil {
		return reply{}, &trouble{code: api.CodeNotFound}
	}
	q, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	before, err := q.from("before")
	if err != nil {
		return reply{}, err
	}
	var trail license.AuditTrail
	e.gw.View(func(s *license.State) { trail = s.Head().Audit })
	if before == 0 || before > trail.Number+1 {
		before = trail.Number + 1
	}
	words := strings.Fields(strings.ToLower(q.q))
	out := api.SiteAuditList{Items: []api.AuditRecord{}, Trail: trailOf(trail)}
	for look := lookBack; before > trail.After+1 && len(out.Items) < q.most && look > 0; look -= auditPiece {
		after := max(trail.After, before-1-min(auditPiece, before-1))
		records, _, err := e.cfg.Audit(c.ctx, after, int(before-1-after))
		if err != nil {
			return reply{}, err
		}
		before = after + 1
		e.gw.View(func(s *license.State) {
			for i := range slices.Backward(records) {
				r := auditRecord(&records[i])
				if c.acts() {
					nameIn(s, &r)
				}
				if len(out.Items) == q.most {
					before = r.Number + 1
					return
				}
				if found(r, words) {
					out.Items = append(out.Items, r)
				}
			}
		})
	}
	if before > trail.After+1 {
		out.Next = strconv.FormatUint(before, 10)
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// found reports whether a record has all the words.
func found(r api.AuditRecord, words []string) bool {
	text := strings.ToLower(strings.Join([]string{r.What, r.By, r.ByName, r.Via, r.User, r.UserName, r.Machine, r.MachineName, r.About, r.NoteText, r.From}, " "))
	return roster.Contains(text, words)
}
