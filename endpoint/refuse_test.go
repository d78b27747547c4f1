package endpoint

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sitegate/license"
)

// BenchmarkRefusal is what a refused start takes between the server and the gateway:
// who asks, what they ask, the problem document, the line in the log.
func BenchmarkRefusal(b *testing.B) {
	node := filled(b)
	r := newRig(b, node, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(nowhere{}, nil))
		c.Rate = Rate{PerSecond: 1e9, Burst: 1e9}
	})
	node.do(b, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: license.Machine{ID: "m-1", Name: "WS-1"}, Agreed: true})
	token := r.issuer.token(b, "ada")
	h := r.e.Handler()
	body := `{"id":"` + uuid.Must(uuid.NewV7()).String() + `","product":"road","machine":{"id":"m-2","name":"WS-2"}}`
	request := func() *httptest.ResponseRecorder {
		q := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/sessions", strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+token)
		q.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		return w
	}
	if w := request(); w.Code != http.StatusConflict {
		b.Fatalf("answered %d %s, want 409", w.Code, w.Body)
	}
	b.ReportAllocs()
	for b.Loop() {
		request()
	}
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
