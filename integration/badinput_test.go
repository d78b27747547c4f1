package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

func TestBadRequestsAreAnsweredWithAProblemAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 20)
	n := s.Nodes[0]
	good := s.Token(t, emulator.UserA)
	expired, err := s.Cloud.UserToken(Issuer, emulator.UserA, -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &emulator.Emulator{Issuer: Issuer} // another key, the same name
	stranger.Seed(3)
	foreign, err := stranger.UserToken(Issuer, emulator.UserA, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	start := func(product string) string {
		return `{"id":"0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f","product":"` + product + `","machine":{"id":"m1","name":"WS-101"}}`
	}
	fine := start(emulator.ProductCapped)
	cases := []struct {
		name, method, path, token, body string
		status                          int
		code                            string
	}{
		{"no token", "POST", api.PathSessions, "", fine, 401, api.CodeUnauthorized},
		{"expired token", "POST", api.PathSessions, expired, fine, 401, api.CodeUnauthorized},
		{"token of another issuer's key", "POST", api.PathSessions, foreign, fine, 401, api.CodeUnauthorized},
		{"no token at all", "POST", api.PathSessions, "nonsense", fine, 401, api.CodeUnauthorized},
		{"user who is not in the mirror", "POST", api.PathSessions, s.leaver(t), fine, 403, "unknown-user"},
		{"unknown product", "POST", api.PathSessions, good, start("no-such"), 404, "unknown-product"},
		{"product that is not assigned", "POST", api.PathSessions, good, start("3104"), 403, "not-assigned"},
		{"unknown field", "POST", api.PathSessions, good, strings.Replace(fine, `"id"`, `"force":true,"id"`, 1), 400, api.CodeMalformed},
		{"not JSON", "POST", api.PathSessions, good, "start please", 400, api.CodeMalformed},
		{"half of it", "POST", api.PathSessions, good, fine[:40], 400, api.CodeMalformed},
		{"two of them", "POST", api.PathSessions, good, fine + fine, 400, api.CodeMalformed},
		{"empty", "POST", api.PathSessions, good, "", 400, api.CodeMalformed},
		{"too large", "POST", api.PathSessions, good, strings.Repeat(" ", 1<<20) + fine, 413, api.CodeTooLarge},
		{"an id that is none", "POST", api.PathSessions, good, strings.Replace(fine, "0197a5b2", "zzzz", 1), 400, api.CodeMalformed},
		{"a name of 10 KB", "POST", api.PathSessions, good, strings.Replace(fine, "WS-101", strings.Repeat("W", 10<<10), 1), 400, api.CodeMalformed},
		{"wrong method", "PATCH", api.PathSessions, good, fine, 405, api.CodeMethod},
		{"no such path", "GET", "/v2/sessions", good, "", 404, api.CodeNotFound},
		{"a session that is not there", "DELETE", api.PathSessions + "/0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e60?machine=m1", good, "", 404, "unknown-session"},
	}
	before, err := s.Status(n)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, n.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := s.HTTP().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var p api.Problem
			if err := json.Unmarshal(b, &p); err != nil {
				t.Fatalf("%s: %s: no problem document: %v", resp.Status, b, err)
			}
			if resp.StatusCode != c.status || p.Code != c.code || p.Type != api.ProblemBase+c.code {
				t.Errorf("got %d %s (%s), want %d %s", resp.StatusCode, p.Code, p.Type, c.status, c.code)
			}
			if ct := resp.Header.Get("Content-Type"); ct != api.ProblemType {
				t.Errorf("got content type %q, want %q", ct, api.ProblemType)
			}
			if p.Detail == "" || p.Title == "" || len(p.Next) == 0 {
				t.Errorf("got %+v, want a title, a sentence and a next step", p)
			}
			if p.RequestID == "" || ids[p.RequestID] {
				t.Errorf("got request id %q, want one of its own", p.RequestID)
			}
			ids[p.RequestID] = true
			if c.token != "" && c.token != "nonsense" && bytes.Contains(b, []byte(c.token)) {
				t.Error("the answer repeats the token")
			}
		})
	}
	after, err := s.Status(n)
	if err != nil {
		t.Fatal(err)
	}
	if before.Counts != after.Counts {
		t.Errorf("counts went from %+v to %+v", before.Counts, after.Counts)
	}
	for _, token := range []string{good, expired, foreign} {
		if strings.Contains(n.Output(), token) || strings.Contains(n.Output(), token[len(token)-40:]) {
			t.Error("the log has a token in it")
		}
	}
	for _, secret := range []string{"the site's secret", "p@ss: wörd%"} {
		if strings.Contains(n.Output(), secret) {
			t.Errorf("the log has a secret in it: %s", secret)
		}
	}
}

// leaver is a token of a user who has been deleted in the cloud since.
func (s *Site) leaver(t *testing.T) string {
	t.Helper()
	n := len(s.Cloud.Users())
	s.Cloud.PutUser(cloudapi.User{ID: "u-99999", Email: "gone@harbour-works.example", Country: "FR"})
	token := s.Token(t, "u-99999")
	mirrored := func(n int) {
		Eventually(t, 10*time.Second, "the change in the mirror", func() error {
			st, err := s.Status(s.Nodes[0])
			if err == nil && st.Counts.Users != n {
				err = fmt.Errorf("%d users, want %d", st.Counts.Users, n)
			}
			return err
		})
	}
	mirrored(n + 1)
	s.Cloud.DeleteUser("u-99999")
	mirrored(n)
	return token
}

func TestAWrongConfigurationIsToldInFull(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sitegate.yaml")
	if err := os.WriteFile(file, []byte("nod: x\nlimits: {burst: -1}\nrules: {lease_ttl: 5s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "serve"} {
		p := StartProcess(t, command, nil, Program(t, "sitegate"), command, "--config", file)
		if status := p.Wait(t, 20*time.Second); status != 64 {
			t.Errorf("%s ended with status %d, want 64", command, status)
		}
		for _, want := range []string{"nod", "node", "limits.burst", "rules.lease_ttl", "sign_in"} {
			if !strings.Contains(p.Output(), want) {
				t.Errorf("%s does not name %s:\n%s", command, want, p.Output())
			}
		}
	}
}

func TestASecondProcessAndAStrangerAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 10)

	ports := FreePorts(t, 4)
	again := StartProcess(t, "the same folder again", []string{"SITEGATE_CLUSTER_LISTEN=" + ports[3]}, Program(t, "sitegate"), "serve", "--config", s.Nodes[0].Config)
	if status := again.Wait(t, 20*time.Second); status == 0 || !strings.Contains(again.Output(), "data folder") {
		t.Errorf("a data folder in use: status %d, %s", status, again.Output())
	}

	// The same node, from a copy of its folder without its data, elsewhere.
	twin := filepath.Join(s.Dir, "twin")
	if err := os.Mkdir(twin, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(s.Nodes[0].Config), "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(twin, filepath.Base(file)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"SITEGATE_CLUSTER_LISTEN=" + ports[0], "SITEGATE_API_LISTEN=" + ports[1], "SITEGATE_CONNECT_LISTEN=" + ports[2]}
	second := StartProcess(t, "a second node1", env, Program(t, "sitegate"), "serve", "--config", filepath.Join(twin, "sitegate.yaml"))
	if status := second.Wait(t, 20*time.Second); status == 0 || !strings.Contains(second.Output(), "node1") {
		t.Errorf("a second node of the same name: status %d, %s", status, second.Output())
	}

	// A node of another cluster that was told these peers.
	other := NewSite(t, 1, 10)
	text, err := os.ReadFile(other.Nodes[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	other.Nodes[0].Stop(t)
	changed := strings.Replace(string(text), "peers:\n", "peers:\n    - {name: node2, address: \""+s.Nodes[1].Link.Addr()+"\"}\n    - {name: node3, address: \""+s.Nodes[2].Link.Addr()+"\"}\n", 1)
	if err := os.WriteFile(other.Nodes[0].Config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(other.Nodes[0].Config), "data")); err != nil {
		t.Fatal(err)
	}
	stranger := StartProcess(t, "a stranger", []string{"SITEGATE_CLUSTER_LISTEN=" + other.Nodes[0].Link.to}, Program(t, "sitegate"), "serve", "--config", other.Nodes[0].Config)
	if status := stranger.Wait(t, 20*time.Second); status == 0 || !strings.Contains(stranger.Output(), "certificates") {
		t.Errorf("a node of another cluster: status %d, %s", status, stranger.Output())
	}

	// All of this has changed nothing.
	for _, n := range s.Nodes {
		s.AwaitReady(t, n)
	}
}
