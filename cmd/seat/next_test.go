package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestGatewayIsWrittenWithHTTPS(t *testing.T) {
	r := newRig(t)
	asked := false
	plainly := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(plainly.Close)
	for gateway, want := range map[string]string{
		"127.0.0.1:8443":    "write https://127.0.0.1:8443",
		"gw.example":        "write https://gw.example",
		"http://gw.example": "would travel in the clear: write https://gw.example",
		plainly.URL:         "would travel in the clear",
	} {
		got := r.seat("status", "--gateway", gateway)
		r.expect(got, 64, want)
		if strings.Contains(got.stderr, "parse") {
			t.Errorf("%s: it says %q, want no word of a parser", gateway, got.stderr)
		}
	}
	if asked {
		t.Error("a request was sent in the clear")
	}
}

func TestUntrustedGatewaySaysWhichFileIsMissing(t *testing.T) {
	r := newRig(t)
	delete(r.env, "SITEGATE_CA")
	got := r.seat("status")
	r.expect(got, 69, "not by an authority that is known here", "--ca FILE", "site-ca.pem")
	if strings.Contains(got.stderr, "network") {
		t.Errorf("it says %q, want nothing about the network", got.stderr)
	}
}

func TestReturnSaysHowToFindTheID(t *testing.T) {
	r := newRig(t)
	r.expect(r.seat("return", "abc"), 64, `"abc" is not the id of a checkout`, "seat status")
	if n := r.g.Asked("DELETE"); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	r.expect(r.seat("return", "019a9f3e-7a10-7c5e-9d8a-1f0e6a2b3c4d"), 77, "There is no such checkout.", "seat status")
}

func TestLoginThatFailsSaysWhatToDo(t *testing.T) {
	r := newRig(t)
	_, flags := issuer(t, r)
	pw := r.file("pw", "made-up\n")
	r.expect(r.seat(append(flags, "--password-file", pw)...), 77, "password is wrong", "Check --email")
	r.expect(r.seat(append(flags, "--password-file", pw, "--issuer-ca", r.env["SITEGATE_CA"])...), 69, "--issuer-ca FILE")
	r.expect(r.seat(append(flags, "--password-file", pw, "--issuer", "https://other.example")...), 69, "other.example:443", "403")

	direct := []string{"login", "--email", ann, "--password-file", pw, "--token-file", filepath.Join(r.dir, "t.json"), "--timeout", "5s", "--issuer"}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	nowhere := strings.Replace(closed.URL, "http:", "https:", 1)
	r.expect(r.seat(append(direct, nowhere)...), 69, "CONNECT door", "--proxy http://HOST:PORT")
	r.expect(r.seat(append(direct, "https://ims.example", "--proxy", closed.URL)...), 69, "Check --proxy")
	r.expect(r.seat(append(direct, "ims.example")...), 69, "https://HOST")

	for reason, want := range map[string]string{
		"host_not_allowed":   "Ask IT to allow ims.example:443",
		"client_not_allowed": "this computer's network",
		"dial_failed":        "why the gateway does not reach ims.example:443",
		"too_many_tunnels":   "Try again",
		"private_address":    "connect.private",
		"use-relay":          "not for signing in",
	} {
		door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Sitegate-Error", reason)
			w.WriteHeader(http.StatusForbidden)
		}))
		r.expect(r.seat(append(direct, "https://ims.example", "--proxy", door.URL)...), 69, reason, want)
		door.Close()
	}
}
