package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"sitegate/emulator"
	"sitegate/load"
	"sitegate/load/desk"
	"sitegate/upstream/cloudapi"
)

const benchRelayHelp = `
Usage: sitegate bench relay [--clients N] [--rounds N] [--time D] [FLAGS]

Asks for policies as the vendor's own client does, through a node that relays them,
with identity, signature, enforcement and limits, and through a bare reverse proxy
with the same way out, in turn and over TLS on both sides:

  first starts   one client, each user's first: committed before the answer leaves
  renewals       one client, and then --clients; none may write to the log

The vendor is in this process and gives each user a policy that was signed before,
so that what is compared is the way and not the signing. --nodes 3 sends the load to
the leader; the node and the proxy are processes of their own.

Example:
  sitegate bench relay --clients 32 --rounds 3
`

func benchRelay(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench relay", benchRelayHelp)
	o := benchFlags{relay: true, nodes: 1, users: 2000, time: 4 * time.Second, warm: time.Second}
	p.benchFlags(f, &o)
	f.IntVar(&o.clients, "clients", 32, "clients, each with a connection of its own")
	rounds := f.Int("rounds", 3, "how often each is measured")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *rounds < 1 || *rounds > 100 || o.users < *rounds {
		return usagef("bench relay: --rounds is 1 to 100, and at most the number of users, not %d", *rounds)
	}
	s, err := o.open(ctx, p, f, nil)
	defer s.close()
	if err != nil {
		return err
	}
	o.clients = min(o.clients, len(s.users) / *rounds)
	r := &relayBench{s: s}
	defer r.close()
	if err := onFreePort(ctx, func(addr string) error { return r.startBare(ctx, addr) }); err != nil {
		return err
	}
	return s.explained(r.run(ctx, *rounds))
}

// relayBench measures the relay beside a bare proxy.
type relayBench struct {
	s    *benchSite
	bare *exec.Cmd
	done chan struct{}
	at   string // the bare proxy
	tls  *tls.Config
}

// run measures all of it, round by round.
func (r *relayBench) run(ctx context.Context, rounds int) error {
	o := r.s.o
	for round := range rounds {
		users := r.part(round, rounds) // whose first start this round's is
		started := users[len(users)-1] + 1
		first, err := r.first(ctx, users, true)
		if err != nil {
			return err
		}
		bare, err := r.first(ctx, users, false)
		if err != nil {
			return err
		}
		if err := o.print(compared("first starts, 1 client", first, bare)); err != nil {
			return err
		}
		for _, clients := range []int{1, o.clients} {
			var lines [2]load.Line
			for i, relay := range []bool{true, false} {
				if _, err := r.renewals(ctx, clients, started, o.warm, relay); err != nil {
					return err
				}
				if lines[i], err = r.renewals(ctx, clients, started, o.time, relay); err != nil {
					return err
				}
			}
			relay, bare := lines[0], lines[1]
			if err := o.print(compared(fmt.Sprintf("renewals, %s", count(clients, "client")), relay, bare)); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
	}
	return nil
}

// compared is a line with the bare proxy beside it.
func compared(name string, relay, bare load.Line) load.Line {
	relay.Name, relay.PeerOps, relay.PeerP99, relay.Ratio = name, bare.Ops, bare.P99, relay.Ops/bare.Ops
	relay.Errors += bare.Errors
	relay.More = map[string]float64{"bare_p50_ms": bare.P50, "added_p50_ms": relay.P50 - bare.P50, "bare_cpu_us_per_op": bare.CPU}
	return relay
}

// part is the share of the users that a round begins with.
func (r *relayBench) part(round, rounds int) (users []int) {
	n := len(r.s.users) / rounds
	for i := range n {
		users = append(users, round*n+i)
	}
	return users
}

// first asks once for each of the users, one after the other.
func (r *relayBench) first(ctx context.Context, users []int, relay bool) (load.Line, error) {
	conn := r.conn(relay)
	defer conn.Close()
	var times load.Times
	before, cpu, began := r.s.usage(ctx), r.cpu(relay), time.Now()
	for _, u := range users {
		at := time.Now()
		if err := r.ask(conn, u); err != nil {
			return load.Line{}, err
		}
		times.Add(time.Since(at))
		if ctx.Err() != nil {
			return load.Line{}, interrupted(ctx)
		}
	}
	l := load.LineOf("", &times, time.Since(began))
	r.note(ctx, &l, before, cpu, relay)
	return l, nil
}

// renewals asks again and again, each client for users of its own among the first ones.
func (r *relayBench) renewals(ctx context.Context, clients, users int, time_ time.Duration, relay bool) (load.Line, error) {
	conns, next := make([]*desk.Conn, clients), make([]int, clients)
	for i := range conns {
		conns[i], next[i] = r.conn(relay), i
		defer conns[i].Close()
	}
	before, cpu := r.s.usage(ctx), r.cpu(relay)
	result := load.Load{Callers: clients, Time: time_, Call: func(_ context.Context, i int) (time.Time, error) {
		u := next[i]
		if next[i] += clients; next[i] >= users {
			next[i] = i
		}
		return time.Time{}, r.ask(conns[i], u)
	}}.Run(ctx)
	l := result.Line("")
	r.note(ctx, &l, before, cpu, relay)
	return l, nil
}

// ask asks for a user's policy and makes sure that it is that one.
func (r *relayBench) ask(conn *desk.Conn, user int) error {
	status, answer, err := conn.Do(http.MethodPost, cloudapi.DefaultPolicyPath+cloudapi.PathGetPolicy, r.s.users[user].Token, relayAsk(user))
	switch {
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("answered %d: %.200s", status, answer)
	case !bytes.Equal(answer, r.s.vendor.policies[r.s.users[user].Token]):
		return errors.New("the answer is not the vendor's")
	}
	return nil
}

func relayAsk(user int) []byte {
	b, err := json.Marshal(cloudapi.PolicyRequest{MachineName: fmt.Sprintf("BENCH-%d", user), Locale: "en", AppliesTo: cloudapi.AppliesTo,
		ClientDateTime: "2026-05-04T08:00:00Z", RequestedSecurables: []cloudapi.SecurableWanted{{ProductID: emulator.ProductCapped, Version: "10.2.3.4"}}})
	if err != nil {
		panic(err) // our own types
	}
	return b
}

func (r *relayBench) conn(relay bool) *desk.Conn {
	if relay {
		return r.s.conn(r.s.addrs[0])
	}
	return &desk.Conn{Addr: r.at, TLS: r.tls}
}

func (r *relayBench) cpu(relay bool) time.Duration {
	if relay {
		return load.ProcessCPU(r.s.nodes[0].cmd.Process.Pid)
	}
	return load.ProcessCPU(r.bare.Process.Pid)
}

func (r *relayBench) note(ctx context.Context, l *load.Line, before usage, cpu time.Duration, relay bool) {
	if l.Count == 0 {
		return
	}
	after := r.s.usage(ctx)
	if relay {
		grown := after.index - before.index
		l.LogEntries = &grown
	}
	l.CPU = float64((r.cpu(relay) - cpu).Microseconds()) / float64(l.Count)
	l.Driver = float64((after.self - before.self).Microseconds()) / float64(l.Count)
}

// startBare starts the bare proxy in a process of its own, and waits until it answers.
func (r *relayBench) startBare(ctx context.Context, addr string) (err error) {
	r.close() // one that did not come up
	r.at = addr
	ca := filepath.Join(r.s.dir, "bare-ca.pem")
	r.bare, err = again(context.WithoutCancel(ctx), "bench", "bare", "--listen", r.at, "--to", r.s.cloud.Issuer,
		"--to-ca", filepath.Join(r.s.dir, "cloud-ca.pem"), "--write-ca", ca)
	if err != nil {
		return err
	}
	if err := r.bare.Start(); err != nil {
		return fmt.Errorf("starting the bare proxy: %w", err)
	}
	r.done = make(chan struct{})
	go func() {
		r.bare.Wait()
		close(r.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	return until(ctx, func() error {
		select {
		case <-r.done:
			return errors.New("the bare proxy has ended")
		default:
		}
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		r.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		r.tls.RootCAs.AppendCertsFromPEM(pem)
		conn := r.conn(false)
		defer conn.Close()
		return r.ask(conn, 0)
	})
}

func (r *relayBench) close() {
	if r.done == nil {
		return
	}
	r.bare.Process.Signal(syscall.SIGTERM)
	<-r.done
	r.done = nil
}

// benchVendor answers requests for policies with what the cloud has signed before, and
// leaves the rest to the cloud.
type benchVendor struct {
	cloud    *emulator.Emulator
	mu       sync.RWMutex
	policies map[string][]byte // by token
}

func (v *benchVendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == cloudapi.DefaultPolicyPath+cloudapi.PathGetPolicy {
		v.mu.RLock()
		answer := v.policies[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		v.mu.RUnlock()
		if answer != nil {
			io.Copy(io.Discard, r.Body) // to whoever answers sooner, a proxy says that it failed
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			w.Write(answer)
			return
		}
	}
	v.cloud.ServeHTTP(w, r)
}

// sign has the cloud sign a policy for each of the users.
func (v *benchVendor) sign(users []desk.User) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.policies = map[string][]byte{}
	for i, u := range users {
		req := httptest.NewRequest(http.MethodPost, cloudapi.DefaultPolicyPath+cloudapi.PathGetPolicy, bytes.NewReader(relayAsk(i)))
		req.Header.Set("Authorization", "Bearer "+u.Token)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		v.cloud.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			return fmt.Errorf("the cloud signs no policy: it answered %d: %s", w.Code, w.Body)
		}
		v.policies[u.Token] = w.Body.Bytes()
	}
	return nil
}
