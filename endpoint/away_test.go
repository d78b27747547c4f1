package endpoint

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/license"
)

// A node that may have been cut off sends its clients to the others, after longer than an
// election takes; one that is alone keeps them.
func TestANodeWithoutALeaderSendsItsClientsAway(t *testing.T) {
	for _, others := range []bool{true, false} {
		r := newRig(t, filled(t), func(c *Config) {
			c.URL, c.Nodes = "https://n1.example:8443", nil
			if others {
				c.Nodes = []string{"https://n2.example:8443"}
			}
		})
		d, _, _ := r.join(t, "ada", nil)
		r.node.set(func() { r.node.lone = true })
		closing := func() (code int) {
			for _, c := range r.e.sockets.all() {
				c.mu.Lock()
				code = c.code
				c.mu.Unlock()
			}
			return code
		}
		for range maxLost / 2 {
			r.e.sockets.turn()
		}
		if code := closing(); code != 0 {
			t.Errorf("closed with %d within an election; want the connection kept", code)
		}
		r.node.set(func() { r.node.lone = false })
		r.e.sockets.turn()
		r.node.set(func() { r.node.lone = true })
		for range maxLost + slots {
			r.e.sockets.turn()
		}
		if !others {
			if code := closing(); code != 0 {
				t.Errorf("closed with %d where there is no other node; want the connection kept", code)
			}
			continue
		}
		d.closed(websocket.CloseServiceRestart)
	}
}

// A node that goes says so to who asks whether it is ready, tells its clients where to
// go and within how long, goes on serving them meanwhile, and lets nobody new in.
func TestANodeThatGoesTellsWhereToGo(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) {
		c.URL = "https://n1.example:8443"
		c.OtherNodes = func() []string { return []string{"https://n2.example:8443"} }
	})
	r.want(t, 200, "", "GET", "/readyz", nil)
	d, _, _ := r.join(t, "ada", nil)
	if !r.e.Leaving(4*time.Second) || r.e.Leaving(4*time.Second) {
		t.Error("want the first to have told the clients, and no other")
	}
	f := d.next()
	if f.Type != api.FrameReconnect || f.Reconnect == nil || f.Reconnect.WindowMS != 4000 || !slices.Equal(f.Reconnect.Nodes, []string{"https://n2.example:8443"}) {
		t.Errorf("told %+v; want to go to n2 within 4 s", f)
	}
	var ready api.Ready
	r.want(t, http.StatusServiceUnavailable, "", "GET", "/readyz", nil).into(t, &ready)
	if !slices.Equal(ready.Missing, []string{api.MissingStay}) {
		t.Errorf("/readyz misses %q; want %q", ready.Missing, api.MissingStay)
	}
	d.say(`{"type":"beat","beat":{"n":1,"sessions":[]}}`)
	if f := d.next(); f.Type != api.FrameLease {
		t.Errorf("got %+v; want the client to be served meanwhile", f)
	}
	other := map[string]string{"instance": "i-2"}
	if _, resp := r.dial(t, "ada", other); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("somebody new was answered %s; want 503 and Retry-After", resp.Status)
	}
	r.e.Staying()
	r.want(t, 200, "", "GET", "/readyz", nil)
	r.join(t, "ada", other)

	// Who has gone by themselves is not waited for.
	if w := r.e.Window(); w != minWindow {
		t.Errorf("two clients should go within %v; want %v", w, minWindow)
	}
	r.e.Leaving(time.Minute)
	d.Close()
	for _, c := range r.e.sockets.all() {
		c.close(websocket.CloseGoingAway, "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.e.Gone(ctx)
	if n := r.node.hub.Len(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	if w := r.e.Window(); w != 0 {
		t.Errorf("nobody should go within %v; want no time for it", w)
	}
	r.node.do(t, license.Link{Up: true}) // nobody listens, and nothing waits
}
