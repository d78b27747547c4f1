package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/client/signin"
)

func TestServesThroughItsProxyUntilTold(t *testing.T) {
	dir := t.TempDir()
	secret, ca := filepath.Join(dir, "secret"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(secret, []byte("made-up\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		s := run(ctx, []string{"--listen=127.0.0.1:0", "--control=127.0.0.1:0", "--hosts=cloud.test", "--users=50", "--ca-out=" + ca, "--site=north:" + secret,
			"--issuer=https://cloud.test", "--proxy=127.0.0.1:0", "--proxy-user=svc:" + secret}, os.Getenv, w, &stderr)
		w.Close()
		status <- s
	}()
	said := map[string]string{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		said[word] = strings.TrimSpace(rest)
		if word == "ready" {
			break
		}
	}
	if !strings.HasPrefix(said["ready"], "50 users") {
		t.Fatalf("got %q, stderr %q, want it to be ready", said, &stderr)
	}

	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	way := &url.URL{Scheme: "http", Host: said["proxy"], User: url.UserPassword("svc", "made-up")}
	user := strings.Fields(said["user"]) // the last one printed
	if _, err := signin.SignIn(ctx, signin.Config{Issuer: "https://cloud.test", Proxy: way, CA: pem}, user[1], user[2]); err != nil {
		t.Errorf("signing in through the proxy: %v", err)
	}
	resp, err := http.Get(said["control"] + "/faults")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("control: got %s", resp.Status)
	}
	stop()
	if got := <-status; got != 0 {
		t.Errorf("got status %d, stderr %q, want 0", got, &stderr)
	}
}

func TestHelpSaysWhatItIs(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"--help"}, os.Getenv, &stdout, &stderr); got != 0 || stderr.Len() > 0 {
		t.Errorf("got status %d and %q on stderr, want 0 and nothing", got, &stderr)
	}
	for _, want := range []string{"stand-in", "Example:", "--site"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", &stdout, want)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, s := range []struct {
		args []string
		want int
	}{
		{[]string{"--nope"}, 64}, {[]string{"extra"}, 64}, {[]string{"--site=north"}, 64}, {[]string{"--users=2"}, 64},
		{[]string{"--issuer=cloud.test"}, 64}, {[]string{"--control=0.0.0.0:0"}, 64}, {[]string{"--control=:0"}, 64}, {[]string{"--control=8444"}, 64},
		{[]string{"--proxy-user=svc:" + filepath.Join(t.TempDir(), "none")}, 64},
		{[]string{"--site=north:" + filepath.Join(t.TempDir(), "none")}, 1}, {[]string{"--listen=127.0.0.1:99999"}, 1},
	} {
		var stderr bytes.Buffer
		if got := run(t.Context(), s.args, os.Getenv, io.Discard, &stderr); got != s.want || stderr.Len() == 0 {
			t.Errorf("%q: got %d and %q, want %d and a reason", s.args, got, &stderr, s.want)
		}
	}
}
