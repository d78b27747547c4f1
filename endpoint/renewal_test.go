package endpoint

import (
	"fmt"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
	"sitegate/license"
)

// authed brings a token on a live connection and reads the answer.
func (d *desktop) authed(n int, token string) api.Authed {
	d.t.Helper()
	d.say(fmt.Sprintf(`{"type":"auth","auth":{"n":%d,"token":%q}}`, n, token))
	f := d.next()
	if f.Type != api.FrameAuthed || f.Authed == nil || f.Authed.N != uint64(n) {
		d.t.Fatalf("a token was answered with %+v", f)
	}
	return *f.Authed
}

// A connection lives on with the next token of the same user, and of nobody else.
func TestATokenIsRenewedOnALiveConnection(t *testing.T) {
	r := newRig(t, filled(t))
	d, hello, _ := r.join(t, "ada", nil)
	if hello.ExpiresMS < 3_500_000 || hello.GraceMS != tokenGrace.Milliseconds() {
		t.Errorf("greeted with %+v; want about an hour, and a grace", hello)
	}
	late := r.issuer.token(t, "ada", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
		c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour))
	})
	for i, test := range []struct{ token, want string }{{"", "missing"}, {"x.y.z", "malformed"}, {late, "expired"}, {r.issuer.token(t, "ben"), "user"}} {
		if a := d.authed(i, test.token); a.Error != test.want || a.ExpiresMS != 0 {
			t.Errorf("token %d was answered with %+v; want %q", i, a, test.want)
		}
	}
	if a := d.authed(9, r.issuer.token(t, "ada")); a.Error != "" || a.ExpiresMS < 3_500_000 {
		t.Errorf("the next token was answered with %+v; want about an hour", a)
	}
	if got := r.metric(t, "sitegate_notices_tokens_total", "result=ok"); got != 1 {
		t.Errorf("%v tokens were taken by the metrics; want 1", got)
	}
	// It goes on while the token is good, and not any longer.
	c := r.e.sockets.all()[0]
	r.e.sockets.sweep()
	d.say(`{"type":"beat","beat":{"n":10,"sessions":[]}}`)
	if f := d.next(); f.Type != api.FrameLease {
		t.Fatalf("got %+v; want the connection to go on", f)
	}
	over := *c.caller.Load()
	over.Expires = time.Now().Add(-tokenGrace)
	c.caller.Store(&over)
	r.e.sockets.sweep()
	d.closed(api.CloseUnauthorized)
}

// A token whose key is missing in two readings of its issuer's keys ends its connections
// with the second; those of other keys go on, and so do those of a key that comes back.
func TestAWithdrawnKeyEndsItsConnections(t *testing.T) {
	r := newRig(t, filled(t))
	old, _, _ := r.join(t, "ada", nil)
	r.issuer.mu.Lock()
	first := r.issuer.keys[0]
	r.issuer.mu.Unlock()
	r.issuer.rotate(t, "k2")
	r.issuer.set(func() { r.issuer.keys = append(r.issuer.keys, first) })
	is := r.e.auth.issuers[r.issuer.URL]
	if err := is.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, _, _ := r.join(t, "ada", map[string]string{"instance": "i-2"}) // signed with k2
	with := r.issuer.keys
	for _, missing := range []bool{true, false, true} { // as where one of two servers is behind
		r.issuer.set(func() { r.issuer.keys = with[:map[bool]int{true: 1, false: 2}[missing]] })
		if err := is.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if is.doubtful() != missing {
			t.Errorf("a key is missing: %t; want the keys read again soon, and not else", missing)
		}
		r.node.do(t, license.Link{Up: missing})
		if n := old.notice(); n.Kind != api.KindLinkUp && n.Kind != api.KindLinkDown {
			t.Errorf("while its key was missing once, a connection was told %+v", n)
		}
		now.notice()
	}
	if err := is.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	old.closed(api.CloseUnauthorized)
	r.node.do(t, license.Link{})
	if n := now.notice(); n.Kind != api.KindLinkDown {
		t.Errorf("the connection of the other key was told %+v", n)
	}
}

// Who is blocked in the account, or taken out of it, is gone with the very change.
func TestWhoIsBlockedOrGoneLeavesAtOnce(t *testing.T) {
	r := newRig(t, filled(t))
	ada, _, _ := r.join(t, "ada", nil)
	ben, _, _ := r.join(t, "ben", nil)
	eve, _, _ := r.join(t, "eve", nil)
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{User: &license.User{ID: "ada", Blocked: true}}}})
	ada.closed(api.CloseBlocked)
	r.node.do(t, license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{{DeleteUser: "ben"}}})
	ben.closed(api.CloseBlocked)
	r.node.do(t, license.Link{Up: true})
	if n := eve.notice(); n.Kind != api.KindLinkUp {
		t.Errorf("who may stay was told %+v", n)
	}
}

// A key that is published with something else about it is the same key, and another key
// under its id is not.
func TestAKeyIsTheSameWhateverIsSaidOfIt(t *testing.T) {
	is := newRealIssuer(t)
	before := is.keys[0].Public()
	said := before
	said.Algorithm, said.Use = "", ""
	if !sameKey(before, said) || !sameKey(said, before) {
		t.Error("a key whose algorithm is named is another one; want the same")
	}
	is.rotate(t, "k1")
	if sameKey(before, is.keys[0].Public()) || sameKey(before, jose.JSONWebKey{}) {
		t.Error("another key under the same id is the same; want it withdrawn")
	}
}
