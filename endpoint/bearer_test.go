package endpoint

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// A page shows its token among the subprotocols. It comes back nowhere, neither in an answer
// nor in the log, and it is taken for the notices only, from a page of this node.
func TestAPageShowsItsTokenAsASubprotocol(t *testing.T) {
	r := newRig(t, filled(t))
	token := r.issuer.token(t, "ada")
	encoded := base64.RawURLEncoding.EncodeToString([]byte(token))
	own := "http://" + strings.TrimPrefix(r.URL, "http://")
	long := api.BearerProtocol + base64.RawURLEncoding.EncodeToString(make([]byte, maxToken+3))
	dial := func(path, origin string, h http.Header, protocols ...string) (*websocket.Conn, *http.Response) {
		t.Helper()
		q := url.Values{"machine": {"m-101"}, "name": {"WS-101"}, "instance": {"i-1"}}
		if h == nil {
			h = http.Header{}
		}
		h.Set("Origin", origin)
		conn, resp, err := (&websocket.Dialer{Subprotocols: protocols}).DialContext(t.Context(), "ws"+strings.TrimPrefix(r.URL, "http")+path+"?"+q.Encode(), h)
		if err != nil && resp == nil {
			t.Fatal(err)
		}
		if conn != nil {
			t.Cleanup(func() { conn.Close() })
		}
		return conn, resp
	}
	for name, protocols := range map[string][]string{"last": {api.NoticesProtocol, api.BearerProtocol + encoded}, "first": {api.BearerProtocol + encoded, api.NoticesProtocol}} {
		conn, resp := dial(api.PathNotices, own, nil, protocols...)
		if conn == nil {
			raw, _ := io.ReadAll(resp.Body)
			t.Fatalf("%s: %s %s", name, resp.Status, raw)
		}
		if got := resp.Header.Values("Sec-Websocket-Protocol"); len(got) != 1 || got[0] != api.NoticesProtocol {
			t.Errorf("%s: %q was chosen", name, got)
		}
		var f api.Frame
		if err := conn.ReadJSON(&f); err != nil || f.Type != api.FrameHello {
			t.Errorf("%s: got %+v, %v, want hello", name, f, err)
		}
	}
	for name, x := range map[string]struct {
		path, origin string
		header       http.Header
		protocols    []string
		want         int
	}{
		"a page of another origin":     {api.PathNotices, "https://evil.example", nil, []string{api.NoticesProtocol, api.BearerProtocol + encoded}, 403},
		"no token":                     {api.PathNotices, own, nil, []string{api.NoticesProtocol}, 401},
		"an empty one":                 {api.PathNotices, own, nil, []string{api.NoticesProtocol, api.BearerProtocol}, 401},
		"not base64url":                {api.PathNotices, own, nil, []string{api.NoticesProtocol, api.BearerProtocol + token}, 401},
		"two":                          {api.PathNotices, own, nil, []string{api.NoticesProtocol, api.BearerProtocol + encoded, api.BearerProtocol + encoded}, 401},
		"too long":                     {api.PathNotices, own, nil, []string{api.NoticesProtocol, long}, 401},
		"without the protocol":         {api.PathNotices, own, nil, []string{api.BearerProtocol + encoded}, 400},
		"beside another Authorization": {api.PathNotices, own, http.Header{"Authorization": {"Basic eA=="}}, []string{api.NoticesProtocol, api.BearerProtocol + encoded}, 401},
		"somewhere else":               {"/v1/me", own, nil, []string{api.NoticesProtocol, api.BearerProtocol + encoded}, 400},
	} {
		conn, resp := dial(x.path, x.origin, x.header, x.protocols...)
		if conn != nil || resp.StatusCode != x.want {
			t.Errorf("%s: %s, want %d", name, resp.Status, x.want)
		}
		raw, _ := io.ReadAll(resp.Body)
		if said := string(raw) + resp.Header.Get("Sec-Websocket-Protocol"); strings.Contains(said, encoded) || strings.Contains(said, token) {
			t.Errorf("%s: the token came back", name)
		}
	}
	if log := r.log.String(); strings.Contains(log, encoded) || strings.Contains(log, token) || strings.Contains(log, api.BearerProtocol) {
		t.Errorf("the token is in the log: %s", log)
	}
}
