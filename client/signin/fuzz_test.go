package signin

import (
	"testing"
	"time"
)

// FuzzTokenAnswers reads what an issuer answers who is asked for a token: a token and its end,
// or why there is none.
func FuzzTokenAnswers(f *testing.F) {
	f.Add(200, []byte(`{"access_token":"a","refresh_token":"r","expires_in":300}`))
	f.Add(200, []byte(`{"access_token":"a","expires_in":9223372036854775807}`))
	f.Add(200, []byte(`{"access_token":"a","expires_in":-1}`))
	f.Add(400, []byte(`{"error":"authorization_pending"}`))
	f.Add(200, []byte(`{"access_token":""}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		asked := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
		got, code, err := read(page{status: status, body: body}, asked)
		switch {
		case err == nil && code == "" && (got.Access == "" || status != 200):
			t.Errorf("%d %q is taken for a token", status, body)
		case (err != nil || code != "") && got != Tokens{}:
			t.Errorf("%d %q: tokens %+v beside an error", status, body, got)
		case got.Access != "" && (got.Expires.Before(asked) || got.Expires.After(asked.Add((1<<31)*time.Second))):
			t.Errorf("%d %q: it ends at %v", status, body, got.Expires)
		}
	})
}
