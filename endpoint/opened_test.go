package endpoint

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// historyRead is what the audit trail has of histories that were looked at: who, whose and why.
func (r *rig) historyRead(t *testing.T) []string {
	t.Helper()
	page, _, err := r.node.audited(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, a := range page {
		if a.What != "history-read" {
			continue
		}
		r.node.View(func(s *license.State) {
			text := func(name string) string { v, _ := s.Unveil(name); return v.Text }
			list = append(list, strings.Join([]string{text(a.By), a.Via, text(a.User), text(a.Machine), text(a.Note)}, "|"))
		})
	}
	return list
}

func wantRead(t *testing.T, r *rig, want ...string) {
	t.Helper()
	if got := strings.Join(r.historyRead(t), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the audit trail has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// A history is shown to who says why, which the audit trail has once.
func TestAHistoryWantsAReason(t *testing.T) {
	r := newAdminRig(t, filled(t))
	ida, max := r.asAdmin(t, "ida", "looks"), r.asAdmin(t, "max", "desk")
	r.begin(t, "ada", "road", ws101)
	for _, path := range []string{"/v1/site/history?user=ada", "/v1/site/history?user=ada&reason=", "/v1/site/history?user=ada&reason=++", "/v1/site/history?machine=WS-101",
		"/v1/site/history?user=ada&reason=" + strings.Repeat("x", 257), "/v1/site/history?user=ada&reason=a%0ab", "/v1/site/history?user=a%00&reason=x"} {
		if a := r.want(t, 400, "", "GET", path, nil, ida); strings.Contains(string(a.raw), "WS-101") {
			t.Errorf("%s tells %s", path, a.raw)
		}
	}
	wantRead(t, r)
	var l api.OpenList
	r.want(t, 200, "", "GET", "/v1/site/open?user=ada", nil, ida).into(t, &l)
	if len(l.Items) != 1 {
		t.Errorf("what is open wants a reason, too: %+v", l)
	}
	history := func(path string, h header) {
		t.Helper()
		var l api.HistoryList
		if r.want(t, 200, "", "GET", path, nil, h).into(t, &l); len(l.Items) != 1 {
			t.Errorf("%s has %+v, want that ada started", path, l.Items)
		}
	}
	const ada = "/v1/site/history?user=ada&reason="
	history(ada+"ticket+7", ida)
	history(ada+"+ticket+7&by=somebody", ida) // who was let in it is
	history(ada+"ticket+7&limit=1", ida)
	one := "ida@example.org|oidc|ada||ticket 7"
	wantRead(t, r, one)
	history(ada+"ticket+8", ida)
	history(ada+"ticket+7", max)
	history("/v1/site/history?machine=ws-101&reason=ticket+7", max)
	history("/v1/site/history?machine=WS-101&user=ada&reason=ticket+7", max)
	wantRead(t, r, one, "ida@example.org|oidc|ada||ticket 8", "max@example.org|oidc|ada||ticket 7", "max@example.org|oidc||ws-101|ticket 7", "max@example.org|oidc|ada|WS-101|ticket 7")
}

// Where the audit trail cannot have it, nothing is shown.
func TestNoHistoryWithoutItsRecord(t *testing.T) {
	r := newAdminRig(t, filled(t))
	ida := r.asAdmin(t, "ida", "looks")
	r.begin(t, "ada", "road", ws101)
	r.node.mu.Lock()
	r.node.err = gateway.ErrUnknown
	r.node.mu.Unlock()
	if a := r.want(t, 503, "", "GET", "/v1/site/history?user=ada&reason=ticket+7", nil, ida); a.problem(t).Code != api.CodeNoQuorum || strings.Contains(string(a.raw), "WS-101") {
		t.Errorf("it tells %s", a.raw)
	}
}

// A page of another site leads nobody's browser to a history, with a reason of its own.
func TestNoHistoryFromElsewhere(t *testing.T) {
	r := newRig(t, filled(t))
	ask := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/site/history?user=ada&reason=x", nil)
	ask.Header.Set("Sec-Fetch-Site", "cross-site")
	for way, want := range map[Way]int{ByAccount: http.StatusForbidden, BySocket: http.StatusOK} {
		w := httptest.NewRecorder()
		r.e.Within().ServeHTTP(w, ask.WithContext(context.WithValue(ask.Context(), administratorKey{}, Administrator{Name: "ida", Way: way, Role: license.Admin})))
		if w.Code != want {
			t.Errorf("%s is answered %d, want %d: %s", way, w.Code, want, w.Body)
		}
	}
}

// Who is looked up by a pseudonym is in the audit trail themselves; who only looks, and asks
// for somebody who is hidden by their own name, finds out nothing and has looked at nobody.
func TestWhoIsHiddenIsInTheAuditTrail(t *testing.T) {
	r := hidingRig(t)
	viewer := r.asAdmin(t, "ida", "looks")
	r.begin(t, "ada", "road", ws101)
	r.want(t, 200, "", "GET", "/v1/site/history?reason=x&user=ada", nil, viewer)
	wantRead(t, r)
	r.want(t, 200, "", "GET", "/v1/site/history?reason=x&user="+called("user", "ada"), nil, viewer)
	r.want(t, 200, "", "GET", "/v1/site/history?reason=x&machine="+called("machine", "WS-101"), nil, viewer)
	wantRead(t, r, "ida@example.org|oidc|ada||x", "ida@example.org|oidc||WS-101|x")
}

// What was noted is noted again after a while, and what is remembered is bounded.
func TestOpeningsAreRemembered(t *testing.T) {
	var o openings
	at := time.Now()
	ada := opening{by: "ida", user: "ada", reason: "x"}
	if o.has(ada, at) {
		t.Error("it is there before it was")
	}
	o.add(ada, at)
	if !o.has(ada, at.Add(openedFor-1)) || o.has(ada, at.Add(openedFor)) || o.has(opening{by: "max", user: "ada", reason: "x"}, at) {
		t.Error("it is not remembered for as long as it should be")
	}
	for range 3 * mostOpened {
		ada.user += "a"
		o.add(ada, at)
	}
	if len(o.last) > mostOpened || !o.has(ada, at) {
		t.Errorf("%d are remembered", len(o.last))
	}
	o.add(ada, at.Add(openedFor))
	if len(o.last) != 1 {
		t.Errorf("%d that are over are remembered", len(o.last)-1)
	}
}
