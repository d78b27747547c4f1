package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
)

// day is a user's computer whose settings IT has deployed.
type day struct {
	t   *testing.T
	s   *Site
	dir string
}

func (d *day) seat(args ...string) *Process {
	d.t.Helper()
	env := []string{"SITEGATE_SEAT_CONFIG=" + filepath.Join(d.dir, "seat.yaml"), "SITEGATE_GATEWAY=", "SITEGATE_CA=", "SITEGATE_TOKEN_FILE=",
		"SITEGATE_NOTIFY=off", "SITEGATE_KEYRING=off", "LC_ALL=C", "HOME=" + d.dir, "XDG_CONFIG_HOME=" + d.dir}
	return StartProcess(d.t, "seat "+args[0], env, Program(d.t, "seat"), append([]string{"--machine-name", "WS-101"}, args...)...)
}

// does runs seat to its end.
func (d *day) does(want int, args ...string) string {
	d.t.Helper()
	p := d.seat(args...)
	if got := p.Wait(d.t, 60*time.Second); got != want {
		d.t.Fatalf("seat %v ended with %d, want %d; it wrote:\n%s", args, got, want, p.Output())
	}
	return p.Output()
}

// TestADayAtADesktop: a user signs in with a browser through the gateway's door, looks,
// works, is told, is examined, and signs out, which ends what they run.
func TestADayAtADesktop(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 20)
	s.Cloud.DeviceInterval = time.Second
	d := &day{t: t, s: s, dir: t.TempDir()}
	settings := fmt.Sprintf("gateway: [%s]\nca: site-ca.pem\nsign_in:\n  issuer: %s\n  proxy: %s\n  ca: %s\n", s.Nodes[0].URL, Issuer, s.Nodes[0].Door, filepath.Join(s.Dir, "cloud-ca.pem"))
	for name, content := range map[string]string{"site-ca.pem": string(s.CAPEM), "seat.yaml": settings} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := d.does(77, "status"); !strings.Contains(out, "seat login") {
		t.Errorf("before signing in: %q, want to be told how to", out)
	}

	login := d.seat("login")
	says(t, login, 30*time.Second, "Waiting")
	d.allow(login.Output())
	if status := login.Wait(t, 60*time.Second); status != 0 {
		t.Fatalf("login ended with %d; it wrote:\n%s", status, login.Output())
	}
	user, _ := s.Cloud.User(emulator.UserA)
	if out := d.does(0, "status"); !strings.Contains(out, user.Email) || !strings.Contains(out, emulator.ProductCapped) {
		t.Errorf("status does not name %s and their product:\n%s", user.Email, out)
	}

	watch := d.seat("watch")
	says(t, watch, 30*time.Second, "listening for "+user.Email)
	run := d.seat("run", "--product", emulator.ProductCapped, "--", "sh", "-c", "trap 'echo saved; exit 7' TERM; echo running; while :; do sleep 0.1; done")
	says(t, run, 30*time.Second, "running")
	says(t, watch, 30*time.Second, "has started here")
	if out := d.does(0, "doctor"); !strings.Contains(out, "come by websocket") || !strings.Contains(out, "0 failed") {
		t.Errorf("the doctor says:\n%s\nwant nothing failed", out)
	}
	if status := runSeat(t, s, emulator.UserA, "WS-202", 0, "run", "--product", emulator.ProductCapped, "--", "true").Wait(t, 60*time.Second); status != 77 {
		t.Errorf("another machine ended with %d, want 77, refused", status)
	}
	says(t, watch, 30*time.Second, `"WS-202"`)

	if out := d.does(0, "logout"); !strings.Contains(out, "what you ran on this machine has ended") {
		t.Errorf("logout says %q", out)
	}
	says(t, run, 60*time.Second, "the license is lost", "saved")
	if status := run.Wait(t, 60*time.Second); status != 7 {
		t.Errorf("the program ended with %d, want its own 7", status)
	}
	says(t, watch, 60*time.Second, "signed out")
	if status := watch.Wait(t, 60*time.Second); status != 0 {
		t.Errorf("watch ended with %d after signing out, want 0", status)
	}
	// The first one has signed out: the second machine is free to start (R8).
	if status := runSeat(t, s, emulator.UserA, "WS-202", 0, "run", "--product", emulator.ProductCapped, "--", "true").Wait(t, 60*time.Second); status != 0 {
		t.Errorf("the other machine ended with %d after the first has signed out, want 0", status)
	}
}

// allow is a person who types the code in, in a browser that has the gateway's door for
// a proxy.
func (d *day) allow(said string) {
	d.t.Helper()
	code := regexp.MustCompile(`(?m)^    ([A-Z]{4}-[A-Z]{4})$`).FindStringSubmatch(said)
	if code == nil {
		d.t.Fatalf("no code in:\n%s", said)
	}
	pem, err := os.ReadFile(filepath.Join(d.s.Dir, "cloud-ca.pem"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	door, err := url.Parse(d.s.Nodes[0].Door)
	if err != nil {
		d.t.Fatal(err)
	}
	browser := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(door), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer browser.CloseIdleConnections()
	user, _ := d.s.Cloud.User(emulator.UserA)
	resp, err := browser.PostForm(Issuer+"/device", url.Values{"user_code": {code[1]}, "email": {user.Email}, "password": {emulator.Password(user.ID)}, "do": {"allow"}})
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("the browser got %d, want 200", resp.StatusCode)
	}
}
