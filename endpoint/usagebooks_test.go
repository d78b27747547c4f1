package endpoint

import (
	"slices"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// What the cloud refuses is listed and sent again, with names as reports show them.
func TestRefusedUsageIsListedAndSentAgain(t *testing.T) {
	node := filled(t)
	users, it := operated(t, node)
	m := license.Machine{ID: "m-1", Name: "WS-101"}
	node.do(t, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: m, Agreed: true})
	out := node.do(t, license.Stop{ID: license.ID{1}, User: "ada", Machine: m})
	u, _ := license.UsageOf(license.Event{At: 5, Fact: license.Stopped{Session: out.Session}})
	var through uint64
	node.View(func(s *license.State) { through = s.Head().Seq })
	u.Seq = through
	node.do(t, license.UsageSent{Through: through, SetAside: []license.SetAside{{Usage: u, Why: "no such user"}}})
	var list api.List[api.RefusedUsage]
	it.want(t, 200, "", "GET", "/v1/usage/refused", nil).into(t, &list)
	if len(list.Items) != 1 || list.Items[0].User != "ada" || list.Items[0].Machine != "WS-101" || list.Items[0].Why != "no such user" || list.Items[0].Kind != "session" || list.Items[0].Refused.IsZero() {
		t.Errorf("refused: %+v", list.Items)
	}
	var s api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if s.Usage.Refused != 1 || s.Usage.Waiting != 0 || !s.Usage.Oldest.IsZero() || s.Usage.Backlog != api.BacklogOK {
		t.Errorf("the status has %+v", s.Usage)
	}
	users.e.cfg.Pseudonym = func(_ *license.State, kind, name string) string { return kind + "-x" }
	it.want(t, 200, "", "GET", "/v1/usage/refused", nil).into(t, &list)
	if list.Items[0].User != "user-x" || list.Items[0].Machine != "machine-x" {
		t.Errorf("by other names: %+v", list.Items[0])
	}
	it.want(t, 400, "", "POST", "/v1/usage/refused/resend", api.ResendRequest{})
	it.want(t, 400, "", "POST", "/v1/usage/refused/resend", api.ResendRequest{By: "ida", Note: "\x1b"})
	it.want(t, 200, "", "POST", "/v1/usage/refused/resend", api.ResendRequest{By: "ida", Note: "ticket 7"}).into(t, &list)
	if len(list.Items) != 0 {
		t.Errorf("after it was sent again: %+v", list.Items)
	}
	var trail api.AuditPage
	it.want(t, 200, "", "GET", api.PathTrail+"?names=true", nil).into(t, &trail)
	var acts []string
	for _, x := range trail.Items {
		if strings.HasPrefix(x.What, "usage-") {
			acts = append(acts, x.What+" by "+x.ByName+" since "+x.NoteText)
		}
	}
	if want := []string{"usage-asked-to-be-sent-again by ida since ticket 7", "usage-sent-again by ida since "}; !slices.Equal(acts, want) {
		t.Errorf("the audit trail has %q, want %q", acts, want)
	}
}

// How long usage waits is told where some does.
func TestTheAgeOfTheUsageThatWaits(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	node.oldest = 1_700_000_000_000
	var s api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if s.Usage.Waiting != 0 || !s.Usage.Oldest.IsZero() {
		t.Errorf("nothing waits: %+v", s.Usage)
	}
	m := license.Machine{ID: "m-1", Name: "WS-101"}
	node.do(t, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: m, Agreed: true})
	node.do(t, license.Stop{ID: license.ID{1}, User: "ada", Machine: m})
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if s.Usage.Waiting != 1 || s.Usage.Oldest.UnixMilli() != int64(node.oldest) {
		t.Errorf("a record waits: %+v", s.Usage)
	}
}

// Usage is audited for one at a time: the whole journal is read for it.
func TestUsageIsAuditedForOne(t *testing.T) {
	r, it := operated(t, filled(t))
	r.e.auditing.Lock()
	if a := it.want(t, 429, "", "GET", "/v1/usage/audit", nil); a.Header.Get("Retry-After") == "" || !strings.Contains(a.problem(t).Detail, "usage is being audited") {
		t.Errorf("nobody is told why, and when to come back: %s", a.raw)
	}
	r.e.auditing.Unlock()
	for range 2 {
		it.want(t, 200, "", "GET", "/v1/usage/audit", nil)
	}
}

func TestAuditIsShown(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	node.audit = license.Audit{From: 3, Through: 99, Began: 5, Ended: 4, Acknowledged: 3, Waiting: 1, ByWay: map[license.UsageWay]uint64{license.WayRealtime: 1, license.WaySite: 2},
		Findings: []license.Finding{{Kind: license.FoundNoEnd, Seq: 7, Record: "r", User: "ada", Detail: "it is lost"}}, More: 2}
	var a api.UsageAudit
	it.want(t, 200, "", "GET", "/v1/usage/audit", nil).into(t, &a)
	if len(a.Ways) != 2 || a.Ways[0] != (api.UsageWay{Way: "site", Records: 2, Once: true}) || a.Ways[1].Once || len(a.Findings) != 1 || a.Findings[0].Kind != "no-record" || a.More != 2 || a.Through != 99 {
		t.Errorf("got %+v", a)
	}
}

// A start that could not be metered is refused with what to do, until there is room.
func TestNothingIsStartedThatCouldNotBeMetered(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	node.do(t, license.NoteBacklog{Bytes: 100, Most: 100})
	a, err := node.Start(t.Context(), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: license.Machine{Name: "WS-1"}})
	if err != nil || a.Outcome.Denial == nil || a.Outcome.Denial.Reason != license.UsageFull {
		t.Fatalf("got %+v, %v", a.Outcome.Denial, err)
	}
	if statusOf(string(license.UsageFull)) != 503 {
		t.Errorf("the status is %d", statusOf(string(license.UsageFull)))
	}
	var s api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if s.Usage.Backlog != api.BacklogFull || s.Usage.Bytes != 100 || s.Usage.Most != 100 {
		t.Errorf("the status has %+v", s.Usage)
	}
	if !strings.Contains(string(api.OpenAPI()), "usage-full") {
		t.Error("the document does not have usage-full")
	}
}
