package upstream

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"sitegate/upstream/cloudapi"
)

// FuzzAnswers reads what the cloud, or whatever stands in its place, answers: what is not one
// JSON object that fits is garbage and nothing else, and nobody stays away for longer than
// there is reason to.
func FuzzAnswers(f *testing.F) {
	f.Add("application/json", "", "3", []byte(`{"reason":"machine-active","detail":"WS-101"}`))
	f.Add("application/json; charset=utf-8", "", "Sun, 22 Nov 2099 09:00:00 GMT", []byte(` {"checkouts":null}`))
	f.Add("application/json", "gzip", "-1", []byte(`{}`))
	f.Add("text/html", "", "99999999999999999999", []byte(`<html>sign in`))
	f.Add("application/json", "", "", []byte(`{"reason":1}`))
	f.Fuzz(func(t *testing.T, kind, encoding, later string, body []byte) {
		resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}, "Content-Encoding": {encoding}}}
		var p cloudapi.Problem
		err := decode(resp, body, &p)
		switch object := strings.HasPrefix(strings.TrimLeft(string(body), " \t\r\n"), "{"); {
		case err != nil && !errors.Is(err, ErrGarbage):
			t.Errorf("%q: got %v, want it to be garbage", body, err)
		case err == nil && (!object || encoding != ""):
			t.Errorf("%q with the encoding %q is taken: %+v", body, encoding, p)
		}
		if d := retryAfter(later); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: it stays away for %v", later, d)
		}
	})
}
