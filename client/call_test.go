package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
)

// started notes the ids of the starts that come by.
type started struct {
	mu  sync.Mutex
	ids []string
}

func (s *started) note(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != api.PathSessions {
		return false
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var req api.StartRequest
	json.Unmarshal(body, &req)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, req.ID)
	return true
}

func TestUnfinishedRequestsAreRepeatedElsewhereUnderTheSameID(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func() *api.Problem
	}{
		{"outcome-unknown", func() *api.Problem {
			return &api.Problem{Code: api.CodeUnknown, Status: http.StatusServiceUnavailable}
		}},
		{"no-quorum", func() *api.Problem {
			return &api.Problem{Code: api.CodeNoQuorum, Status: http.StatusServiceUnavailable, RetryAfterMS: 2000}
		}},
		{"connection broken", func() *api.Problem { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{}
				g := newGateway(t, w)
				var seen started
				first := true
				g.Before = func(r *http.Request) *api.Problem {
					if seen.note(r) && first {
						first = false
						return c.fault()
					}
					return nil
				}
				w.serve(t, "127.0.0.1:2", g)
				began := time.Now()
				s := start(t, desktop(t, w, "WS-101", func(c *client.Config) {
					c.Nodes = []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}
				}))
				if len(seen.ids) != 2 || seen.ids[0] != seen.ids[1] || seen.ids[0] != s.ID {
					t.Errorf("starts %v, want two under the id of the session, %s", seen.ids, s.ID)
				}
				if one, two := w.dialled("127.0.0.1:1"), w.dialled("127.0.0.1:2"); one == 0 || two == 0 {
					t.Errorf("dialled %d and %d times, want both nodes", one, two)
				}
				if d := time.Since(began); d > 200*time.Millisecond {
					t.Errorf("it took %v, want the other node asked at once", d)
				}
			})
		})
	}
}

func TestOtherNodesAreAskedSoonAfterOneIsGone(t *testing.T) {
	for range 20 { // pauses and the order of nodes are random
		synctest.Test(t, func(t *testing.T) {
			w := &wire{}
			newGateway(t, w)
			began := time.Now()
			start(t, desktop(t, w, "WS-101", func(c *client.Config) {
				c.Nodes = []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"} // one of which is there
			}))
			if took, most := time.Since(began), 40*time.Millisecond; took > most {
				t.Errorf("it took %v, want at most %v: 20 ms before each next node", took, most)
			}
		})
	}
}

func TestLeaseOfARepeatedStartIsCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		n := 0
		g.Before = func(r *http.Request) *api.Problem {
			if r.Method == http.MethodPost && r.URL.Path == api.PathSessions {
				if n++; n == 1 {
					time.Sleep(10 * time.Second)
					return &api.Problem{Code: api.CodeUnknown, Status: http.StatusServiceUnavailable}
				}
				return nil
			}
			time.Sleep(time.Second / 2) // heartbeats take a while
			return nil
		}
		s := start(t, desktop(t, w, "WS-101"))
		if got, most := s.Left(), ttl-margin-10*time.Second; got > most {
			t.Errorf("Left = %v before any heartbeat, want at most %v: the first attempt may have been the grant", got, most)
		}
		time.Sleep(time.Second)
		if got, least := s.Left(), ttl-margin-time.Second; got < least {
			t.Errorf("Left = %v a second later, want a heartbeat to have made it %v", got, least)
		}
	})
}

func TestDenialsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		start(t, desktop(t, w, "WS-101"))
		before := g.Asked("POST " + api.PathSessions)
		_, err := desktop(t, w, "WS-202").Start(t.Context(), cad)
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !errors.Is(err, client.ErrActiveElsewhere) || e.Machine != "WS-101" || !client.Denied(err) {
			t.Fatalf("Start = %v (%+v), want a refusal that names WS-101", err, e)
		}
		if !strings.Contains(err.Error(), `close the application on "WS-101"`) || len(e.Next) == 0 {
			t.Errorf("error %q, next %q; want the sentence and what to do", err, e.Next)
		}
		if n := g.Asked("POST "+api.PathSessions) - before; n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		_, err = desktop(t, w, "WS-101").Start(t.Context(), "4711")
		if !errors.Is(err, client.ErrNotAssigned) || errors.Is(err, client.ErrActiveElsewhere) {
			t.Errorf("Start of another product = %v, want %v", err, client.ErrNotAssigned)
		}
	})
}

// cloud-needed is a 503 with Retry-After, and a denial all the same.
func TestCloudNeededIsADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		g.Before = func(r *http.Request) *api.Problem {
			return &api.Problem{Code: "cloud-needed", Status: http.StatusServiceUnavailable, RetryAfterMS: 5000}
		}
		_, err := desktop(t, w, "WS-101").CheckOut(t.Context(), cad, time.Now().Add(72*time.Hour))
		if !errors.Is(err, client.ErrCloudNeeded) || g.Asked("POST") != 1 {
			t.Errorf("CheckOut = %v after %d requests, want %v after one", err, g.Asked("POST"), client.ErrCloudNeeded)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, code := range []string{api.CodeNoQuorum, api.CodeTooMany} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{}
				g := newGateway(t, w)
				n := 0
				g.Before = func(r *http.Request) *api.Problem {
					if n++; n == 1 {
						return &api.Problem{Code: code, Status: http.StatusServiceUnavailable, RetryAfterMS: 7000}
					}
					return nil
				}
				began := time.Now()
				if _, err := desktop(t, w, "WS-101").Me(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got, want := time.Since(began), 7*time.Second; got < want || got > want+time.Second {
					t.Errorf("answered after %v, want the %v the gateway asked for", got, want)
				}
			})
		})
	}
}

func TestUnreachableUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		w.sever(true)
		c := desktop(t, w, "WS-101")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := c.Start(ctx, cad)
		if !errors.Is(err, client.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || client.Denied(err) {
			t.Errorf("Start = %v, want %v because of %v", err, client.ErrUnreachable, context.DeadlineExceeded)
		}
		if got := time.Since(began); got != time.Minute {
			t.Errorf("gave up after %v, want when the context ended", got)
		}
		if n := w.dialled("127.0.0.1:1"); n < 12 || n > 200 {
			t.Errorf("dialled %d times in a minute, want pauses that grow to 5 s at most", n)
		}
	})
}

func TestExpiredTokenIsRenewedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		tokens := []string{"old-token", "ann-token"}
		var mu sync.Mutex
		c := desktop(t, w, "WS-101", func(c *client.Config) {
			c.Token = func(context.Context) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				tok := tokens[0]
				if len(tokens) > 1 {
					tokens = tokens[1:]
				}
				return tok, nil
			}
		})
		if me, err := c.Me(t.Context()); err != nil || me.Email != ann {
			t.Errorf("Me = %+v, %v; want %s with the second token", me, err, ann)
		}
		stranger := desktop(t, w, "WS-9", func(c *client.Config) {
			c.Token = func(context.Context) (string, error) { return "stranger", nil }
		})
		before := g.Asked("GET")
		if _, err := stranger.Me(t.Context()); !errors.Is(err, client.ErrUnauthorized) || g.Asked("GET")-before != 1 {
			t.Errorf("Me = %v after %d requests, want %v after one", err, g.Asked("GET")-before, client.ErrUnauthorized)
		}
	})
}

func TestTokenErrorIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the token file is gone")
		c := desktop(t, &wire{}, "WS-101", func(c *client.Config) {
			c.Token = func(context.Context) (string, error) { return "", gone }
		})
		if _, err := c.Me(t.Context()); !errors.Is(err, client.ErrUnauthorized) || !errors.Is(err, gone) {
			t.Errorf("Me = %v, want %v because %v", err, client.ErrUnauthorized, gone)
		}
		for _, silent := range []error{&net.OpError{Op: "dial", Err: errors.New("no route")}, context.DeadlineExceeded, context.Canceled} {
			c := desktop(t, &wire{}, "WS-101", func(c *client.Config) {
				c.Token = func(context.Context) (string, error) { return "", fmt.Errorf("renewing: %w", silent) }
			})
			if _, err := c.Me(t.Context()); !errors.Is(err, client.ErrSignIn) || errors.Is(err, client.ErrUnauthorized) || client.Denied(err) || !errors.Is(err, silent) {
				t.Errorf("Me = %v, want %v because %v: the sign-in may hold", err, client.ErrSignIn, silent)
			}
		}
	})
}

func TestNodesAreLearnedAndAFailedOneIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := &clienttest.Gateway{Users: map[string]string{"ann-token": ann}, Products: []string{cad},
			Nodes: []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://elsewhere.example", "ftp://127.0.0.1:3"}}
		w.serve(t, "127.0.0.1:1", g)
		w.serve(t, "127.0.0.1:2", g)
		c := desktop(t, w, "WS-101")
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		want := []string{"http://127.0.0.1:1", "http://127.0.0.1:2"} // what is not TLS or loopback is not
		if got := c.Nodes(); !slices.Equal(got, want) {
			t.Fatalf("nodes %v, want %v", got, want)
		}
		w.mu.Lock()
		w.nodes["127.0.0.1:1"].Close()
		w.mu.Unlock()
		w.sever(false)
		if _, err := c.Me(t.Context()); err != nil {
			t.Errorf("Me after the first node has gone: %v", err)
		}
		time.Sleep(20 * time.Second)
		dialled := w.dialled("127.0.0.1:1")
		for range 5 {
			if _, err := c.Me(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := w.dialled("127.0.0.1:1"); got != dialled {
			t.Errorf("the benched node was dialled %d times", got-dialled)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	token := func(context.Context) (string, error) { return "t", nil }
	good := client.Config{Nodes: []string{"https://gw.example:8443/"}, Token: token, Machine: api.Machine{ID: "m"}}
	if _, err := client.New(good); err != nil {
		t.Fatalf("New: %v", err)
	}
	for name, change := range map[string]func(*client.Config){
		"no node":                func(c *client.Config) { c.Nodes = nil },
		"no TLS":                 func(c *client.Config) { c.Nodes = []string{"http://gw.example"} },
		"credentials in URL":     func(c *client.Config) { c.Nodes = []string{"https://a:hush@gw.example"} },
		"credentials in no URL":  func(c *client.Config) { c.Nodes = []string{"https://a:hush%zz@gw.example"} },
		"no scheme":              func(c *client.Config) { c.Nodes = []string{"gw.example:8443"} },
		"credentials, no scheme": func(c *client.Config) { c.Nodes = []string{"a:hush@gw.example:8443"} },
		"no token":               func(c *client.Config) { c.Token = nil },
		"no machine id":          func(c *client.Config) { c.Machine.ID = "" },
		"CA that is none":        func(c *client.Config) { c.CA = []byte("hello") },
		"more nodes than a lot":  func(c *client.Config) { c.Nodes = manyNodes() },
	} {
		cfg := good
		change(&cfg)
		if _, err := client.New(cfg); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want an error that repeats no password", name, err)
		}
	}
}

func manyNodes() (urls []string) {
	for i := range 17 {
		urls = append(urls, "https://gw"+string(rune('a'+i))+".example")
	}
	return urls
}

func TestWhatIsNoGatewayIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		w.serve(t, "127.0.0.1:1", http.NotFoundHandler())
		_, err := desktop(t, w, "WS-101").Me(t.Context())
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusNotFound || e.Denied() {
			t.Errorf("Me = %v, want an error that is no denial", err)
		}
	})
}

func TestWhatANodeSaysOutweighsANodeThatIsDown(t *testing.T) {
	g := &clienttest.Gateway{Users: map[string]string{"t": "ada@firm.example"}, Products: []string{"p"},
		Before: func(*http.Request) *api.Problem {
			return &api.Problem{Code: api.CodeNoQuorum, Status: http.StatusServiceUnavailable, Detail: "Most nodes cannot be reached."}
		}}
	up := httptest.NewServer(g)
	defer up.Close()
	down := httptest.NewServer(g)
	down.Close()
	for _, nodes := range [][]string{{up.URL, down.URL}, {down.URL, up.URL}} {
		c, err := client.New(client.Config{Nodes: nodes, Machine: api.Machine{ID: "m"}, Token: func(context.Context) (string, error) { return "t", nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if _, err := c.Start(ctx, "p"); !errors.Is(err, client.ErrNoQuorum) {
			t.Errorf("asking %v: got %v, want what the node said", nodes, err)
		}
		cancel()
		c.Close()
	}
}
