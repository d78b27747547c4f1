package egress_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sitegate/upstream/egress"
)

// pacServer serves what body says, and counts.
func pacServer(t *testing.T, body *atomic.Pointer[string]) (url string, fetched *atomic.Int32) {
	t.Helper()
	fetched = new(atomic.Int32)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		b := body.Load()
		if b == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
		io.WriteString(w, *b)
	})}
	ln := listen(t)
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return "http://" + ln.Addr().String() + "/proxy.pac", fetched
}

func TestPAC(t *testing.T) {
	p := (&corporate{offers: []string{`Basic realm="x"`}, user: corpUser, password: corpPass}).start(t)
	src := fmt.Sprintf(`function FindProxyForURL(url, host) { return host === "a.test" && url === "https://a.test/" ? "PROXY %s; PROXY %s" : "DIRECT" }`, dead(t), p.addr)
	var body atomic.Pointer[string]
	body.Store(&src)
	url, fetched := pacServer(t, &body)
	dir := t.TempDir()
	cfg := egress.Config{PAC: &egress.PAC{URL: url}, StateDir: dir, Proxies: []egress.Proxy{{Name: "ours", Address: p.addr, Username: corpUser, PasswordFile: file(t, corpPass, 0o600)}}}
	d := dialer(t, cfg)
	if got := fetched.Load(); got != 0 {
		t.Errorf("fetched %d times before anybody has dialled", got)
	}
	for range 3 {
		if err := echo(t, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := fetched.Load(); got != 1 {
		t.Errorf("fetched %d times for three connections, want 1", got)
	}
	names, err := d.Candidates(t.Context(), "other.test:443")
	if err != nil || fmt.Sprint(names) != "[direct]" {
		t.Errorf("got %v, %v, want what the file says", names, err)
	}
	s := d.Status()
	if last := s[len(s)-1]; last.Name != "pac" || last.State != egress.Well {
		t.Errorf("got %+v, want the file well", last)
	}

	// The server is gone, and the gateway starts anew: the copy on disk is used.
	for name, broken := range map[string]*string{"gone": nil, "a page": ptr("<html>Sign in</html>"), "without the function": ptr("var x"), "endless": ptr("x = '" + strings.Repeat("x", 1<<20) + "'")} {
		body.Store(broken)
		d = dialer(t, cfg)
		if err := echo(t, d); err != nil {
			t.Errorf("%s: got %v, want the copy used", name, err)
		}
		s := d.Status()
		last := s[len(s)-1]
		if last.State != egress.Failing {
			t.Errorf("%s: got %+v, want it to be told", name, last)
		}
		wantCode(t, last.Err, egress.PACFailed, "; the copy of 20")
	}
	// Without a copy there is no way out, and never directly.
	cfg.StateDir = ""
	body.Store(nil)
	d = dialer(t, cfg)
	_, err = d.DialContext(t.Context(), "tcp", p.addr)
	wantCode(t, err, egress.PACFailed, "HTTP 404", "Nothing is connected directly")
	cfg.StateDir = filepath.Join(dir, "not there")
	body.Store(&src)
	if err := echo(t, dialer(t, cfg)); err != nil {
		t.Errorf("where no copy can be kept: got %v, want it to work all the same", err)
	}
}

func ptr(s string) *string { return &s }

func TestPACThatFailsIsNoDirectConnection(t *testing.T) {
	target := (&corporate{}).start(t)
	for name, src := range map[string]string{
		"empty":       `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : "" }`,
		"null":        `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : null }`,
		"throws":      `function FindProxyForURL(url, host) { if (host === "localhost") return "DIRECT"; throw "no" }`,
		"nonsense":    `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : "DIRECTLY" }`,
		"SOCKS4":      `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : "SOCKS4 h:1" }`,
		"no function": `var x`,
	} {
		d := dialer(t, egress.Config{PAC: &egress.PAC{File: file(t, src, 0o644)}})
		c, err := d.DialContext(t.Context(), "tcp", target.addr)
		if err == nil {
			c.Close()
			t.Errorf("%s: got a connection", name)
			continue
		}
		wantCode(t, err, egress.PACFailed)
	}
	many := dialer(t, egress.Config{PAC: &egress.PAC{File: file(t, `function FindProxyForURL(url, host) { return "PROXY " + host + ":1" }`, 0o644)}})
	var last error
	for i := range 100 {
		_, last = many.Candidates(t.Context(), fmt.Sprintf("h%d.test:443", i))
	}
	wantCode(t, last, egress.PACFailed, "more than 64 proxies")
}

// A reload while the PAC file cannot be had goes on with what is known of it.
func TestReloadKeepsThePACFile(t *testing.T) {
	p := (&corporate{}).start(t)
	src := fmt.Sprintf(`function FindProxyForURL(url, host) { return "PROXY %s" }`, p.addr)
	var body atomic.Pointer[string]
	body.Store(&src)
	url, _ := pacServer(t, &body)
	cfg := egress.Config{PAC: &egress.PAC{URL: url}}
	d := dialer(t, cfg)
	if err := echo(t, d); err != nil {
		t.Fatal(err)
	}
	body.Store(nil)
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if err := echo(t, d); err != nil {
		t.Errorf("got %v, want the file that was read before", err)
	}
	until(t, "the file is told to fail", func() bool { s := d.Status(); return s[len(s)-1].State == egress.Failing })
	cfg.PAC = &egress.PAC{URL: url + "?other"}
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	wantCode(t, echo(t, d), egress.PACFailed) // what another file says is not this one's
}
