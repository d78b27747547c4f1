package endpoint

import (
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// An administrator's act is a record without names; who may see them is told whose the
// pseudonyms are, until they are erased.
func TestTheAuditTrailIsReadAndErased(t *testing.T) {
	r, it := operated(t, filled(t))
	it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
	var page api.AuditPage
	read := func(query string) api.AuditRecord {
		t.Helper()
		page = api.AuditPage{}
		it.want(t, 200, "", "GET", "/v1/audit"+query, nil).into(t, &page)
		for _, x := range page.Items {
			if x.What == "blocked" {
				return x
			}
		}
		t.Fatalf("no record of the block in %+v", page)
		return api.AuditRecord{}
	}
	bare := read("")
	if bare.By == "" || bare.User == "" || bare.Note == "" || bare.ByName+bare.UserName+bare.MachineName+bare.NoteText != "" || bare.By == "ida" || bare.User == "ada" {
		t.Errorf("got %+v, want pseudonyms alone", bare)
	}
	named := read("?names=true")
	if named.ByName != "ida" || named.UserName != "ada" || named.NoteText != acts.Note {
		t.Errorf("got %+v, want ida, ada and why", named)
	}
	it.want(t, 204, "", "POST", "/v1/audit/erase", api.AuditErase{Kind: "user", Name: "ada", By: "dora", Note: "asked for"})
	erased := read("?names=true")
	if erased.ByName != "ida" || erased.UserName != "" || erased.NoteText != "" || erased.Hash != named.Hash || erased.User != named.User {
		t.Errorf("after the erasure: got %+v, want the record as it was, and ida alone named", erased)
	}
	var v api.AuditVerified
	it.want(t, 200, "", "GET", "/v1/audit/verify", nil).into(t, &v)
	if last := page.Items[len(page.Items)-1]; !v.Holds || v.Number != last.Number || v.Hash != last.Hash || v.First != 1 {
		t.Errorf("got %+v, want that it holds up to %d", v, last.Number)
	}
	for _, wrong := range []string{"?after=x", "?limit=0", "?limit=-1", "?names=perhaps", "?what=all"} {
		it.want(t, 400, "", "GET", "/v1/audit"+wrong, nil)
	}
	for _, wrong := range []api.AuditErase{{Kind: "note", Name: "x", By: "dora"}, {Kind: "user", By: "dora"}, {Kind: "user", Name: "ada"}, {Kind: "user", Name: "a\nb", By: "dora"}} {
		it.want(t, 400, "", "POST", "/v1/audit/erase", wrong)
	}
	r.want(t, 403, "ada", "GET", "/v1/audit", nil)
}

// What somebody has done to the records on a node's disk is found, by its number.
func TestATamperedTrailIsToldOf(t *testing.T) {
	_, it := operated(t, filled(t))
	it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
	it.want(t, 204, "", "POST", "/v1/users/ada/unblock", acts)
	it.node.mu.Lock()
	n := len(it.node.trail)
	it.node.trail[n-2].By = it.node.trail[n-2].User
	it.node.mu.Unlock()
	var v api.AuditVerified
	it.want(t, 200, "", "GET", "/v1/audit/verify", nil).into(t, &v)
	if v.Holds || v.Broken != uint64(n-1) || v.Why == "" || v.Number != uint64(n-2) {
		t.Errorf("got %+v, want record %d to be named", v, n-1)
	}
}

// An export is begun, and counts once it is said to be written; what else is said of it
// is not taken.
func TestAnAuditExportCountsOnceItIsWritten(t *testing.T) {
	_, it := operated(t, filled(t))
	it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
	status := func() api.AuditStatus {
		t.Helper()
		var st api.Status
		it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &st)
		return st.Audit
	}
	before := status()
	var mark api.AuditExport
	it.want(t, 200, "", "POST", "/v1/audit/export", api.AuditExport{By: "ida"}).into(t, &mark)
	if mark.Through != before.Number || mark.Hash != before.Hash || status().Exported != 0 {
		t.Errorf("got %+v and %+v, want it to end at %d, and nothing exported yet", mark, status(), before.Number)
	}
	forged := mark
	forged.Hash = strings.Repeat("0", 64)
	it.want(t, 409, "", "POST", "/v1/audit/export", forged)
	forged.Hash = "x"
	it.want(t, 400, "", "POST", "/v1/audit/export", forged)
	it.want(t, 400, "", "POST", "/v1/audit/export", api.AuditExport{})
	for range 2 { // an answer can be lost
		var again api.AuditExport
		it.want(t, 200, "", "POST", "/v1/audit/export", mark).into(t, &again)
		if again != mark {
			t.Errorf("got %+v, want %+v", again, mark)
		}
	}
	if st := status(); st.Exported != mark.Through || st.Kept != st.Number || st.Number != mark.Through+1 {
		t.Errorf("got %+v, want records up to %d exported and none dropped", st, mark.Through)
	}
}

// Records that are too old and were not exported stay, and an alarm says so.
func TestAnOverdueExportIsToldOf(t *testing.T) {
	day, now := 24*time.Hour, license.TimeOf(time.Now())
	trail := license.AuditTrail{Number: 9, Since: now.Add(-10 * day)}
	for name, c := range map[string]struct {
		keep     time.Duration
		exported uint64
		want     bool
	}{"kept for ever": {0, 0, false}, "young": {11 * day, 0, false}, "old": {9 * day, 0, true}, "old, exported": {9 * day, 5, false}} {
		x := trail
		if c.exported > 0 {
			x.Exported = []license.AuditMark{{Through: c.exported, At: now}}
		}
		if got := auditStatus(x, 7, now, c.keep); got.Overdue != c.want {
			t.Errorf("%s: got %+v, want overdue %t", name, got, c.want)
		}
	}
}

// The latest records are given first, page by page, found by what of them may be told. No
// pseudonym is taken for a name: there is no 1 in base32.
func TestTheAuditTrailIsSearchedFromItsEnd(t *testing.T) {
	r := newAdminRig(t, filled(t))
	viewer, operator := r.asAdmin(t, "vera", "looks"), r.asAdmin(t, "otto1", "desk")
	for range 3 {
		r.want(t, 204, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{Note: "left"}, operator)
		r.want(t, 204, "", "POST", "/v1/users/ada/unblock", api.ReleaseRequest{Note: "is back"}, operator)
	}
	read := func(query string, as header) (l api.SiteAuditList) {
		t.Helper()
		r.want(t, 200, "", "GET", api.PathSiteAudit+query, nil, as).into(t, &l)
		return l
	}
	all := read("", viewer)
	if n := len(all.Items); n < 6 || all.Next != "" || all.Items[0].Number != all.Trail.Number || all.Items[0].What != "unblocked" || all.Items[n-1].Number != 1 {
		t.Fatalf("got %+v", all)
	}
	for _, x := range all.Items {
		if x.ByName+x.UserName+x.MachineName+x.NoteText != "" {
			t.Errorf("a viewer is told %+v", x)
		}
	}
	var numbers []uint64
	for l := read("?limit=4", viewer); ; l = read("?limit=4&before="+l.Next, viewer) {
		for _, x := range l.Items {
			numbers = append(numbers, x.Number)
		}
		if l.Next == "" {
			break
		}
	}
	for i, n := range numbers {
		if n != all.Trail.Number-uint64(i) || len(numbers) != len(all.Items) {
			t.Fatalf("page by page there are %v; want %d down to 1", numbers, all.Trail.Number)
		}
	}
	if got := read("?q=otto1+BLOCKED+left", operator); len(got.Items) != 3 || got.Items[0].ByName != "otto1@example.org" || got.Items[0].UserName != "ada" {
		t.Errorf("an operator finds %+v", got.Items)
	}
	if got := read("?q=otto1", viewer); len(got.Items) != 0 || got.Next != "" {
		t.Errorf("a viewer finds %+v by a name", got.Items)
	}
	r.want(t, 400, "", "GET", api.PathSiteAudit+"?limit=0", nil, viewer)
}
