package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// beats sends a heartbeat on a connection, and reads what became of it.
func (d *desktop) beats(n int, session string) api.BeatResult {
	d.t.Helper()
	d.say(fmt.Sprintf(`{"type":"beat","beat":{"n":%d,"sessions":[%q]}}`, n, session))
	f := d.next()
	if f.Type != api.FrameLease || f.Lease == nil || f.Lease.N != uint64(n) || len(f.Lease.Leases) != 1 {
		d.t.Fatalf("a heartbeat was answered with %+v", f)
	}
	return f.Lease.Leases[0]
}

// What was granted to a key is kept alive by that key: not by its user's sign-in, not by
// another machine's key, not by a colleague's; on the websocket by what it was shown last.
func TestASessionIsItsKeysToKeepAlive(t *testing.T) {
	r := newRig(t, filled(t))
	ada, elsewhere, ben := bound(t, r, "ada", ws101), bound(t, r, "ada", ws202), bound(t, r, "ben", ws101)
	h, id := ada.header(t), newUUID(t)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101}, h)
	at, here := "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101}
	for name, test := range map[string]struct {
		a    answer
		code license.Reason
	}{
		"her sign-in without the key": {r.call(t, "ada", "POST", at, here), license.KeyNeeded},
		"another machine of hers":     {r.call(t, "", "POST", at, here, elsewhere.header(t)), license.NotYours},
		"as the other machine":        {r.call(t, "", "POST", at, api.MachineRequest{Machine: ws202}, elsewhere.header(t)), license.NotYours},
		"a colleague at the machine":  {r.call(t, "", "POST", at, here, ben.header(t)), license.NotYours},
	} {
		if p := test.a.problem(t); test.a.StatusCode != 403 || p.Code != string(test.code) {
			t.Errorf("%s: %d %s, want %s", name, test.a.StatusCode, test.a.raw, test.code)
		}
	}
	r.want(t, 200, "", "POST", at, here, h)

	// By her sign-in alone somebody listens, and keeps nothing alive, until the key is shown.
	d, _, _ := r.join(t, "ada", nil)
	if got := d.beats(1, id); got.Reason != string(license.KeyNeeded) || got.TTLMS != 0 {
		t.Errorf("a heartbeat on a connection without the key: %+v, want %s", got, license.KeyNeeded)
	}
	if a := d.authed(2, ada.token(t)); a.Error != "" {
		t.Fatalf("the key's token is not taken: %+v", a)
	}
	if got := d.beats(3, id); got.Reason != "" || got.TTLMS <= 0 {
		t.Errorf("a heartbeat after the key was shown: %+v, want a lease", got)
	}
	if a := d.authed(4, r.issuer.token(t, "ada")); a.Error != "" {
		t.Fatalf("the access token is not taken: %+v", a)
	}
	if got := d.beats(5, id); got.Reason != string(license.KeyNeeded) {
		t.Errorf("a heartbeat after the access token was shown in its place: %+v, want %s", got, license.KeyNeeded)
	}
}

// Who waits by a key, or is asked by one, is heard by it alone.
func TestAWaitIsItsKeysToEnd(t *testing.T) {
	node := filled(t)
	node.do(t, license.Configure{Settings: license.Settings{Takeover: license.TakeoverAsk}})
	r := newRig(t, node)
	desk, laptop := bound(t, r, "ada", ws101), bound(t, r, "ada", ws202)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101, Fences: true}, desk.header(t))
	id := newUUID(t)
	ask := api.WaitRequest{ID: id, Product: "road", Machine: ws202}
	needed := func(what string, a answer) {
		t.Helper()
		if p := a.problem(t); a.StatusCode != 403 || p.Code != string(license.KeyNeeded) {
			t.Errorf("%s without the key: %d %s, want %s", what, a.StatusCode, a.raw, license.KeyNeeded)
		}
	}
	needed("a wait", r.call(t, "ada", "POST", "/v1/waits", ask))
	needed("a request", r.call(t, "ada", "POST", "/v1/requests", ask))
	r.want(t, 201, "", "POST", "/v1/requests", ask, laptop.header(t))
	needed("the request again", r.call(t, "ada", "POST", "/v1/requests", ask))
	needed("a no", r.call(t, "ada", "POST", "/v1/requests/"+id+"/decline", api.MachineRequest{Machine: ws101}))
	r.want(t, 204, "", "POST", "/v1/requests/"+id+"/decline", api.MachineRequest{Machine: ws101}, desk.header(t))
	needed("the end of a request", r.call(t, "ada", "DELETE", "/v1/requests/"+id, nil))
	r.want(t, 204, "", "DELETE", "/v1/requests/"+id, nil, laptop.header(t))
	id = newUUID(t)
	r.want(t, 201, "", "POST", "/v1/waits", api.WaitRequest{ID: id, Product: "road", Machine: ws202}, laptop.header(t))
	needed("the end of a wait", r.call(t, "ada", "DELETE", "/v1/waits/"+id, nil))
	r.want(t, 204, "", "DELETE", "/v1/waits/"+id, nil, laptop.header(t))
}

// Session tokens are judged by the site's time, which the machines are told, and not by a
// node's own clock.
func TestSessionTokensAreJudgedByTheSitesTime(t *testing.T) {
	r := newRig(t, filled(t))
	ada := newSeat(t, "ada", ws101)
	var got api.MachineKey
	ada.bind(t, r).into(t, &got)
	if off := got.Time.Sub(r.node.Now().Std()).Abs(); off > time.Minute {
		t.Errorf("told that it is %s, which is off by %s from the site's time", got.Time, off)
	}
	r.want(t, 200, "", "GET", "/v1/me", nil, ada.header(t))
	byOwn := ada.with(func(s *seat) { s.from = -siteAhead })
	a := r.want(t, 401, "", "GET", "/v1/me", nil, byOwn.header(t))
	if got := a.Header.Get("WWW-Authenticate"); !strings.Contains(got, `"expired"`) {
		t.Errorf("a token by the node's own clock: %s, want expired", got)
	}
	told, err := time.Parse(time.RFC1123, a.Header.Get("Date"))
	if off := told.Sub(r.node.Now().Std()).Abs(); err != nil || off > time.Minute {
		t.Errorf("its answer is of %q (%v); want the site's time, by which the next one is made", a.Header.Get("Date"), err)
	}
	// A connection goes on for as long as the token is good by that time.
	d, resp := r.dial(t, "ada", nil, ada.header(t))
	if d == nil {
		t.Fatalf("connecting: %v", resp.Status)
	}
	if f := d.next(); f.Hello == nil || f.Hello.ExpiresMS < 500_000 || f.Hello.ExpiresMS > 600_000 {
		t.Errorf("greeted with %+v; want nearly ten minutes", f.Hello)
	}
	d.next()
	r.e.sockets.sweep()
	if got := d.beats(1, newUUID(t)); got.Reason != string(license.UnknownSession) {
		t.Errorf("after a sweep: %+v; want that it lives", got)
	}
}

// refusing is a gateway whose leader has not taken what was shown.
type refusing struct {
	*oneNode
	err error
}

func (g refusing) Start(context.Context, license.Start) (gateway.Answer, error) {
	return gateway.Answer{}, g.err
}

// Why the leader has not taken what was shown is said in its word by the node that was asked;
// a word that is none of ours is not passed on.
func TestTheLeadersWordIsSaid(t *testing.T) {
	for word, want := range map[string]string{"expired": "expired", "unbound": "unbound", "unknown": "unknown", `x", evil="`: ""} {
		r := newRig(t, filled(t), func(c *Config) { c.Gateway = refusing{c.Gateway.(*oneNode), &gateway.CallerError{Word: word}} })
		a := r.want(t, 401, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
		challenge, p := a.Header.Get("WWW-Authenticate"), a.problem(t)
		if p.Code != api.CodeUnauthorized || len(p.Next) == 0 || strings.Contains(challenge, "evil") || want != "" && !strings.Contains(challenge, `error_description="`+want+`"`) {
			t.Errorf("%s: %q, %+v; want the word %q", word, challenge, p, want)
		}
	}
	r := newRig(t, filled(t))
	_, err := r.e.Who(t.Context(), "x.y.z")
	if told, ok := errors.AsType[*gateway.CallerError](err); !ok || told.Word != tokenMalformed {
		t.Errorf("a leader's own word is %v, want %s", err, tokenMalformed)
	}
}
