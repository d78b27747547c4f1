package endpoint

import (
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

func bearerOf(token string) header { return header{"Authorization": "Bearer " + token} }

// An API token does what its role may until it is revoked, and is kept by no node as it is.
func TestAnAPITokenIsGoodUntilItIsRevoked(t *testing.T) {
	r := newAdminRig(t, filled(t))
	ida := r.asAdmin(t, "ida", "all")
	var made api.NewAPIToken
	in := api.APITokenRequest{Name: "nagios", Role: "operator", ForMS: time.Hour.Milliseconds(), By: "me"}
	r.want(t, 201, "", "POST", api.PathAPITokens, in, ida).into(t, &made)
	if !strings.HasPrefix(made.Token, "sgt_") || len(made.Token) != 53 || made.Name != "nagios" || made.Role != "operator" || time.Until(made.Until) > 2*time.Hour+time.Minute {
		t.Errorf("made %+v", made)
	}
	r.want(t, 409, "", "POST", api.PathAPITokens, in, ida)
	r.want(t, 200, "", "GET", api.PathStatus, nil, bearerOf(made.Token))
	r.want(t, 204, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{Note: "left"}, bearerOf(made.Token))
	r.want(t, 403, "", "POST", api.PathAPITokens, api.APITokenRequest{Name: "more", Role: "admin", ForMS: time.Hour.Milliseconds()}, bearerOf(made.Token))
	r.want(t, 401, "", "GET", api.PathMe, nil, bearerOf(made.Token)) // it is nobody's at a desktop

	var blocks api.List[api.Block]
	r.want(t, 200, "", "GET", api.PathBlocks, nil, bearerOf(made.Token)).into(t, &blocks)
	if len(blocks.Items) != 1 || blocks.Items[0].By != "token nagios" {
		t.Errorf("got %+v, want a block by token nagios", blocks.Items)
	}
	var list api.List[api.APIToken]
	eventually(t, "its use is noted", func() bool {
		list = api.List[api.APIToken]{}
		r.want(t, 200, "", "GET", api.PathAPITokens, nil, ida).into(t, &list)
		return len(list.Items) == 1 && !list.Items[0].Used.IsZero()
	})
	if x := list.Items[0]; x.Name != "nagios" || x.Role != "operator" || x.By != "ida@example.org" || x.Since.IsZero() || !x.Until.Equal(made.Until) {
		t.Errorf("listed %+v", x)
	}
	r.node.View(func(s *license.State) {
		for _, k := range s.Keys() {
			if c, ok := s.Record(k).(*license.Credential); ok && strings.Contains(string(c.Secret[:]), made.Token[4:20]) {
				t.Error("the token itself is kept")
			}
		}
	})
	if strings.Contains(r.log.String(), made.Token[4:30]) {
		t.Error("the token is in the log")
	}

	r.want(t, 404, "", "DELETE", api.PathAPITokens+"/other", nil, ida)
	r.want(t, 204, "", "DELETE", api.PathAPITokens+"/nagios", nil, ida)
	a := r.want(t, 401, "", "GET", api.PathStatus, nil, bearerOf(made.Token))
	if p := a.problem(t); p.Code != "unauthorized" || !strings.Contains(a.Header.Get("WWW-Authenticate"), "unknown") {
		t.Errorf("a revoked token: %+v", p)
	}
}

// A token that is over lets nobody in.
func TestAnAPITokenExpires(t *testing.T) {
	r := newAdminRig(t, filled(t))
	token := newSecret(prefixAPIToken)
	digest, _ := secretDigest(prefixAPIToken, token)
	// The rig's clock of the cluster is an hour ahead of its log's.
	for life, status := range map[time.Duration]int{2 * time.Hour: 200, 30 * time.Minute: 401} {
		out, err := r.node.apply(license.GiveCredential{Secret: digest, Kind: license.APIToken, Name: "x", Role: license.Viewer, By: "ida",
			Until: license.TimeOf(time.Now().Add(life))})
		if err != nil || out.Outcome.Denial != nil {
			t.Fatalf("%v %+v", err, out.Outcome.Denial)
		}
		a := r.want(t, status, "", "GET", api.PathStatus, nil, bearerOf(token))
		if status == 401 && (!strings.Contains(a.Header.Get("WWW-Authenticate"), `"over"`) || len(a.problem(t).Next) == 0) {
			t.Errorf("a token whose time is over: %s %s", a.Header.Get("WWW-Authenticate"), a.raw)
		}
		r.node.do(t, license.EndCredential{Secret: digest, By: "ida"})
	}
}

// What is no token of this site is told from one that is not good any more, before
// anything is looked up.
func TestTokensAreFoundToBeMistyped(t *testing.T) {
	token := newSecret(prefixAPIToken)
	if _, ok := secretDigest(prefixAPIToken, token); !ok {
		t.Fatalf("%s is not taken for a token", token)
	}
	if newSecret(prefixAPIToken) == token {
		t.Fatal("two tokens are the same")
	}
	other := byte('x')
	if token[20] == 'x' {
		other = 'y'
	}
	for name, s := range map[string]string{
		"empty": "", "only a prefix": "sgt_", "cut": token[:len(token)-1], "longer": token + "0", "a letter changed": token[:20] + string(other) + token[21:],
		"of another kind": prefixSignIn + token[4:], "another case": strings.ToUpper(token), "no letters": "sgt_" + strings.Repeat("\x00", 49), "in blanks": " " + token[1:],
	} {
		if _, ok := secretDigest(prefixAPIToken, s); ok {
			t.Errorf("%s is taken for a token: %q", name, s)
		}
	}
	r := newAdminRig(t, filled(t))
	for s, why := range map[string]string{token: "unknown", token[:40]: "malformed", "sgt_": "malformed"} {
		if a := r.want(t, 401, "", "GET", api.PathStatus, nil, bearerOf(s)); !strings.Contains(a.Header.Get("WWW-Authenticate"), why) {
			t.Errorf("%q: %s, want %s", s, a.Header.Get("WWW-Authenticate"), why)
		}
	}
}

func TestWhatIsNoTokenRequestIsRefused(t *testing.T) {
	r := newAdminRig(t, filled(t))
	ida := r.asAdmin(t, "ida", "all")
	hour := time.Hour.Milliseconds()
	for name, in := range map[string]any{
		"no name": api.APITokenRequest{Role: "viewer", ForMS: hour}, "a name with blanks": api.APITokenRequest{Name: "a b", Role: "viewer", ForMS: hour},
		"capitals": api.APITokenRequest{Name: "Ida", Role: "viewer", ForMS: hour}, "a long name": api.APITokenRequest{Name: strings.Repeat("x", 65), Role: "viewer", ForMS: hour},
		"no role": api.APITokenRequest{Name: "x", ForMS: hour}, "another role": api.APITokenRequest{Name: "x", Role: "root", ForMS: hour},
		"for ever": api.APITokenRequest{Name: "x", Role: "viewer"}, "for years": api.APITokenRequest{Name: "x", Role: "viewer", ForMS: 367 * 24 * hour},
		"too many by far": api.APITokenRequest{Name: "x", Role: "viewer", ForMS: 1 << 62}, "unknown fields": `{"name":"x","role":"viewer","for_ms":3600000,"scope":"all"}`,
	} {
		if a := r.call(t, "", "POST", api.PathAPITokens, in, ida); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
}

// Local accounts are made, reset and removed; no answer and no log line has a password or
// its hash.
func TestLocalAccountsAreManaged(t *testing.T) {
	r := newAdminRig(t, filled(t))
	ida := r.asAdmin(t, "ida", "all")
	const password = "correct horse battery"
	for name, in := range map[string]api.LocalAccountRequest{
		"short": {Name: "ivo", Role: "admin", Password: "short"}, "long": {Name: "ivo", Role: "admin", Password: strings.Repeat("ab", 200)},
		"one letter": {Name: "ivo", Role: "admin", Password: strings.Repeat("a", 20)}, "the name": {Name: "ivonne", Role: "admin", Password: "my name is Ivonne!"},
		"no role": {Name: "ivo", Password: password}, "no name": {Role: "admin", Password: password}, "a bad name": {Name: "Ivo", Role: "admin", Password: password},
	} {
		if a := r.call(t, "", "POST", api.PathAccounts, in, ida); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
	r.want(t, 204, "", "POST", api.PathAccounts, api.LocalAccountRequest{Name: "ivo", Role: "operator", Password: password}, ida)
	r.want(t, 409, "", "POST", api.PathAccounts, api.LocalAccountRequest{Name: "ivo", Role: "operator", Password: password}, ida)
	r.want(t, 204, "", "POST", api.PathAccounts+"/ivo/reset", api.LocalAccountRequest{Role: "admin", Password: password + "!"}, ida)
	r.want(t, 400, "", "POST", api.PathAccounts+"/ivo/reset", api.LocalAccountRequest{Name: "ann", Role: "admin", Password: password + "!"}, ida)
	r.want(t, 404, "", "POST", api.PathAccounts+"/ann/reset", api.LocalAccountRequest{Role: "admin", Password: password}, ida)
	var list api.List[api.LocalAccount]
	a := r.want(t, 200, "", "GET", api.PathAccounts, nil, ida)
	a.into(t, &list)
	if len(list.Items) != 1 || list.Items[0].Name != "ivo" || list.Items[0].Role != "admin" || list.Items[0].By != "ida@example.org" || list.Items[0].Changed.IsZero() {
		t.Errorf("got %+v", list.Items)
	}
	if said := string(a.raw) + r.log.String(); strings.Contains(said, "argon2") || strings.Contains(said, password) {
		t.Error("a password or its hash is told")
	}
	r.want(t, 403, "", "GET", api.PathAccounts, nil, r.asAdmin(t, "ida", "desk"))
	r.want(t, 204, "", "DELETE", api.PathAccounts+"/ivo", nil, ida)
	r.want(t, 404, "", "DELETE", api.PathAccounts+"/ivo", nil, ida)
}

// A password is checked against its hash, and nothing but the right one is right.
func TestPasswordsAreCheckedByTheirHash(t *testing.T) {
	p := newPasswords(argonMemory, argonTime)
	p.passes = 1 // the rest is as it is used
	hash, err := p.hash(t.Context(), "correct horse battery")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=1,p=1$") {
		t.Fatalf("got %s, %v", hash, err)
	}
	if again, _ := p.hash(t.Context(), "correct horse battery"); again == hash {
		t.Error("two hashes of one password are the same: there is no salt")
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterY": false, "": false, strings.Repeat("x", 1000): false} {
		if ok, err := p.check(password, hash); ok != want || err != nil {
			t.Errorf("%q: %t, %v", password, ok, err)
		}
	}
	if ok, err := p.check("", ""); ok || err != nil {
		t.Errorf("no password of nobody: %t, %v", ok, err)
	}
	// Stored hashes come from the log: one that would take all memory is not computed.
	for _, bad := range []string{"plain", "$argon2id$v=19$m=4294967295,t=3,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2i$v=19$m=65536,t=3,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=19$m=65536,t=0,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=65536,t=3,p=0$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=65536,t=3,p=1$$"} {
		if ok, err := p.check("x", bad); ok || err == nil {
			t.Errorf("%s: %t, %v", bad, ok, err)
		}
	}
}

// Whatever is shown as a token is taken apart without harm, and only what was made here is
// taken for one.
func FuzzSecret(f *testing.F) {
	f.Add(newSecret(prefixAPIToken))
	f.Add("sgt_")
	f.Add("sgt_" + strings.Repeat("0", 49))
	f.Fuzz(func(t *testing.T, text string) {
		if _, ok := secretDigest(prefixAPIToken, text); ok && (len(text) != 53 || checksum(text[:47]) != text[47:]) {
			t.Errorf("%q is taken for a token", text)
		}
	})
}

// Who is known goes on, whatever others send from behind the same address: IT looks at
// the site while it is flooded.
func TestAnAdministratorGoesOnBesideJunk(t *testing.T) {
	r := newAdminRig(t, filled(t))
	var made api.NewAPIToken
	in := api.APITokenRequest{Name: "nagios", Role: "viewer", ForMS: time.Hour.Milliseconds()}
	r.want(t, 201, "", "POST", api.PathAPITokens, in, r.asAdmin(t, "ida", "all")).into(t, &made)
	r.e.strays = newStrangers(Rate{PerSecond: 0.001, Burst: 3}, anyPace)
	junk := bearerOf(made.Token[:len(made.Token)-1] + "!")
	status := 0
	for range 50 {
		if status = r.call(t, "", "GET", api.PathStatus, nil, junk).StatusCode; status == 429 {
			break
		}
	}
	if status != 429 {
		t.Fatalf("the last of fifty bad tokens: %d, want 429", status)
	}
	r.want(t, 200, "", "GET", api.PathStatus, nil, bearerOf(made.Token))
}
