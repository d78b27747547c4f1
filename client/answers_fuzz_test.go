package client

import (
	"net/http"
	"testing"

	"sitegate/api"
)

// FuzzAnswers reads what a gateway, or whatever stands in its place, answers instead of what
// was asked for: it says something, and nobody comes back at once or never for it.
func FuzzAnswers(f *testing.F) {
	f.Add(409, api.ProblemType, "", []byte(`{"type":"x","code":"machine-active","title":"t","detail":"d","next":["n"],"retry_after_ms":1500}`))
	f.Add(503, api.ProblemType, "7", []byte(`{"code":"no-quorum"}`))
	f.Add(429, api.ProblemType+"; charset=utf-8", "99999999999999999999", []byte(`{"code":"too-many-requests","retry_after_ms":-1}`))
	f.Add(503, api.ProblemType, "", []byte(`{"code":"no-quorum","retry_after_ms":9223372036854775807}`))
	f.Add(200, "text/html", "", []byte(`<html>sign in to the network`))
	f.Fuzz(func(t *testing.T, status int, kind, later string, body []byte) {
		resp := &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {kind}, "Retry-After": {later}}}
		e := lang("fr").problem("https://gw1.example", resp, body)
		if e.Code == "" || e.Status != status || e.Error() == "" {
			t.Errorf("%q is read as %+v, which says nothing", body, e)
		}
		if d := after(e); d < 0 || d > maxAfter {
			t.Errorf("%q: it comes back after %v, want up to %v", body, d, maxAfter)
		}
		_, _ = e.Denied(), e.retry()
	})
}
