package endpoint

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// visit is one connection to the forward proxy.
type visit struct {
	begun time.Time
	spoke bool        // something came
	heard atomic.Bool // a request that could be read
}

type visitKey struct{}

// heard notes that a request came of a connection.
func heard(r *http.Request) {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		v.heard.Store(true)
	}
}

// Watch has the server that t answers tell of clients that send nothing in time, too
// much, or nothing that can be read: net/http closes them, or says 400 or 431, and t never
// hears of them. It is called before the server serves.
func (t *Tunnel) Watch(srv *http.Server) {
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		v := &visit{begun: time.Now()}
		t.mu.Lock()
		t.visits[c] = v
		t.mu.Unlock()
		return context.WithValue(ctx, visitKey{}, v)
	}
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		t.mu.Lock()
		v := t.visits[c]
		switch state {
		case http.StateActive:
			if v != nil {
				v.spoke = true
			}
		case http.StateClosed, http.StateHijacked:
			delete(t.visits, c)
		}
		t.mu.Unlock()
		if state == http.StateClosed && v != nil && !v.heard.Load() {
			t.unheard(c, v, srv.ReadHeaderTimeout)
		}
	}
}

// unheard logs, once, a connection of which no request came. One that was closed again
// without a word is what monitors and browsers do.
func (t *Tunnel) unheard(c net.Conn, v *visit, patience time.Duration) {
	t.metrics.tunnels.WithLabelValues(noRequest).Inc()
	level := slog.LevelWarn
	took := time.Since(v.begun)
	if !v.spoke && (patience <= 0 || took < patience) || !t.lines.Allow() {
		level = slog.LevelDebug
	}
	t.log.Log(t.ctx, level, "tunnel refused", "client", host(c.RemoteAddr().String()), "reason", noRequest, "spoke", v.spoke, "ms", took.Milliseconds())
}
