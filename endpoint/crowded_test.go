package endpoint

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// Where a door is crowded, who is not known is answered and does not stay; who is known does.
func TestWhoStaysWhereItIsCrowded(t *testing.T) {
	r := newRig(t, filled(t))
	var full atomic.Bool
	door := httptest.NewUnstartedServer(r.e.Handler())
	door.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return WithCrowded(ctx, full.Load) }
	door.Start()
	defer door.Close()
	r.Server.Close()
	r.Server = door
	for _, is := range []bool{false, true} {
		full.Store(is)
		for _, c := range []struct {
			user, path string
			status     int
			goes       bool
		}{
			{"", "/healthz", http.StatusOK, is},
			{"", "/metrics-of-nobody", http.StatusNotFound, is},
			{"", "/v1/me", http.StatusUnauthorized, is},
			{"ada", "/v1/me", http.StatusOK, false},
		} {
			if a := r.call(t, c.user, "GET", c.path, nil); a.StatusCode != c.status || a.Close != c.goes {
				t.Errorf("crowded %t, %q asks for %s: %d, closed %t; want %d, %t", is, c.user, c.path, a.StatusCode, a.Close, c.status, c.goes)
			}
		}
	}
}
