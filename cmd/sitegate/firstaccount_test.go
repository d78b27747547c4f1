package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/license"
	"sitegate/notice"
)

// As long as there is no account, the node that leads has a good token in a file for its
// user alone, over restarts, too; the log says where, and only a terminal what. With
// an account the file is gone.
func TestTheFirstAccountsTokenIsInAFile(t *testing.T) {
	config := writeSingle(t)
	gw, _, end := nodeAt(t, config, time.Now())
	t.Cleanup(end)
	ep, err := endpoint.New(endpoint.Config{Gateway: gw, Hub: notice.New(0, 0), Logger: slog.New(slog.DiscardHandler), KeysDir: t.TempDir(),
		Issuers: []endpoint.Issuer{{URL: "https://sign-in.example", Audience: "site", Client: http.DefaultClient}}})
	if err != nil {
		t.Fatal(err)
	}
	c := configs.Default()
	c.Node, c.DataDir, c.API.URL = "node1", filepath.Dir(config), "https://gw.example:8443"
	var lines, terminal bytes.Buffer
	leads := false
	node := func() *firstAccount {
		return &firstAccount{c: c, ep: ep, leads: func() bool { return leads }, log: slog.New(slog.NewTextHandler(&lines, nil))}
	}
	f := node()
	look := func() string {
		t.Helper()
		if err := f.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(firstTokenFile(c))
		return strings.TrimSpace(string(text))
	}
	if got := look(); got != "" {
		t.Errorf("a node that does not lead has the token %q", got)
	}
	leads = true
	token := look()
	about, err := os.Stat(firstTokenFile(c))
	if err != nil || about.Mode().Perm() != 0o600 {
		t.Fatalf("the file: %v, %v", about, err)
	}
	if needed, mine, _ := ep.FirstAccount("node1", token); !needed || mine <= firstRenew {
		t.Errorf("the token is good for %v", mine)
	}
	f = node() // started anew, at a terminal
	f.people = &terminal
	if got := look(); got != token || look() != token {
		t.Errorf("another token %q after a restart", got)
	}
	if n := strings.Count(lines.String(), firstTokenFile(c)); n != 2 || strings.Contains(lines.String(), token) {
		t.Errorf("the log has the file's name %d times, or the token:\n%s", n, &lines)
	}
	if strings.Count(terminal.String(), token) != 1 || !strings.Contains(terminal.String(), c.API.URL+"/console/sign-in/first") {
		t.Errorf("the terminal has %q", &terminal)
	}

	// The file was lost: there is another token.
	if err := os.Remove(firstTokenFile(c)); err != nil {
		t.Fatal(err)
	}
	if got := look(); got == "" || got == token {
		t.Errorf("after the file was lost it has %q", got)
	}
	// Another node, which led meanwhile, has made one: this one's is good no more.
	if _, err := ep.OfferFirstAccount(t.Context(), "node2", endpoint.NewFirstToken()); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "" || look() != "" {
		t.Errorf("with a good token of another node there is %q", got)
	}
	if a, err := gw.EndCredential(t.Context(), license.EndCredential{Kind: license.FirstAccount, Name: "first account", By: "ida"}); err != nil || a.Outcome.Denial != nil {
		t.Fatal(err, a.Outcome.Denial)
	}
	if leads = false; look() != "" {
		t.Error("a node that does not lead makes a token")
	}
	leads = true
	look()
	if a, err := gw.SetLocalAccount(t.Context(), license.SetLocalAccount{Name: "ida", Role: license.Admin, Hash: "$argon2id$v=19$x", By: "root"}); err != nil || a.Outcome.Denial != nil {
		t.Fatal(err, a.Outcome.Denial)
	}
	if got := look(); got != "" {
		t.Errorf("with an account there is the token %q", got)
	}
	if a, err := gw.RemoveLocalAccount(t.Context(), license.RemoveLocalAccount{Name: "ida", By: "root"}); err != nil || a.Outcome.Denial != nil {
		t.Fatal(err, a.Outcome.Denial)
	}
	if look() == "" {
		t.Error("without an account again there is no token")
	}
}
