package egress_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sitegate/upstream/egress"
)

// A PAC file's server may send on to another, and not to another protocol, from https to http, or
// round and round. Where it is not followed there is no way out, and never a direct one; whoever
// it is sent on to is told nothing but what is asked for.
func TestWhereAPACFileIsSentOnTo(t *testing.T) {
	p := (&corporate{}).start(t)
	src := fmt.Sprintf(`function FindProxyForURL(url, host) { return "PROXY %s" }`, p.addr)
	onDisk := file(t, src, 0o644)
	var asked atomic.Int32
	last := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for _, h := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
			if v := r.Header.Get(h); v != "" {
				t.Errorf("the server that it is sent on to is told %s: %s", h, v)
			}
		}
		if strings.Contains(r.Referer(), "secret") {
			t.Errorf("the server that it is sent on to is told the referer %s", r.Referer())
		}
		fmt.Fprint(w, src)
	}))
	t.Cleanup(last.Close)
	var to atomic.Pointer[string]
	send := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Location", *to.Load())
		w.WriteHeader(http.StatusFound)
		fmt.Fprint(w, src) // which counts for nothing
	})
	plain, secure := httptest.NewServer(send), httptest.NewTLSServer(send)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	root := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})), 0o644)
	elsewhere := strings.Replace(last.URL, "127.0.0.1", "localhost", 1)

	for name, c := range map[string]struct{ from, to, why string }{
		"to another host":            {plain.URL, elsewhere, ""},
		"to another port":            {plain.URL, last.URL, ""},
		"to a file":                  {plain.URL, "file://" + onDisk, "which is not of the web"},
		"to a file of another host":  {plain.URL, "file://localhost" + onDisk, "which is not of the web"},
		"to FTP":                     {plain.URL, "ftp://127.0.0.1" + onDisk, "which is not of the web"},
		"to its own text":            {plain.URL, "data:text/plain," + src, "which is not of the web"},
		"from https to http":         {secure.URL, last.URL, "from https to http"},
		"from https to another http": {secure.URL, elsewhere, "from https to http"},
		"to itself":                  {plain.URL, "/again", "more than 3 times"},
		"to nowhere":                 {plain.URL, "http://", "no Host"},
	} {
		t.Run(name, func(t *testing.T) {
			before := asked.Load()
			to.Store(&c.to)
			d := dialer(t, egress.Config{PAC: &egress.PAC{URL: c.from + "/secret/proxy.pac"}, ExtraCA: []egress.ExtraCA{{File: root, Hosts: []string{"127.0.0.1"}}}})
			err := echo(t, d)
			if c.why == "" {
				if err != nil || asked.Load() == before {
					t.Errorf("got %v, asked %d times; want the file that it is sent on to", err, asked.Load()-before)
				}
				return
			}
			wantCode(t, err, egress.PACFailed, c.why)
			if n := asked.Load(); n != before {
				t.Errorf("%d were asked that must not be", n-before)
			}
		})
	}
}
