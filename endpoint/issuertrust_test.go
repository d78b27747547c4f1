package endpoint

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/api"
	"sitegate/license"
)

// noteKeys has a node say how it sees the issuers' keys, as its gateway does.
func (r *rig) noteKeys(t *testing.T, name string) {
	t.Helper()
	for _, k := range r.e.IssuerKeys() {
		r.node.do(t, license.NoteKeys{Issuer: k.Issuer, Node: name, Taken: k.Taken, Held: k.Held})
	}
}

// readNow has a rig's node read the issuer's keys.
func (r *rig) readNow(t *testing.T, a *auth) {
	t.Helper()
	if err := a.issuers[r.issuer.URL].read(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An issuer that lists other keys only is not believed, while those of before hold, also
// after a restart. What somebody has accepted who was shown it is taken, and ends what the
// keys of before have signed.
func TestOtherKeysOnlyWaitUntilTheyAreAccepted(t *testing.T) {
	dir := t.TempDir()
	r, it := operated(t, filled(t), func(c *Config) { c.KeysDir = dir })
	old := bearing(r.issuer.token(t, "ada"))
	r.want(t, 200, "", "GET", "/v1/me", nil, old)
	eventually(t, "the keys are on disk", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
		return len(files) == 1
	})
	r.noteKeys(t, "gw1")
	before := r.e.IssuerKeys()[0].Taken

	r.issuer.rotate(t, "k2")
	for range 2 {
		r.readNow(t, r.e.auth)
	}
	fresh := bearing(r.issuer.token(t, "ben"))
	r.want(t, 200, "", "GET", "/v1/me", nil, old)
	if p := r.want(t, 503, "", "GET", "/v1/me", nil, fresh).problem(t); p.Code != "not-ready" || p.RetryAfterMS == 0 {
		t.Errorf("a token of a key that is held back: %+v; want not-ready, for it may be the issuer's", p)
	}
	if got := r.metric(t, "sitegate_issuer_keys_held"); got != 1 {
		t.Errorf("the metric is %v; want 1", got)
	}
	if n := strings.Count(r.log.String(), "are not believed"); n != 1 {
		t.Errorf("the log tells of it %d times; want once", n)
	}
	again, err := newAuth([]Issuer{{URL: r.issuer.URL, Audience: "site-gateway", Client: r.issuer.Client()}}, dir, slog.New(slog.DiscardHandler), testMetrics(t))
	if err != nil {
		t.Fatal(err)
	}
	r.readNow(t, again)
	if _, err := again.verify(t.Context(), strings.TrimPrefix(old["Authorization"], "Bearer "), time.Now()); err != nil {
		t.Errorf("after a restart the keys of before are gone: %v", err)
	}

	r.noteKeys(t, "gw1")
	var st api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &st)
	var list api.List[api.TrustedIssuer]
	it.want(t, 200, "", "GET", "/v1/trust", nil).into(t, &list)
	if !slices.Equal(st.KeysHeld, []string{r.issuer.URL}) || len(list.Items) != 1 || len(list.Items[0].Held) != 1 {
		t.Fatalf("the status has %v, shown is %+v; want the issuer with one set that is held back", st.KeysHeld, list.Items)
	}
	shown := list.Items[0]
	if held := shown.Held[0]; shown.Issuer != r.issuer.URL || !slices.Equal(shown.Keys, thumbs(before)) || !slices.Equal(shown.Nodes, []string{"gw1"}) ||
		len(held.Keys) != 1 || held.Keys[0] == shown.Keys[0] || !slices.Equal(held.Nodes, []string{"gw1"}) || held.Since.IsZero() || held.Accepted {
		t.Errorf("shown is %+v", shown)
	}
	accept := api.AcceptKeysRequest{Issuer: shown.Issuer, Set: shown.Held[0].Set, By: "ida", Note: "confirmed by phone"}
	other := accept
	other.Set = shown.Keys[0]
	if p := it.want(t, 409, "", "POST", "/v1/trust/accept", other).problem(t); p.Code != "keys-not-held" || len(p.Next) == 0 {
		t.Errorf("a set that was not shown: %+v; want keys-not-held", p)
	}
	for _, set := range []string{"", "x", shown.Held[0].Set + "A", strings.Repeat("=", 43)} {
		other.Set = set
		it.want(t, 400, "", "POST", "/v1/trust/accept", other)
	}
	for range 2 {
		it.want(t, 200, "", "POST", "/v1/trust/accept", accept).into(t, &list)
	}
	if h := list.Items[0].Held; len(h) != 1 || !h[0].Accepted {
		t.Errorf("after it was accepted %+v is shown", h)
	}
	eventually(t, "the accepted keys are taken", func() bool { return r.call(t, "", "GET", "/v1/me", nil, fresh).StatusCode == 200 })
	r.want(t, 401, "", "GET", "/v1/me", nil, old)
	if got := r.metric(t, "sitegate_issuer_keys_held"); got != 0 {
		t.Errorf("the metric is %v; want 0", got)
	}
	r.noteKeys(t, "gw1")
	var after api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &after)
	if len(after.KeysHeld) != 0 {
		t.Errorf("the status still has %v", after.KeysHeld)
	}
}

// A node that was away while the keys changed takes what the others go by, and drops what it
// had.
func TestANodeThatWasAwayKnowsKeysFromTheOthers(t *testing.T) {
	r := newRig(t, filled(t))
	old := bearing(r.issuer.token(t, "ada"))
	r.want(t, 200, "", "GET", "/v1/me", nil, old)
	r.noteKeys(t, "gw1")
	r.issuer.rotate(t, "k3")
	r.node.do(t, license.NoteKeys{Issuer: r.issuer.URL, Node: "gw2", Taken: thumbprints(map[string]jose.JSONWebKey{"k3": r.issuer.keys[0]})})
	r.readNow(t, r.e.auth)
	r.want(t, 200, "ada", "GET", "/v1/me", nil)
	r.want(t, 401, "", "GET", "/v1/me", nil, old)
}

// A node that knows nothing yet believes what its site does, and nothing else.
func TestANewNodeBelievesWhatItsSiteDoes(t *testing.T) {
	node := filled(t)
	is := newRealIssuer(t)
	node.do(t, license.NoteKeys{Issuer: is.URL, Node: "gw2", Taken: []license.Digest{{1}}})
	r := newRig(t, node, func(c *Config) {
		c.Issuers = []Issuer{{URL: is.URL, Audience: "site-gateway", Client: is.Client()}}
	})
	eventually(t, "the issuer was read", func() bool { return r.metric(t, "sitegate_issuer_keys_held") == 1 })
	r.want(t, 503, "", "GET", "/v1/me", nil, bearing(is.token(t, "ada")))
}

// A node that still plays its log again does not know yet what its site believes, though it
// knows its name: it asks the issuer once it has caught up.
func TestANodeThatIsBehindAsksNoIssuerYet(t *testing.T) {
	node := filled(t)
	node.behind = make(chan struct{})
	is := newRealIssuer(t)
	r := newRig(t, node, func(c *Config) {
		c.Issuers = []Issuer{{URL: is.URL, Audience: "site-gateway", Client: is.Client()}}
	})
	r.want(t, 503, "", "GET", "/v1/me", nil, bearing(is.token(t, "ada"))) // it rings, and waits a moment
	if n := len(r.e.IssuerKeys()[0].Taken); n != 0 {
		t.Errorf("it has taken %d keys before it knows what its site goes by", n)
	}
	node.do(t, license.NoteKeys{Issuer: is.URL, Node: "gw2", Taken: []license.Digest{{1}}})
	close(node.behind)
	eventually(t, "the issuer was read, and its keys held back", func() bool { return r.metric(t, "sitegate_issuer_keys_held") == 1 })
}

// It is the same for the issuer of administrators, which is named once where it is that of
// users, too.
func TestAdministratorsKeysWaitToo(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) {
		is := c.Issuers[0]
		is.Audience = "site-gateway-administration"
		c.Administrators = &AdminIssuer{Issuer: is, Claim: "roles", Roles: map[string]license.Authority{"chief": license.Admin}}
	})
	user := bearing(r.issuer.token(t, "ada"))
	r.want(t, 200, "", "GET", "/v1/me", nil, user)
	eventually(t, "administrators' keys are read", func() bool {
		is := r.e.admins.issuers[r.issuer.URL]
		is.mu.Lock()
		defer is.mu.Unlock()
		return len(is.keys) > 0
	})
	r.noteKeys(t, "gw1")
	r.issuer.rotate(t, "k2")
	r.readNow(t, r.e.admins)
	keys := r.e.IssuerKeys()
	if len(keys) != 1 || len(keys[0].Taken) != 1 || len(keys[0].Held) != 1 {
		t.Errorf("got %+v; want one issuer, with the key of before and the one that is held back", keys)
	}
}

// After its keys were accepted an issuer is asked at once, unless it has just not answered.
func TestAnIssuerThatDoesNotAnswerIsNotAskedMoreOften(t *testing.T) {
	node := filled(t)
	key := newRealIssuer(t).keys[0].Public()
	held := map[string]jose.JSONWebKey{"k1": key}
	node.do(t, license.NoteKeys{Issuer: "https://one", Node: "gw2", Taken: thumbprints(held)})
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{cfg: Issuer{URL: "https://one"}, held: held, view: node.View}
		for good, want := range map[bool]time.Duration{true: trustEvery, false: time.Minute} {
			began := time.Now()
			if is.rest(t.Context(), time.Minute, good); time.Since(began) != want {
				t.Errorf("the last reading was good (%t): it rests for %v, want %v", good, time.Since(began), want)
			}
		}
	})
}
