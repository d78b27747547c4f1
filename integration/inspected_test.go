package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
)

// inspected is a client whose network inspects TLS and lets no websocket through.
func inspected(t *testing.T, s *Site, user, machine string) *client.Client {
	t.Helper()
	to, err := url.Parse(s.Nodes[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	behind := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CA}}
	t.Cleanup(behind.CloseIdleConnections)
	box := &httputil.ReverseProxy{Transport: behind, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, ErrorLog: log.New(io.Discard, "", 0)}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			http.Error(w, "We protect you.", http.StatusForbidden)
			return
		}
		box.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	token := s.Token(t, user)
	c, err := client.New(client.Config{Nodes: []string{srv.URL}, Roots: roots, Machine: api.Machine{ID: "id-" + machine, Name: machine}, Token: func(context.Context) (string, error) { return token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestWhereWebsocketsAreBrokenNoticesComeByPoll, and a session is kept.
func TestWhereWebsocketsAreBrokenNoticesComeByPoll(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 20)
	ctx := deadline(t, 2*time.Minute)
	here, there := inspected(t, s, emulator.UserA, "WS-101"), s.Client(t, emulator.UserA, "WS-202", 0)
	notices := here.Watch(ctx)
	select {
	case <-notices.Ready():
	case <-ctx.Done():
		t.Fatal("nothing was told")
	}
	if !notices.Polls() {
		t.Error("Polls is false, want notices to come by poll")
	}
	session, err := here.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	_, err = there.Start(ctx, emulator.ProductCapped)
	refusedFor(t, err, client.ErrActiveElsewhere)
	for kinds := []string{api.KindGranted, api.KindAttempted}; len(kinds) > 0; {
		select {
		case n, ok := <-notices.Notices():
			if !ok {
				t.Fatalf("the watcher ended: %v", notices.Err())
			}
			if n.Kind == kinds[0] {
				kinds = kinds[1:]
			}
		case <-ctx.Done():
			t.Fatalf("%v was not told", kinds)
		}
	}
	if err := session.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}
