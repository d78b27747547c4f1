package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/configs"
)

// initFlags is a command line that says it all.
func initFlags(t *testing.T, file string, more ...string) []string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "letter")
	if err := os.WriteFile(secret, []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"init", "--config", file, "--node", "gw1", "--address", "127.0.0.1:18443", "--cloud-url", "https://cloud.plant.test", "--site-id", "4711",
		"--cloud-secret", secret, "--issuer", "https://login.plant.test"}, more...)
}

func TestInitByFlagsAsksNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "sitegate.yaml")
	status, stdout, stderr := sitegate(t, nil, initFlags(t, file, "--proxy", "proxy.test:8080")...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"written: " + file, "cloud.secret", "sitegate check --config " + file, "sitegate doctor --config " + file, "sitegate serve --config " + file} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if status, _, stderr := sitegate(t, nil, "check", "--config", file); status != 0 {
		t.Error(stderr)
	}
	c, _, err := configs.Load(file, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Node != "gw1" || c.Cloud.SiteID != "4711" || c.Egress.Proxy.Address != "proxy.test:8080" || c.Egress.Direct || c.DataDir != filepath.Join(filepath.Dir(file), "data") || c.SignIn[0].Audience != "site-gateway" {
		t.Errorf("got %+v", c)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "hush-hush") || !strings.Contains(string(text), "# How long a desktop that fell silent keeps its license") {
		t.Errorf("the configuration has the secret, or no comments: %v\n%s", err, text)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v; want the configuration and the secret", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want it for this user's eyes", e.Name(), info.Mode(), err)
		}
	}
}

func TestInitReplacesNothingUnasked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sitegate.yaml")
	line := initFlags(t, file, "--direct")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds := func(name, want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(filepath.Dir(file), name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", name, got, err, want)
		}
	}
	if status, _, stderr := sitegate(t, nil, line...); status != 64 || !strings.Contains(stderr, "not replaced without --force") {
		t.Errorf("status %d: %s", status, stderr)
	}
	holds("sitegate.yaml", "mine")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(filepath.Dir(file), "cloud.secret")
	if err := os.WriteFile(secret, []byte("another one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sitegate(t, nil, line...); status != 64 || !strings.Contains(stderr, secret+" is there already") {
		t.Errorf("status %d: %s", status, stderr)
	}
	holds("cloud.secret", "another one\n")
	if status, _, stderr := sitegate(t, nil, append(line, "--force")...); status != 0 {
		t.Errorf("with --force: status %d: %s", status, stderr)
	}
	holds("cloud.secret", "hush-hush\n")
	if status, _, stderr := sitegate(t, nil, append(line, "--force", "--cloud-secret", secret)...); status != 0 {
		t.Errorf("a secret that lies there already: status %d: %s", status, stderr)
	}
	holds("cloud.secret", "hush-hush\n")
}

// What cannot work is said, with what to do, and leaves no file.
func TestInitWritesNothingThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sitegate.yaml")
	for name, c := range map[string]struct {
		line []string
		want string
	}{
		"no way out":        {initFlags(t, file), "say the way out"},
		"two ways out":      {initFlags(t, file, "--direct", "--proxy", "p:1"), "contradicts"},
		"half a cloud":      {[]string{"init", "--config", file, "--direct", "--issuer", "https://x.test", "--cloud-url", "https://c.test"}, "go together"},
		"no issuer":         {[]string{"init", "--config", file, "--direct"}, "--issuer is missing"},
		"no https":          {initFlags(t, file, "--direct", "--issuer", "http://x.test"), "is not https"},
		"an odd address":    {initFlags(t, file, "--direct", "--address", "gw1"), "api.listen"},
		"an odd name":       {initFlags(t, file, "--direct", "--node", "gw 1"), "is not a name"},
		"no such secret":    {initFlags(t, file, "--direct", "--cloud-secret", filepath.Join(dir, "nothing")), "reading a secret"},
		"a CA that is none": {initFlags(t, file, "--direct", "--extra-ca", os.Args[0]), "holds no certificate"},
		"a user, no proxy":  {initFlags(t, file, "--direct", "--proxy-user", "svc", "--proxy-password", "x"), "--proxy-user needs --proxy"},
		"no terminal":       {[]string{"init", "--config", file}, "there is no terminal"},
		"an odd flag":       {[]string{"init", "--isuer", "x"}, "did you mean --issuer?"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, stderr := sitegate(t, nil, c.line...); status != 64 || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d: %s; want %q", status, stderr, c.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// What init writes, the doctor goes by and a node runs with.
func TestInitsConfigurationIsServed(t *testing.T) {
	from, p := writeDoctor(t)
	at := filepath.Dir(from)
	file := filepath.Join(t.TempDir(), "sitegate.yaml")
	status, _, stderr := sitegate(t, nil, "init", "--config", file, "--address", "127.0.0.1:18443", "--cloud-url", "https://cloud.test", "--site-id", "site-1",
		"--cloud-secret", filepath.Join(at, "cloud.secret"), "--issuer", "https://cloud.test", "--extra-ca", filepath.Join(at, "ca.pem"), "--proxy", p.Addr())
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if status, stdout, stderr := sitegate(t, nil, "doctor", "--config", file); status != 0 {
		t.Errorf("the doctor ends with %d: %s\n%s", status, stderr, stdout)
	}
	serveNode(t, file)
	if status, stdout, stderr := sitegate(t, nil, "status", "--config", file); status != 0 || !strings.Contains(stdout, "leader") {
		t.Errorf("status %d: %s\n%s", status, stderr, stdout)
	}
}
