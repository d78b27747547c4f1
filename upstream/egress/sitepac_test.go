package egress_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sitegate/upstream/egress"
)

// The site's own file is handed on as it is, in UTF-8; what is no good does not take its place, also not after a new start.
func TestTheSitesFileIsHandedOn(t *testing.T) {
	const good = "// b\xfcro\nfunction FindProxyForURL(url, host) { return \"PROXY old.test:3128\" }"
	var body atomic.Pointer[string]
	url, _ := pacServer(t, &body)
	dir := t.TempDir()
	cfg := egress.Config{Direct: true, StateDir: dir}
	site := func() *egress.SitePAC { return dialer(t, cfg).SitePAC(egress.PAC{URL: url}, "a gateway's mark") }

	if text, err := site().Text(t.Context()); err == nil {
		t.Errorf("got %q of nothing", text)
	} else if e := (*egress.Error)(nil); !errors.As(err, &e) || e.Code != egress.PACFailed {
		t.Errorf("got %v, want %s", err, egress.PACFailed)
	}
	body.Store(ptr(good))
	const want = "// büro\nfunction FindProxyForURL(url, host) { return \"PROXY old.test:3128\" }"
	if text, err := site().Text(t.Context()); err != nil || text != want {
		t.Fatalf("got %q, %v, want %q", text, err, want)
	}
	for name, bad := range map[string]*string{"gone": nil, "a page": ptr("<html>"), "no script": ptr("function ("), "one that breaks": ptr("throw 1"), "without the function": ptr("var x = 1"),
		"a gateway's own": ptr(good + "// a gateway's mark"), "too large": ptr(good + strings.Repeat(" ", 1<<20))} {
		body.Store(bad)
		if text, err := site().Text(t.Context()); err != nil || text != want {
			t.Errorf("%s: got %q, %v, want the last good one", name, text, err)
		}
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "desktops-*.pac")); len(list) != 1 {
		t.Errorf("the copies are %v, want one", list)
	}

	// It is kept apart from the gateway's own, and outlives a reload.
	body.Store(ptr(good))
	d := dialer(t, cfg)
	s := d.SitePAC(egress.PAC{URL: url}, "")
	if _, err := s.Text(t.Context()); err != nil {
		t.Fatal(err)
	}
	body.Store(nil)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Text(t.Context()); err != nil || text != want {
		t.Errorf("after a reload: %q, %v", text, err)
	}
}

func TestAnswersAreChecked(t *testing.T) {
	for s, good := range map[string]bool{"DIRECT": true, "PROXY a.test:8080; DIRECT": true, "": false, "PROXY": false, "nonsense": false, "PROXY a b": false} {
		if err := egress.CheckAnswer(s); (err == nil) != good {
			t.Errorf("%q: %v", s, err)
		}
	}
}
