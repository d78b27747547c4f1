package endpoint

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// added is a rig with a route that was added, and how often it was served.
func added(t *testing.T, r *rig, h func(http.ResponseWriter, *http.Request)) (served *int) {
	t.Helper()
	served = new(int)
	r.e.Administer("GET /v1/added", license.Admin, license.ClusterScope, r.e.Recorded("backup-taken", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		*served++
		h(w, req)
	})))
	return served
}

// A page of another site cannot lead a browser that is signed in to what was added; what shows a
// token is not led, and where the browser says nothing or has typed the address, it may.
func TestOtherSitesPagesLeadToNothingThatIsAdded(t *testing.T) {
	r := withAccount(t, "admin")
	served := added(t, r, func(http.ResponseWriter, *http.Request) {})
	c := cookieOf(signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword})))
	for _, site := range []string{"cross-site", "same-site"} {
		if p := r.want(t, 403, "", "GET", "/v1/added", nil, c, header{"Sec-Fetch-Site": site}).problem(t); p.Code != api.CodeForbidden || !strings.Contains(p.Detail, "page of another site") {
			t.Errorf("led there %s: %+v", site, p)
		}
	}
	if *served != 0 {
		t.Fatalf("it was served %d times", *served)
	}
	for _, h := range []header{{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}} {
		r.want(t, 200, "", "GET", "/v1/added", nil, c, h)
	}
	for _, as := range []header{r.asAdmin(t, "ida", "all"), r.scoped(t, "admin", "cluster")} {
		r.want(t, 200, "", "GET", "/v1/added", nil, as, header{"Sec-Fetch-Site": "cross-site"})
	}
	if *served != 5 {
		t.Errorf("it was served %d times; want 5", *served)
	}
}

// What the audit trail cannot have is not done for who asks over the network; on the operator's
// socket it is.
func TestWhatCannotBeNotedIsDoneOnTheSocketOnly(t *testing.T) {
	r := newAdminRig(t, filled(t))
	served := added(t, r, func(http.ResponseWriter, *http.Request) {})
	admin := r.asAdmin(t, "ida", "all")
	for _, err := range []error{gateway.ErrNoLeader, gateway.ErrUnknown} {
		r.node.mu.Lock()
		r.node.err = err
		r.node.mu.Unlock()
		if p := r.want(t, 503, "", "GET", "/v1/added", nil, admin).problem(t); p.Code != api.CodeNoQuorum || p.RetryAfterMS == 0 || p.RequestID == "" {
			t.Errorf("with %v: %+v", err, p)
		}
	}
	if *served != 0 {
		t.Errorf("it was served %d times", *served)
	}
	w := httptest.NewRecorder()
	if r.e.Operator().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/added", nil)); w.Code != 200 || *served != 1 {
		t.Errorf("on the socket: %d, and it was served %d times", w.Code, *served)
	}
	r.node.mu.Lock()
	r.node.err = nil
	r.node.mu.Unlock()
	r.want(t, 200, "", "GET", "/v1/added", nil, admin)
	if log := r.want(t, 200, "", "GET", api.PathSiteAudit, nil, admin); strings.Count(string(log.raw), "backup-taken") != 1 {
		t.Errorf("the audit trail has %s", log.raw)
	}
}

// Who goes along the way out themselves does so alone, and the audit trail has it; what they
// cannot do they tell as the API does.
func TestTheWayOutIsExaminedFromElsewhereByOne(t *testing.T) {
	r := newAdminRig(t, filled(t))
	added(t, r, func(w http.ResponseWriter, req *http.Request) {
		over, err := r.e.Examine(req.Context())
		if err != nil {
			r.e.Refuse(w, err)
			return
		}
		defer over()
		_, err = r.e.Examine(req.Context()) // somebody else comes
		r.e.Refuse(w, err)
	})
	for range 2 {
		a := r.want(t, 429, "", "GET", "/v1/added", nil, r.asAdmin(t, "ida", "all"), header{"Accept-Language": "de"})
		p := a.problem(t)
		if p.Code != api.CodeTooMany || p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") || p.RetryAfterMS < doctorAgain.Milliseconds() || a.Header.Get("Retry-After") == "" || len(p.Next) == 0 ||
			a.Header.Get("Content-Language") != "de" || !strings.Contains(p.Detail, "is being examined") {
			t.Errorf("refused with %+v and %v", p, a.Header)
		}
	}
	if log := r.want(t, 200, "", "GET", api.PathSiteAudit, nil, r.asAdmin(t, "ida", "all")); strings.Count(string(log.raw), actExamined) != 2 {
		t.Errorf("the audit trail has %s", log.raw)
	}
}
