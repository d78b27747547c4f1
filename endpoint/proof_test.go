package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// passing is the log of a node that leads nothing: it keeps what it passes on to the leader.
type passing struct {
	gateway.Log
	node *oneNode

	mu   sync.Mutex
	kept []passed // mu guards it
}

// take returns what was passed on since it was last asked.
func (p *passing) take() []passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.kept
	p.kept = nil
	return kept
}

type passed struct {
	Proof  string `json:"proof"`
	Socket bool   `json:"socket"`
	// Use is the node's own word that a credential is in use.
	Use json.RawMessage `json:"use_credential"`
	// Act is its own, too: whom it has let in nowhere.
	Act json.RawMessage `json:"note_act"`
}

func (p *passing) Leading() (uint64, bool)       { return 1, false }
func (p *passing) CatchUp(context.Context) error { return nil } // it knows what that node does
func (p *passing) Now() license.Time             { return p.node.Now() }
func (p *passing) View(f func(*license.State))   { p.node.View(f) }
func (p *passing) Cluster() gateway.Cluster      { return p.node.Cluster() }
func (p *passing) Journal(context.Context, uint64, int) ([]license.Event, error) {
	return nil, nil // nothing has happened
}
func (p *passing) Peaks(context.Context, license.Time, license.Time, license.ProductID, int) ([]license.Peak, license.Time, error) {
	return nil, 0, nil
}
func (p *passing) Forward(_ context.Context, body []byte) ([]byte, error) {
	var x passed
	if err := json.Unmarshal(body, &x); err != nil {
		return nil, err
	}
	if x.Use == nil && x.Act == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.kept = append(p.kept, x)
	}
	return []byte(`{"error":"socket"}`), nil
}

// follower is a rig of a node that passes on what it is asked.
func follower(t *testing.T, r *rig) (*rig, *passing) {
	p := &passing{node: r.node}
	f := newRig(t, r.node, func(c *Config) {
		c.Gateway = gateway.New(gateway.Config{Log: p, Logger: slog.New(slog.DiscardHandler)})
		c.Issuers = []Issuer{{URL: r.issuer.URL, Audience: "site-gateway", Client: r.issuer.Client()}}
		c.Administrators = adminsOf(r.issuer, "roles")
	})
	f.issuer = r.issuer
	f.e.passwords = newPasswords(64, 1)
	return f, p
}

// What an administrator shows to a node goes on to the leader, who finds out by it who they
// are; of a socket it is said that it was one, and whoever is refused for that is told where
// to go.
func TestTheLeaderIsShownWhatAnAdministratorShows(t *testing.T) {
	r := withAccount(t, "operator")
	var token api.NewAPIToken
	r.want(t, 201, "", "POST", api.PathAPITokens, api.APITokenRequest{Name: "desk", Role: "operator", ForMS: 3_600_000}, r.asAdmin(t, "ida", "all")).into(t, &token)
	cookie := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
	digest, _ := secretDigest(prefixSignIn, cookie.Value)
	f, p := follower(t, r)

	block := func(h header) { f.call(t, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{Note: "x"}, h) }
	for name, s := range map[string]struct {
		do   func()
		want gateway.Administrator
	}{
		"an API token": {func() { block(header{"Authorization": "Bearer " + token.Token}) }, gateway.Administrator{Name: "token desk", Role: license.Operator}},
		"a cookie":     {func() { block(cookieOf(cookie)) }, gateway.Administrator{Name: "ivo (local account)", Role: license.Operator, Secret: digest}},
		"an access token": {func() { block(f.asAdmin(t, "ida", "desk")) },
			gateway.Administrator{Name: "ida@example.org", Role: license.Operator, Begins: license.SignedIn}},
		"a password": {func() { f.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}) },
			gateway.Administrator{Name: "ivo", Role: license.Operator, Begins: license.SignedInHere}},
	} {
		s.do()
		kept := p.take()
		if len(kept) != 1 || kept[0].Socket {
			t.Errorf("%s: passed on %d times, or as a socket's", name, len(kept))
			continue
		}
		if got, err := r.e.Administers(t.Context(), kept[0].Proof); err != nil || got != s.want {
			t.Errorf("%s: got %+v (%v), want %+v", name, got, err, s.want)
		}
	}
	for _, shown := range []string{"", "x", "account ivo wrong", "account nobody " + goodPassword, "account ivo", newSecret(prefixAPIToken), newSecret(prefixSignIn)} {
		if got, err := r.e.Administers(t.Context(), shown); !errors.Is(err, gateway.ErrCaller) || got.Role != 0 || got.Begins != 0 {
			t.Errorf("by %.20q: %+v, %v", shown, got, err)
		}
	}
	if got, err := r.e.Administers(t.Context(), r.asAdmin(t, "ida", nil)["Authorization"][len("Bearer "):]); err != nil || got.Role != 0 {
		t.Errorf("without a role: %+v, %v", got, err)
	}

	op := httptest.NewUnstartedServer(f.e.Operator())
	op.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return WithSocketUser(ctx, "root") }
	op.Start()
	defer op.Close()
	resp, err := http.Post(op.URL+"/v1/users/ada/unblock", "application/json", strings.NewReader(`{"note":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var problem api.Problem
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	kept := p.take()
	if len(kept) != 1 || !kept[0].Socket || kept[0].Proof != "" || resp.StatusCode != 403 || !strings.Contains(problem.Detail, "leader: n1") {
		t.Errorf("by the socket: passed on %+v, answered %d %+v", kept, resp.StatusCode, problem)
	}
}

// A short account's name is in nearly every passphrase, and makes none weak.
func TestAShortNameInAPassphraseIsNoWeakness(t *testing.T) {
	for name, bad := range map[string]bool{"a": false, "it": false, "horse": true, "ivo": false} {
		if err := weak("italic correct horse ivory", name); (err != nil) != bad {
			t.Errorf("for %q: %v, want that it is weak: %t", name, err, bad)
		}
	}
}
