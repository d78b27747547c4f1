package endpoint

import (
	"fmt"
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// status is GET /v1/status on the operator's socket.
func (e *Endpoint) status(c *call) (reply, error) {
	cl := e.gw.Cluster()
	st := api.Status{Node: cl.Node, Version: e.cfg.Version, Connected: e.hub.Len(),
		Cluster: api.ClusterStatus{Leader: cl.Leader, Term: cl.Term, Index: cl.Index, Members: []api.Member{}, Diverged: e.gw.Diverged()}}
	for _, m := range cl.Members {
		st.Cluster.Members = append(st.Cluster.Members, api.Member{Name: m.Name, Address: m.Address, Voter: m.Voter,
			Leader: m.Name == cl.Leader, Reached: m.Reached})
	}
	if d := e.gw.Disk(); d.Total > 0 {
		st.Disk = &api.DiskStatus{State: api.DiskOK, Free: d.Free, Total: d.Total}
		switch {
		case d.Low:
			st.Disk.State = api.DiskLow
		case d.Warn:
			st.Disk.State = api.DiskWarn
		}
	}
	e.gw.View(func(s *license.State) {
		h, n := s.Head(), s.Counts()
		st.Cluster.ID, st.Cluster.Level, st.Cluster.Program = h.Cluster, uint64(h.Level), h.Program
		st.Link, st.Cloud = link(h.Link), cloudOffers(h.Cloud)
		st.Cloud.Portal = e.cfg.Portal
		st.Mirror = api.MirrorStatus{Filled: h.Filled, Cursor: h.Cursor, Held: held(h.Held), Read: h.Link.Read.Std(), Malformed: s.QuarantinedCount(), Imported: h.Imported.Std()}
		if h.Filled {
			st.Mirror.Source = mirrorSource(h).String()
		}
		st.Counts = api.Counts{Users: n.Users, Products: n.Products, Licenses: n.Licenses, Assigned: n.Assigned,
			Sessions: n.Sessions, Checkouts: n.Checkouts, Provisional: n.Provisional, Learned: n.Learned}
		st.Usage = api.UsageStatus{Seq: h.Seq, Sent: h.UsageSent, Waiting: s.UsageWaiting(), Refused: uint64(len(license.AllSetAside(s))),
			Backlog: h.Backlog.Level.String(), Bytes: h.Backlog.Bytes, Most: h.Backlog.Most}
		st.Autonomy = api.AutonomyStatus{CappedMS: s.Autonomy(true).Milliseconds(), UncappedMS: s.Autonomy(false).Milliseconds()}
		st.Audit = auditStatus(h.Audit, license.VeilCount(s), e.gw.Now(), e.cfg.AuditKeep)
		if h.Now != 0 {
			st.Time = max(h.Now, e.gw.Now()).Std()
		}
		st.TimeHeld = cl.TimeHeld
		for _, l := range h.Lockouts {
			st.Lockouts = append(st.Lockouts, api.Lockout{Node: l.Node, Proxy: l.Proxy, Since: l.Since.Std()})
		}
		st.Bypass = e.bypass(c, s)
		for _, t := range trusted(s) {
			if len(t.Held) > 0 {
				st.KeysHeld = append(st.KeysHeld, t.Issuer)
			}
		}
		if r := h.Restored; !r.Over(max(h.Now, e.gw.Now())) {
			st.Restored = &api.RestoredStatus{Epoch: h.Epoch, Recovered: r.Recovered, Since: r.At.Std(), Until: r.Until.Std(), Read: r.Read}
		}
	})
	if st.Usage.Waiting > 0 {
		if oldest, err := e.gw.OldestUsage(c.ctx); err == nil { // a journal that cannot be read is no reason to tell nothing
			st.Usage.Oldest = oldest.Std()
		}
	}
	if e.cfg.Cluster != nil {
		st.Cluster.Replacement = e.cfg.Cluster.Replacement()
	}
	if e.cfg.Backups != nil {
		st.Backup = e.cfg.Backups()
	}
	if e.cfg.Egress != nil {
		st.Egress = e.cfg.Egress()
	}
	if e.cfg.Certificates != nil {
		st.Certificates = e.cfg.Certificates()
	}
	return reply{status: http.StatusOK, body: st}, nil
}

// release is POST /v1/sessions/{id}/release on the operator's socket. The session
// is put on notice; it is free when its client stops, or when its lease is over.
func (e *Endpoint) release(c *call, in api.ReleaseRequest) (reply, error) {
	id, err := parseID(c.r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	if err := c.because(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	a, err := decided(e.gw.Release(c.ctx, license.Release{Session: id, By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "session released", "id", c.id, "session", id.String(), "by", in.By)
	return reply{status: http.StatusOK, body: session(a.Outcome.Session, a.Epoch)}, nil
}

// acceptRestore is POST /v1/restore/accept on the operator's socket.
func (e *Endpoint) acceptRestore(c *call, in api.ReleaseRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	if in.Note == "" {
		return reply{}, malformed("note is missing: say how it was made sure")
	}
	_, err := decided(e.gw.AcceptRestore(c.ctx, license.AcceptRestore{By: in.By, Note: in.Note}))
	return e.acted(c, err, "accept", "restore", "", in.By)
}

func errLeases(got, want int) error {
	return fmt.Errorf("asked for %d leases and got %d: is a node of another version?", want, got)
}
