package integration

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
)

// keyed is a client of a machine that has a key, and whose sign-in can be out of reach.
func keyed(t *testing.T, s *Site, user, machine string, node int, key crypto.Signer, away *atomic.Bool) *client.Client {
	t.Helper()
	token := s.Token(t, user)
	c, err := client.New(client.Config{Nodes: []string{s.Nodes[node].URL}, CA: s.CAPEM, Key: key, Machine: api.Machine{ID: "machine-" + machine, Name: machine},
		Token: func(context.Context) (string, error) {
			if away != nil && away.Load() {
				return "", errors.New("the access token has expired, and the issuer does not answer")
			}
			return token, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// everywhere is one computer at each of the nodes, which have taken its key.
func everywhere(ctx context.Context, t *testing.T, s *Site, key crypto.Signer, away *atomic.Bool) []*client.Client {
	t.Helper()
	desk := make([]*client.Client, len(s.Nodes))
	for i := range desk {
		desk[i] = keyed(t, s, emulator.UserA, "WS-101", i, key, away)
		if _, err := desk[i].Me(ctx); err != nil {
			t.Fatalf("node %d: %v", i, err)
		}
	}
	return desk
}

func machineKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The issuer is out of reach and the access token is over: what runs goes on by the
// machine's key on every node, and something new is started, which each of them has the leader verify.
// Another computer with the machine's id is refused. Who is blocked is out on all nodes at once.
func TestWorkGoesOnByTheMachinesKey(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var away atomic.Bool
	key := machineKey(t)
	desk := everywhere(ctx, t, s, key, &away)
	session, err := desk[0].Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	for i, c := range desk {
		more, err := c.Start(ctx, emulator.ProductCapped)
		if err != nil {
			t.Fatalf("without an access token, at node %d: %v", i, err)
		}
		if got := c.SignIn(); !got.ByKey || time.Until(got.Until) < 23*time.Hour {
			t.Errorf("at node %d it goes by %+v, want the key for a day", i, got)
		}
		if err := more.Stop(ctx); err != nil {
			t.Fatalf("at node %d: %v", i, err)
		}
	}
	before, began := session.Left(), time.Now()
	Eventually(t, 30*time.Second, "the session is renewed by the key", func() error {
		session.Beat()
		if err := session.Err(); err != nil {
			return err
		}
		if left := session.Left(); left < before-time.Since(began)+2*time.Second { // as without a renewal
			return errors.New("no heartbeat was acknowledged")
		}
		return nil
	})

	// The same id with another key, and with none.
	for i := range s.Nodes {
		clone := keyed(t, s, emulator.UserA, "WS-101", i, machineKey(t), nil)
		if _, err := clone.Start(ctx, emulator.ProductCapped); !errors.Is(err, client.ErrMachineClone) {
			t.Errorf("a clone at node %d: %v, want %v", i, err, client.ErrMachineClone)
		}
		bare := keyed(t, s, emulator.UserA, "WS-101", i, nil, nil)
		if _, err := bare.Start(ctx, emulator.ProductCapped); !errors.Is(err, client.Reason("machine-key-needed")) {
			t.Errorf("without the key at node %d: %v", i, err)
		}
	}

	// Blocked at one node: out at all, by key and by access token, though all of it was
	// verified before.
	watchers := make([]*client.Watcher, len(desk))
	for i, c := range desk {
		watchers[i] = c.Watch(ctx)
		select {
		case <-watchers[i].Ready():
		case <-ctx.Done():
			t.Fatalf("node %d greets nobody", i)
		}
	}
	body, err := json.Marshal(api.ReleaseRequest{By: "ida", Note: "has left"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.operator(s.Nodes[0]).Post("http://operator"+api.PathUsers+"/"+emulator.UserA+"/block", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("blocking: %s", resp.Status)
	}
	for i, w := range watchers {
		for ended := false; !ended; {
			select {
			case _, open := <-w.Notices():
				ended = !open
			case <-ctx.Done():
				t.Fatalf("the connection to node %d lives on", i)
			}
		}
		if err := w.Err(); !errors.Is(err, client.ErrUserBlocked) && !errors.Is(err, client.Reason("user-blocked-here")) {
			t.Errorf("at node %d the notices ended with %v", i, err)
		}
		if _, err := desk[i].Me(ctx); !errors.Is(err, client.Reason("user-blocked-here")) {
			t.Errorf("at node %d who is blocked is told %v", i, err)
		}
	}
}
