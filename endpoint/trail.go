package endpoint

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// maxTrailPage is how many records of the audit trail are given at once, at the most.
const maxTrailPage = 1000

// audit is GET /v1/audit?after=N&limit=M&names=1.
func (e *Endpoint) audit(c *call) (reply, error) {
	if e.cfg.Audit == nil {
		return reply{}, &trouble{code: api.CodeNotFound}
	}
	after, limit, names, err := trailQuery(c.r.URL.Query())
	if err != nil {
		return reply{}, err
	}
	if names {
		if err := c.administrator.may(route{method: c.r.Method, role: license.Operator}); err != nil {
			return reply{}, err
		}
	}
	records, trail, err := e.cfg.Audit(c.ctx, after, limit)
	if err != nil {
		return reply{}, err
	}
	page := api.AuditPage{Items: make([]api.AuditRecord, 0, len(records)), Trail: trailOf(trail)}
	e.gw.View(func(s *license.State) {
		for i := range records {
			r := auditRecord(&records[i])
			if names {
				nameIn(s, &r)
			}
			page.Items = append(page.Items, r)
		}
	})
	return reply{status: http.StatusOK, body: page}, nil
}

func trailQuery(q url.Values) (after uint64, limit int, names bool, err error) {
	limit = maxTrailPage
	for key, values := range q {
		switch v := values[0]; key {
		case "after":
			after, err = strconv.ParseUint(v, 10, 64)
		case "limit":
			limit, err = strconv.Atoi(v)
		case "names":
			names, err = strconv.ParseBool(v)
		default:
			err = errors.New("unknown")
		}
		if err != nil || limit < 1 {
			return 0, 0, false, malformed("after and limit are numbers, names is true or false, and there is nothing else to say")
		}
	}
	return after, min(limit, maxTrailPage), names, nil
}

func auditRecord(r *license.Audited) api.AuditRecord {
	return api.AuditRecord{Number: r.Number, At: r.At.Std(), What: r.What, By: r.By, Via: r.Via, User: r.User, Machine: r.Machine,
		About: r.About, Note: r.Note, Count: r.Count, From: r.From, Seq: r.Seq, Hash: hex.EncodeToString(r.Hash[:])}
}

// nameIn says whose the pseudonyms of a record are, as far as that is known.
func nameIn(s *license.State, r *api.AuditRecord) {
	text := func(pseudonym string) string {
		v, _ := s.Unveil(pseudonym)
		return v.Text
	}
	r.ByName, r.UserName, r.MachineName, r.NoteText = text(r.By), text(r.User), text(r.Machine), text(r.Note)
}

func trailOf(t license.AuditTrail) api.AuditTrail {
	return api.AuditTrail{Number: t.Number, Hash: hex.EncodeToString(t.Hash[:]), After: t.After, Anchor: hex.EncodeToString(t.Anchor[:]),
		Since: t.Since.Std(), Exported: exportedTo(t)}
}

func exportedTo(t license.AuditTrail) uint64 {
	if n := len(t.Exported); n > 0 {
		return t.Exported[n-1].Through
	}
	return t.After
}

// verifyAudit is GET /v1/audit/verify: all records on this node's disk are read, and held
// against the hash that the nodes have agreed on, which is in memory.
func (e *Endpoint) verifyAudit(c *call) (reply, error) {
	if e.cfg.Audit == nil {
		return reply{}, &trouble{code: api.CodeNotFound}
	}
	var want license.AuditTrail
	e.gw.View(func(s *license.State) { want = s.Head().Audit })
	first, chain, err := e.readAudit(c.ctx, want)
	var broken *license.AuditBroken
	if err != nil && !errors.As(err, &broken) {
		return reply{}, err
	}
	out := api.AuditVerified{Holds: broken == nil, First: first, Number: chain.Number, Hash: hex.EncodeToString(chain.Hash[:])}
	if broken != nil {
		out.Broken, out.Why = broken.Number, broken.Why
		e.log.ErrorContext(c.ctx, "the audit trail does not hold", "number", broken.Number, "err", broken.Why)
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// readAudit reads the records that are kept, up to the end that is known.
func (e *Endpoint) readAudit(ctx context.Context, want license.AuditTrail) (first uint64, chain license.AuditChain, err error) {
	chain = license.AuditChain{Number: want.After, Hash: want.Anchor}
	first = want.After + 1
	for chain.Number < want.Number {
		records, _, err := e.cfg.Audit(ctx, chain.Number, maxTrailPage)
		if err != nil {
			return first, chain, err
		}
		for i := range records {
			if records[i].Number > want.Number && chain.Number == want.Number {
				break // has come since
			}
			if err := chain.Next(&records[i]); err != nil {
				return first, chain, err
			}
		}
		if len(records) == 0 {
			break
		}
	}
	return first, chain, chain.Ends(want.Number, want.Hash)
}

// exportAudit is POST /v1/audit/export.
func (e *Endpoint) exportAudit(c *call, in api.AuditExport) (reply, error) {
	if err := c.said(&in.By, ""); err != nil {
		return reply{}, err
	}
	cmd := license.ExportAudit{By: in.By, Through: in.Through}
	if in.Through > 0 {
		if err := cmd.Hash.UnmarshalText([]byte(in.Hash)); err != nil {
			return reply{}, malformed("hash is that of the record through which was exported, in hexadecimal")
		}
	}
	a, err := decided(e.gw.ExportAudit(c.ctx, cmd))
	if err != nil {
		return reply{}, err
	}
	m := a.Outcome.Mark
	if m == nil { // it had been said before
		m = &license.AuditMark{Through: cmd.Through, Hash: cmd.Hash}
	}
	if in.Through > 0 {
		e.log.InfoContext(c.ctx, "the audit trail was exported", "id", c.id, "through", m.Through, "by", in.By)
	}
	return reply{status: http.StatusOK, body: api.AuditExport{By: in.By, Through: m.Through, Hash: hex.EncodeToString(m.Hash[:])}}, nil
}

// eraseNames is POST /v1/audit/erase.
func (e *Endpoint) eraseNames(c *call, in api.AuditErase) (reply, error) {
	if err := c.because(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	switch in.Kind {
	case license.VeilWho, license.VeilUser, license.VeilMachine:
	default:
		return reply{}, malformed("kind is who, user or machine")
	}
	if in.Name == "" || len(in.Name) > license.MaxName || !plain(in.Name) {
		return reply{}, malformed("name is missing, or no name: whose the audit trail is to forget")
	}
	_, err := decided(e.gw.EraseNames(c.ctx, license.EraseNames{Kind: in.Kind, Text: in.Name, By: in.By, Note: in.Note}))
	return e.acted(c, err, "erase", in.Kind, "", in.By) // and not the name, once more
}

// noteWait is how long an act waits for its record: an administrator must be able to act
// where nobody leads, too.
const noteWait = 3 * time.Second

// noteAct notes in the audit trail what an administrator does that changes nothing in the
// state, before it is done. Where that cannot be, the node's log has it.
func (e *Endpoint) noteAct(ctx context.Context, who Administrator, what, about string) {
	e.noteWhy(ctx, who, what, about, "")
}

// noteWhy is noteAct with a reason.
func (e *Endpoint) noteWhy(ctx context.Context, who Administrator, what, about, note string) {
	act := actBy(who, what, about)
	act.Note = note
	if err := e.inTrail(ctx, act); err != nil {
		e.log.WarnContext(ctx, "an administrator acts, which the audit trail does not have", "act", what, "about", about, "by", who.Name, "err", err)
	}
}

func actBy(who Administrator, what, about string) license.NoteAct {
	return license.NoteAct{What: what, By: who.Name, Via: string(who.Way), About: about}
}

// inTrail notes in the audit trail what an administrator is about to do. It has not been done
// where that fails, so that no outcome is unknown.
func (e *Endpoint) inTrail(ctx context.Context, act license.NoteAct) error {
	within, cancel := context.WithTimeout(ctx, noteWait)
	defer cancel()
	err := e.gw.NoteAct(within, act)
	if err != nil && ctx.Err() == nil && codeOf(err) == api.CodeUnknown {
		err = fmt.Errorf("noting it in the audit trail: %w (%v)", gateway.ErrNoLeader, err)
	}
	return err
}

// Note notes in the audit trail what who asks is about to do at this node, in a handler behind
// Administer. On the operator's socket it may be done where that fails, too, and the node's log
// has it. Elsewhere it may not: the error is for Refuse.
func (e *Endpoint) Note(ctx context.Context, what string) error {
	who := AdministratorOf(ctx)
	if who.Way == BySocket {
		e.noteAct(ctx, who, what, e.node())
		return nil
	}
	return e.inTrail(ctx, actBy(who, what, e.node()))
}

// Recorded is a handler for Administer that has Note note each request before it is served, and
// refuses it where that fails.
func (e *Endpoint) Recorded(what string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := e.Note(r.Context(), what); err != nil {
			e.Refuse(w, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Noted is a handler for Administer that notes each request in the audit trail, before
// it is served. It is served where that fails, too: it may be what helps.
func (e *Endpoint) Noted(what string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.noteAct(r.Context(), AdministratorOf(r.Context()), what, e.node())
		h.ServeHTTP(w, r)
	})
}

// node is this node's name.
func (e *Endpoint) node() string { return e.gw.Cluster().Node }

// auditStatus is how the audit trail stands, for the status and the metrics.
func auditStatus(t license.AuditTrail, names int, now license.Time, keep time.Duration) api.AuditStatus {
	st := api.AuditStatus{Number: t.Number, Hash: hex.EncodeToString(t.Hash[:]), Kept: t.Number - t.After, Exported: exportedTo(t), Since: t.Since.Std(),
		Names: names, MostNames: license.MaxVeils}
	st.Overdue = keep > 0 && t.Since != 0 && now.Sub(t.Since) > keep && st.Exported == t.After
	return st
}
