package endpoint

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"sitegate/upstream/cloudapi"
)

// answering is a way out on which one answer comes to everything.
type answering struct{ body []byte }

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		ContentLength: int64(len(a.body)), Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

// BenchmarkRelayedPolicy is what a renewal costs here, without TLS and without the
// vendor: identity, the vendor's signature, enforcement, limits. The vendor gives the policy of
// before again.
func BenchmarkRelayedPolicy(b *testing.B) { benchRelayed(b, func(*relay) {}) }

// BenchmarkRelayedNewPolicy is a renewal for which the vendor has signed anew: what it gives is
// read and verified.
func BenchmarkRelayedNewPolicy(b *testing.B) {
	benchRelayed(b, func(rl *relay) {
		rl.verified.mu.Lock()
		defer rl.verified.mu.Unlock()
		clear(rl.verified.known)
		rl.verified.size = 0
	})
}

func benchRelayed(b *testing.B, between func(*relay)) {
	d := newDesktopRig(b, func(c *Config) {
		c.Logger, c.Rate = slog.New(slog.DiscardHandler), Rate{PerSecond: 1e9, Burst: 1e9}
	})
	ada, body := d.bearer(b, "ada"), asking(b, "WS-101", "1234")
	first := d.policy(b, ada, "WS-101", "1234")
	if first.StatusCode != 200 {
		b.Fatalf("%d %s", first.StatusCode, first.raw)
	}
	d.e.relay.proxy.Transport = answering{first.raw}
	h := d.e.Handler()
	b.SetBytes(int64(len(first.raw)))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", cloudapi.DefaultPolicyPath+cloudapi.PathGetPolicy, bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", ada["Authorization"])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
		between(d.e.relay)
	}
}
