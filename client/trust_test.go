package client_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
)

func TestGatewayURLsSayHowTheyAreWritten(t *testing.T) {
	for raw, want := range map[string]string{
		"127.0.0.1:8443":         "write https://127.0.0.1:8443",
		"gw.example:8443/":       "write https://gw.example:8443",
		"[::1]:8443":             "write https://[::1]:8443",
		"gw.example":             "write https://gw.example",
		"":                       "write it as https://host:port",
		"gw.example:port":        "write it as https://host:port",
		"http://gw.example:8443": "an access token would travel in the clear",
	} {
		_, err := client.New(client.Config{Nodes: []string{raw}, Machine: api.Machine{ID: "m"},
			Token: func(context.Context) (string, error) { return "t", nil }})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "parse") {
			t.Errorf("%q: got %v, want it to say %q", raw, err, want)
		}
	}
}

// A certificate that is not trusted is no matter of the network.
func TestCertificatesThatAreNotTrusted(t *testing.T) {
	g := &clienttest.Gateway{Users: map[string]string{"t": ann}, Products: []string{cad}}
	srv := httptest.NewUnstartedServer(g)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	port := srv.URL[strings.LastIndex(srv.URL, ":"):]
	for name, c := range map[string]struct {
		url    string
		ca     []byte
		detail string
	}{
		"unknown authority": {srv.URL, nil, "not by an authority that is known here"},
		"another name":      {"https://localhost" + port, own, "is for another name"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := client.New(client.Config{Nodes: []string{c.url}, CA: c.ca, Machine: api.Machine{ID: "m"},
				Token: func(context.Context) (string, error) { return "t", nil }})
			if err != nil {
				t.Fatal(err)
			}
			defer c2.Close()
			began := time.Now()
			_, err = c2.Me(t.Context())
			e, ok := errors.AsType[*client.Error](err)
			if !ok || !errors.Is(err, client.ErrUnreachable) || !strings.Contains(e.Detail, c.detail) {
				t.Fatalf("Me = %v, want %q", err, c.detail)
			}
			next := strings.Join(e.Next, " ")
			if !strings.Contains(next, "--ca FILE") || !strings.Contains(next, "site-ca.pem") || strings.Contains(next, "network") {
				t.Errorf("next %q, want the CA file and nothing about the network", e.Next)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("it took %v, want no repetition", d)
			}
		})
	}
}

// A gateway cannot lead its clients off TLS, not even within this machine.
func TestNodesLearnedAreNoLessSafe(t *testing.T) {
	g := &clienttest.Gateway{Users: map[string]string{"t": ann}, Products: []string{cad}, Nodes: []string{"http://127.0.0.1:1", "https://gw2.example"}}
	srv := httptest.NewTLSServer(g)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Nodes: []string{srv.URL}, Machine: api.Machine{ID: "m"},
		CA:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}),
		Token: func(context.Context) (string, error) { return "t", nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case <-c.Watch(t.Context()).Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("no greeting came")
	}
	if got, want := c.Nodes(), []string{srv.URL, "https://gw2.example"}; !slices.Equal(got, want) {
		t.Errorf("nodes %v, want %v", got, want)
	}
}
