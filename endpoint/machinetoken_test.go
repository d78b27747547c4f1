package endpoint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// oneSite is the id of the site of oneNode.
const oneSite = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f"

// seat is a machine with a key, and what a test may change of its tokens.
type seat struct {
	user, site, machine, host string
	key                       crypto.Signer
	typ                       string
	from, life                time.Duration // issued, from now; how long it lasts
	id                        string
}

func newSeat(t testing.TB, user string, m api.Machine) *seat {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &seat{user: user, site: oneSite, machine: m.ID, key: key, typ: api.SessionTokenType, life: api.SessionTokenLife, id: newID()}
}

// with is the same machine with something changed.
func (s seat) with(change func(*seat)) *seat {
	change(&s)
	return &s
}

func (s *seat) sign(t testing.TB, typ string, claims any) string {
	t.Helper()
	alg := jose.EdDSA
	switch k := s.key.(type) {
	case *ecdsa.PrivateKey:
		if alg = jose.ES256; k.Curve == elliptic.P384() {
			alg = jose.ES384
		}
	case *rsa.PrivateKey:
		alg = jose.RS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: s.key}, (&jose.SignerOptions{EmbedJWK: true}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// token is a session token.
func (s *seat) token(t testing.TB) string {
	t.Helper()
	at := time.Now().Add(siteAhead + s.from)
	return s.sign(t, s.typ, map[string]any{"sub": s.user, "aud": s.site, "mid": s.machine, "host": s.host, "iat": at.Unix(), "exp": at.Add(s.life).Unix(), "jti": s.id})
}

func (s *seat) header(t testing.TB) header { return header{"Authorization": "Bearer " + s.token(t)} }

// bind has the machine go by its key.
func (s *seat) bind(t testing.TB, r *rig) answer {
	t.Helper()
	access := r.issuer.token(t, s.user)
	return r.call(t, "", "POST", api.PathMachineKey, s.request(t, access), header{"Authorization": "Bearer " + access})
}

func (s *seat) request(t testing.TB, access string) api.KeyRequest {
	t.Helper()
	digest := crypto.SHA256.New()
	digest.Write([]byte(access))
	proof := s.sign(t, api.KeyProofType, map[string]any{"mid": s.machine, "host": s.host, "ath": base64.RawURLEncoding.EncodeToString(digest.Sum(nil))})
	return api.KeyRequest{Machine: api.Machine{ID: s.machine, Name: "WS-" + strings.TrimPrefix(s.machine, "m-")}, Host: s.host, Proof: proof}
}

// bound is a machine that goes by its key.
func bound(t testing.TB, r *rig, user string, m api.Machine) *seat {
	t.Helper()
	s := newSeat(t, user, m)
	if a := s.bind(t, r); a.StatusCode != 200 {
		t.Fatalf("binding the key of %s: %d %s", m.Name, a.StatusCode, a.raw)
	}
	return s
}

// A machine that has shown its key once works by what it signs itself.
func TestASessionTokenStandsInForAnAccessToken(t *testing.T) {
	r := newRig(t, filled(t))
	ada := newSeat(t, "ada", ws101)
	r.want(t, 401, "", "GET", "/v1/me", nil, ada.header(t))
	var got api.MachineKey
	a := ada.bind(t, r)
	a.into(t, &got)
	if left := time.Until(got.Until); a.StatusCode != 200 || got.User != "ada" || got.Cluster != oneSite || left < 23*time.Hour || left > 25*time.Hour || time.Until(got.Time.Add(-siteAhead)).Abs() > time.Minute {
		t.Errorf("bound with %d %+v; want ada at %s, for a day", a.StatusCode, got, oneSite)
	}
	h, id := ada.header(t), newUUID(t)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101}, h)
	r.want(t, 200, "", "POST", "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101}, h)
	var me api.Me
	r.want(t, 200, "", "GET", "/v1/me", nil, h).into(t, &me)
	if me.ID != "ada" || me.SignedIn != "ada@example.org" || len(me.Sessions) != 1 {
		t.Errorf("told %+v; want what ada, signed in as ada@example.org, has", me)
	}
	r.want(t, 204, "", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil, h)
	// Without the key, the machine is not believed any more; the access token alone reads.
	p := r.want(t, 403, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}).problem(t)
	if p.Code != string(license.KeyNeeded) || len(p.Next) == 0 {
		t.Errorf("a start without the key: %+v", p)
	}
	r.want(t, 200, "ada", "GET", "/v1/me", nil)
	// The same of a keystore that has no Ed25519.
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ben := newSeat(t, "ben", ws202).with(func(s *seat) { s.key = ec })
	if a := ben.bind(t, r); a.StatusCode != 200 {
		t.Fatalf("binding an ES256 key: %d %s", a.StatusCode, a.raw)
	}
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202}, ben.header(t))
}

// Who makes tokens without end has no more of them looked at than requests.
func TestFreshTokensCostNoMoreThanTheirShare(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) { c.Rate = Rate{PerSecond: 0.001, Burst: 3} })
	ada := bound(t, r, "ada", ws101)
	cached := func() int {
		r.e.auth.mu.Lock()
		defer r.e.auth.mu.Unlock()
		return len(r.e.auth.cached)
	}
	fresh := func(i int) header { return ada.with(func(s *seat) { s.id = "fresh-" + strconv.Itoa(i) }).header(t) }
	for i := range 3 {
		r.want(t, 200, "", "GET", "/v1/me", nil, fresh(i))
	}
	before := cached()
	if a := r.want(t, 429, "", "GET", "/v1/me", nil, fresh(3)); a.Header.Get("Retry-After") == "" {
		t.Error("nobody says when to come again")
	}
	if got := cached(); got != before {
		t.Errorf("%d tokens are remembered, want %d", got, before)
	}
}

// TestSessionTokensThatDoNotHold: nobody else's key, user, machine, site or time will do.
func TestSessionTokensThatDoNotHold(t *testing.T) {
	r := newRig(t, filled(t))
	ada, ben := bound(t, r, "ada", ws101), bound(t, r, "ben", ws202)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := ada.token(t)
	r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + good})
	parts := strings.Split(good, ".")
	head := func(change func(map[string]any)) string {
		b, err := base64.RawURLEncoding.DecodeString(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		var h map[string]any
		if err := json.Unmarshal(b, &h); err != nil {
			t.Fatal(err)
		}
		change(h)
		if b, err = json.Marshal(h); err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for name, test := range map[string]struct{ token, why string }{
		"another user's":              {ada.with(func(s *seat) { s.user = "ben" }).token(t), "unbound"},
		"another machine's":           {ada.with(func(s *seat) { s.machine = "m-202" }).token(t), "unbound"},
		"another user's machine":      {ada.with(func(s *seat) { s.user, s.machine = "ben", "m-202" }).token(t), "unbound"},
		"by another machine's key":    {ada.with(func(s *seat) { s.key = ben.key }).token(t), "unbound"},
		"by a key nobody has shown":   {newSeat(t, "ada", ws101).token(t), "unbound"},
		"from another host":           {ada.with(func(s *seat) { s.host = "ts-1" }).token(t), "unbound"},
		"for another site":            {ada.with(func(s *seat) { s.site = "0197a5b2-7c4e-7d1a-9f00-000000000000" }).token(t), "audience"},
		"for no site":                 {ada.with(func(s *seat) { s.site = "" }).token(t), "audience"},
		"replayed after its time":     {ada.with(func(s *seat) { s.from = -12 * time.Minute }).token(t), "expired"},
		"from the future":             {ada.with(func(s *seat) { s.from = 2 * time.Minute }).token(t), "early"},
		"for a day":                   {ada.with(func(s *seat) { s.life = 24 * time.Hour }).token(t), "malformed"},
		"without an id":               {ada.with(func(s *seat) { s.id = "" }).token(t), "malformed"},
		"as an access token":          {ada.with(func(s *seat) { s.typ = "at+jwt" }).token(t), "malformed"},
		"a key's proof in its place":  {ada.request(t, "x").Proof, "malformed"},
		"by a key on another curve":   {ada.with(func(s *seat) { s.key = p384 }).token(t), "malformed"},
		"by an RSA key":               {ada.with(func(s *seat) { s.key = long }).token(t), "malformed"},
		"changed":                     {parts[0] + "." + strings.Split(ada.with(func(s *seat) { s.id = "other" }).token(t), ".")[1] + "." + parts[2], "signature"},
		"unsigned":                    {parts[0] + "." + parts[1] + ".", "signature"},
		"with alg none":               {head(func(h map[string]any) { h["alg"] = "none" }) + "." + parts[1] + ".", "malformed"},
		"with another alg":            {head(func(h map[string]any) { h["alg"] = "ES256" }) + "." + parts[1] + "." + parts[2], "malformed"},
		"with its private key inside": {head(func(h map[string]any) { h["jwk"].(map[string]any)["d"] = h["jwk"].(map[string]any)["x"] }) + "." + parts[1] + "." + parts[2], "malformed"},
		"without a key inside":        {head(func(h map[string]any) { delete(h, "jwk") }) + "." + parts[1] + "." + parts[2], "malformed"},
		"by a key named elsewhere":    {head(func(h map[string]any) { delete(h, "jwk"); h["jku"], h["kid"] = "https://attacker.example/keys", "k" }) + "." + parts[1] + "." + parts[2], "malformed"},
	} {
		a := r.want(t, 401, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + test.token})
		if got, want := a.Header.Get("WWW-Authenticate"), `error_description="`+test.why+`"`; !strings.Contains(got, want) || a.problem(t).Code != api.CodeUnauthorized {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if strings.Contains(r.log.String(), parts[2]) {
		t.Error("the log has a part of a token")
	}
}

// A session token speaks for its own machine, and not for the others of its user.
func TestASessionTokenIsForItsOwnMachine(t *testing.T) {
	r := newRig(t, filled(t))
	here, there := bound(t, r, "ada", ws101), bound(t, r, "ada", ws202)
	id := newUUID(t)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101}, here.header(t))
	h := there.header(t)
	for name, a := range map[string]answer{
		"a start":     r.call(t, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}, h),
		"a checkout":  r.call(t, "", "POST", "/v1/checkouts", api.CheckoutRequest{ID: newUUID(t), Product: "road", Machine: ws101}, h),
		"a wait":      r.call(t, "", "POST", "/v1/waits", api.WaitRequest{ID: newUUID(t), Product: "road", Machine: ws101}, h),
		"a heartbeat": r.call(t, "", "POST", "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101}, h),
		"a stop":      r.call(t, "", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil, h),
		"a sign-out":  r.call(t, "", "POST", "/v1/sign-out", api.MachineRequest{Machine: ws101}, h),
		"a poll":      r.call(t, "", "GET", "/v1/notices/poll?machine=m-101&instance=i&wait_ms=0", nil, h),
	} {
		if p := a.problem(t); a.StatusCode != 403 || p.Code != string(license.NotYours) {
			t.Errorf("%s in another machine's name: %d %s", name, a.StatusCode, a.raw)
		}
	}
	if d, resp := r.dial(t, "ada", nil, h); d != nil || resp.StatusCode != 403 {
		t.Errorf("connected in another machine's name: %v", resp.Status)
	}
	// And a live connection takes the next token of its own machine only.
	d, resp := r.dial(t, "ada", nil, here.header(t))
	if d == nil {
		t.Fatalf("connecting: %v", resp.Status)
	}
	d.next()
	d.next()
	if a := d.authed(1, there.token(t)); a.Error != tokenUser {
		t.Errorf("another machine's token was answered with %+v", a)
	}
	for n, token := range []string{here.token(t), r.issuer.token(t, "ada"), here.token(t)} {
		if a := d.authed(2+n, token); a.Error != "" || a.ExpiresMS < 500_000 {
			t.Errorf("its own token %d was answered with %+v", n, a)
		}
	}
}

// What is blocked is out at once: its tokens, also those that were verified before, its
// connections, and its waits.
func TestWhoIsBlockedIsOutAtOnce(t *testing.T) {
	for name, block := range map[string]license.Block{"a user": {User: "ada", By: "ida", Note: "left"}, "a machine": {Machine: license.Machine{ID: "m-101"}, By: "ida"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, filled(t))
			ada := bound(t, r, "ada", ws101)
			h := ada.header(t)
			r.want(t, 200, "", "GET", "/v1/me", nil, h)
			r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}, h)
			byKey, _ := r.dial(t, "ada", nil, h)
			byToken, _, _ := r.join(t, "ada", map[string]string{"instance": "i-2"})
			byKey.next()
			byKey.next()
			r.node.do(t, block)
			p := r.want(t, 403, "", "GET", "/v1/me", nil, h).problem(t)
			if want := map[string]string{"a user": "user-blocked-here", "a machine": "machine-blocked"}[name]; p.Code != want || !strings.Contains(p.Detail, "ida") {
				t.Errorf("a verified token was answered with %+v, want %s", p, want)
			}
			byKey.closed(api.CloseBlocked)
			byToken.closed(api.CloseBlocked)
			if d, resp := r.dial(t, "ada", nil); d != nil || resp.StatusCode != 403 {
				t.Error("who is blocked has connected again")
			}
			r.want(t, 403, "ada", "GET", "/v1/notices/poll?machine=m-101&instance=i-3&wait_ms=0", nil)
			r.node.do(t, license.Unblock{User: block.User, Machine: block.Machine, By: "ida"})
			r.want(t, 200, "", "GET", "/v1/me", nil, h)
		})
	}
}

// TestAClonedMachineIsRefusedAndTold: while something is open on a machine, another key is
// not that machine, and its user and IT hear of it.
func TestAClonedMachineIsRefusedAndTold(t *testing.T) {
	r := newRig(t, filled(t))
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{User: &license.User{ID: "ida", Name: "Ida", Country: "DE", Roles: license.RoleAdministrator}}}})
	ada := bound(t, r, "ada", ws101)
	id := newUUID(t)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101}, ada.header(t))
	it, _, _ := r.join(t, "ida", map[string]string{"machine": "m-9", "name": "WS-9"})
	mine, _, _ := r.join(t, "ada", nil)
	clone := newSeat(t, "ada", ws101)
	a := clone.bind(t, r)
	if p := a.problem(t); a.StatusCode != 409 || p.Code != string(license.MachineClone) || !strings.Contains(p.Detail, "WS-101") || len(p.Next) == 0 {
		t.Errorf("a clone was answered with %d %+v", a.StatusCode, p)
	}
	if n := it.notice(); n.Kind != api.KindMachineClone || n.About != "ada" || n.Machine != "WS-101" || !strings.Contains(n.Text, "Ada") {
		t.Errorf("IT was told %+v", n)
	}
	if n := mine.notice(); n.Kind != api.KindAttempted || n.Reason != string(license.MachineClone) || !n.Mine {
		t.Errorf("the machine's user was told %+v", n)
	}
	r.want(t, 401, "", "GET", "/v1/me", nil, clone.header(t))
	r.want(t, 200, "", "POST", "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101}, ada.header(t))

	// Set up anew, with nothing open: it takes the old one's place, and IT is told.
	r.want(t, 204, "", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil, ada.header(t))
	old, resp := r.dial(t, "ada", map[string]string{"instance": "i-2"}, ada.header(t))
	if old == nil {
		t.Fatalf("connecting: %v", resp.Status)
	}
	if a := clone.bind(t, r); a.StatusCode != 200 {
		t.Fatalf("a machine that was set up anew: %d %s", a.StatusCode, a.raw)
	}
	if n := it.notice(); n.Kind != api.KindMachineRekeyed || n.About != "ada" {
		t.Errorf("IT was told %+v", n)
	}
	r.want(t, 200, "", "GET", "/v1/me", nil, clone.header(t))
	r.want(t, 401, "", "GET", "/v1/me", nil, ada.header(t))
	old.closed(api.CloseUnauthorized)
}

// TestAHostIsNoWayPastAMachinesKey: anybody may name a host. Only one that IT lists stands
// beside the machine's key, and IT hears of it.
func TestAHostIsNoWayPastAMachinesKey(t *testing.T) {
	r := newRig(t, filled(t))
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{User: &license.User{ID: "ida", Name: "Ida", Country: "DE", Roles: license.RoleAdministrator}}}})
	ada := bound(t, r, "ada", ws101)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}, ada.header(t))
	it, _, _ := r.join(t, "ida", map[string]string{"machine": "m-9", "name": "WS-9"})
	via := func(host string) *seat { return newSeat(t, "ada", ws101).with(func(s *seat) { s.host = host }) }
	second := via("anything")
	if a := second.bind(t, r); a.StatusCode != 409 || a.problem(t).Code != string(license.MachineClone) {
		t.Errorf("a second key from a host that nobody has listed: %d %s, want %s", a.StatusCode, a.raw, license.MachineClone)
	}
	if n := it.notice(); n.Kind != api.KindMachineClone || n.About != "ada" {
		t.Errorf("IT was told %+v", n)
	}
	r.want(t, 401, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}, second.header(t))

	r.node.do(t, license.Configure{Settings: license.Settings{Hosts: []string{"TS-1"}}})
	server := via("TS-1")
	if a := server.bind(t, r); a.StatusCode != 200 {
		t.Fatalf("the key of a listed host: %d %s", a.StatusCode, a.raw)
	}
	if n := it.notice(); n.Kind != api.KindPolicy {
		t.Errorf("IT was told %+v of other rules", n)
	}
	if n := it.notice(); n.Kind != api.KindMachineRekeyed || n.About != "ada" || n.Machine != "WS-101" {
		t.Errorf("IT was told %+v", n)
	}
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}, server.header(t))
	r.want(t, 200, "", "GET", "/v1/me", nil, ada.header(t))
}

// What was granted to a machine's key is that key's: its user's sign-in alone, from another
// computer that reads the ids, frees nothing of it and is not given it again.
func TestASessionIsItsKeysToStop(t *testing.T) {
	r := newRig(t, filled(t))
	ada := bound(t, r, "ada", ws101)
	h, id, out := ada.header(t), newUUID(t), newUUID(t)
	start := api.StartRequest{ID: id, Product: "road", Machine: ws101}
	lend := api.CheckoutRequest{ID: out, Product: "road", Machine: ws101, Until: time.Now().Add(24 * time.Hour)}
	r.want(t, 201, "", "POST", "/v1/sessions", start, h)
	for name, a := range map[string]answer{
		"a start again": r.call(t, "ada", "POST", "/v1/sessions", start),
		"a stop":        r.call(t, "ada", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil),
		"a sign-out":    r.call(t, "ada", "POST", "/v1/sign-out", api.MachineRequest{Machine: ws101}),
	} {
		if p := a.problem(t); a.StatusCode != 403 || p.Code != string(license.KeyNeeded) {
			t.Errorf("%s without the key: %d %s, want %s", name, a.StatusCode, a.raw, license.KeyNeeded)
		}
	}
	r.want(t, 200, "", "POST", "/v1/sessions", start, h)
	r.want(t, 204, "", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil, h)
	if a := r.call(t, "", "POST", "/v1/checkouts", lend, h); a.StatusCode == 201 {
		if a := r.call(t, "ada", "DELETE", "/v1/checkouts/"+out+"?machine=m-101", nil); a.StatusCode != 403 || a.problem(t).Code != string(license.KeyNeeded) {
			t.Errorf("a return without the key: %d %s, want %s", a.StatusCode, a.raw, license.KeyNeeded)
		}
		r.want(t, 204, "", "DELETE", "/v1/checkouts/"+out+"?machine=m-101", nil, h)
	} else {
		t.Errorf("a checkout by the key: %d %s", a.StatusCode, a.raw)
	}
}

// A key is bound with an access token and its own signature over that, and with nothing less.
func TestAKeyIsBoundByItsOwnSignature(t *testing.T) {
	r, it := operated(t, filled(t))
	ada, eve := newSeat(t, "ada", ws101), newSeat(t, "eve", ws101)
	access := r.issuer.token(t, "ada")
	h := header{"Authorization": "Bearer " + access}
	good := ada.request(t, access)
	with := func(f func(*api.KeyRequest)) api.KeyRequest {
		in := good
		f(&in)
		return in
	}
	for name, test := range map[string]struct {
		in     any
		status int
	}{
		"a proof for another access token": {ada.request(t, r.issuer.token(t, "eve")), 401},
		"a proof of another machine":       {with(func(in *api.KeyRequest) { in.Machine.ID = "m-202" }), 401},
		"a proof of another host":          {with(func(in *api.KeyRequest) { in.Host = "ts-1" }), 401},
		"a session token for a proof":      {with(func(in *api.KeyRequest) { in.Proof = ada.token(t) }), 401},
		"a proof that was changed":         {with(func(in *api.KeyRequest) { in.Proof = in.Proof[:len(in.Proof)-8] + "AAAAAAAA" }), 401},
		"nonsense":                         {with(func(in *api.KeyRequest) { in.Proof = "x.y.z" }), 401},
		"no proof":                         {with(func(in *api.KeyRequest) { in.Proof = "" }), 401},
		"a proof without end":              {with(func(in *api.KeyRequest) { in.Proof = strings.Repeat("x", maxToken+1) }), 401},
		"no machine":                       {with(func(in *api.KeyRequest) { in.Machine.ID = "" }), 400},
		"a host with a line's end":         {with(func(in *api.KeyRequest) { in.Host = "a\nb" }), 400},
	} {
		if a := r.call(t, "", "POST", api.PathMachineKey, test.in, h); a.StatusCode != test.status {
			t.Errorf("%s: %d %s, want %d", name, a.StatusCode, a.raw, test.status)
		}
	}
	r.want(t, 200, "", "POST", api.PathMachineKey, good, h)
	r.want(t, 401, "", "POST", api.PathMachineKey, good, ada.header(t)) // the key vouches for nobody
	if a := newSeat(t, "max", ws101).bind(t, r); a.StatusCode != 403 {
		t.Errorf("who is blocked in the account: %d %s, want 403", a.StatusCode, a.raw)
	}
	if a := eve.bind(t, r); a.StatusCode != 200 {
		t.Errorf("another user's key on the machine: %d %s", a.StatusCode, a.raw)
	}
	it.want(t, 204, "", "POST", "/v1/users/ada/forget-key", api.ForgetKeyRequest{Machine: ws101, By: "ida", Note: "a new disk"})
	it.want(t, 400, "", "POST", "/v1/users/ada/forget-key", api.ForgetKeyRequest{By: "ida"})
	r.want(t, 401, "", "GET", "/v1/me", nil, ada.header(t))
	r.want(t, 200, "", "GET", "/v1/me", nil, eve.header(t))
}

// Another node's caller is who they have shown to be, and nobody else.
func TestWhoAnotherNodesCallerIs(t *testing.T) {
	r := newRig(t, filled(t))
	ada := bound(t, r, "ada", ws101)
	access := r.issuer.token(t, "ada")
	k := license.Proof{}
	r.node.View(func(s *license.State) { k = license.KeyOf(s, "ada", "m-101", "").Proof })
	for name, test := range map[string]struct {
		shown string
		want  gateway.Who
	}{
		"an access token": {access, gateway.Who{User: "ada", Email: "ada@example.org"}},
		"a session token": {ada.token(t), gateway.Who{User: "ada", Email: "ada@example.org", Machine: "m-101", Proof: k}},
		"a key's proof":   {access + " " + ada.request(t, access).Proof, gateway.Who{User: "ada", Email: "ada@example.org", Machine: "m-101", Proof: k}},
	} {
		if got, err := r.e.Who(t.Context(), test.shown); err != nil || got != test.want {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, test.want)
		}
	}
	// A key alone proves nothing anew: not another one, and not itself.
	again, stolen := ada.token(t), newSeat(t, "ada", ws101)
	for name, shown := range map[string]string{"a session token for a sign-in": again + " " + stolen.request(t, again).Proof,
		"a session token for its own sign-in": again + " " + ada.request(t, again).Proof} {
		if got, err := r.e.Who(t.Context(), shown); !errors.Is(err, gateway.ErrCaller) || got != (gateway.Who{}) {
			t.Errorf("%s: %+v (%v), want nobody", name, got, err)
		}
	}
	r.node.do(t, license.Block{User: "ada", By: "ida"})
	for name, shown := range map[string]string{"nothing": "", "nonsense": "x", "a foreign token": newRealIssuer(t).token(t, "ada"),
		"a proof for another token": access + " " + ada.request(t, "x").Proof, "a blocked user's machine": ada.token(t)} {
		if got, err := r.e.Who(t.Context(), shown); !errors.Is(err, gateway.ErrCaller) || got != (gateway.Who{}) {
			t.Errorf("%s: %+v (%v), want nobody", name, got, err)
		}
	}
}

// Who has no request left is told so by the node that they have asked, with the time to come back.
// At the leader, which that node asks about them, they are who they are: what is left to them
// there, of requests of their own to it, is not to become "not ready" here.
func TestWhoHasNoRequestLeftIsStillSomebodyToOtherNodes(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) { c.Rate = Rate{PerSecond: 1e-3, Burst: 4} })
	ada := bound(t, r, "ada", ws101)
	var a answer
	for range 100 {
		if a = r.call(t, "", "GET", "/v1/me", nil, ada.header(t)); a.StatusCode != 200 {
			break
		}
	}
	if p := a.problem(t); a.StatusCode != 429 || p.Code != api.CodeTooMany || p.RetryAfterMS <= 0 {
		t.Fatalf("after many requests: %d %s, want 429 and when to come back", a.StatusCode, a.raw)
	}
	if got, err := r.e.Who(t.Context(), ada.with(func(s *seat) { s.id = "a new token" }).token(t)); err != nil || got.User != "ada" {
		t.Errorf("to another node: %+v (%v), want who it is", got, err)
	}
}
