package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/integration/model"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// historyLength is how long the recorded history runs. From 200 s on, a session
// that is left alone at the beginning expires in it.
var historyLength = flag.Duration("history", 10*time.Second, "how long the recorded history runs")

const expiryLength = 200 * time.Second

// historyUsers each have one license of the capped product and three machines
// that want it at once.
var historyUsers = []string{"h-1", "h-2", "h-3", "h-4"}

func TestHistoryIsLinearizableThoughTheLeaderIsKilled(t *testing.T) {
	s := NewSite(t, 3, 10, "SITEGATE_LIMITS_REQUESTS_PER_SECOND=10000", "SITEGATE_LIMITS_BURST=10000")
	users := historyUsers
	if *historyLength >= expiryLength {
		users = append(users, "h-leaver")
	}
	site := s.historyRecords(t, users)
	h := model.Begin()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)

	ctx, cancel := context.WithTimeout(context.Background(), *historyLength)
	defer cancel()
	var all sync.WaitGroup
	for i, user := range historyUsers {
		for j := range 3 {
			number := 3*i + j
			m := &machineInHistory{s: s, h: h, number: number, user: user, token: s.Token(t, user),
				machine: license.Machine{ID: fmt.Sprintf("m-%d", number), Name: fmt.Sprintf("WS-%d", number)},
				dice:    rand.New(rand.NewPCG(seed, uint64(number))), http: s.HTTP()}
			m.http.Transport.(*http.Transport).DisableKeepAlives = false
			m.http.Timeout = 9 * time.Second
			all.Go(func() { m.work(ctx) })
		}
	}
	if len(users) > len(historyUsers) {
		all.Go(func() { s.leaveAlone(t, ctx, h) })
	}
	nap(ctx, min(*historyLength/3, 10*time.Second))
	leader := s.Leader(t)
	s.Nodes[leader].Kill()
	t.Logf("%v: %s, the leader, killed", h.Now(), s.Nodes[leader].Name)
	nap(ctx, min(*historyLength/4, 5*time.Second))
	s.Start(t, leader)
	all.Wait()

	ops := h.Operations()
	unknown := 0
	for _, op := range ops {
		if op.Output.(model.Output).Unknown {
			unknown++
		}
	}
	t.Logf("%d operations, %d of them unknown", len(ops), unknown)
	if len(ops) < 200 {
		t.Errorf("a history of %d operations shows nothing", len(ops))
	}
	m, info, err := h.Check(site, 2*time.Minute)
	if err != nil {
		t.Errorf("%v\n%s", err, model.Stuck(ops, info))
		if dir := os.Getenv("SITEGATE_HISTORIES"); dir != "" {
			file := filepath.Join(dir, fmt.Sprintf("history-%d.html", seed))
			if err := porcupine.VisualizePath(m, info, file); err == nil {
				t.Logf("drawn in %s", file)
			}
		}
	}
	s.AwaitReady(t, s.Nodes[leader])
	Eventually(t, 20*time.Second, "all nodes have the same state", func() error {
		var first api.Status
		for i, n := range s.Nodes {
			st, err := s.Status(n)
			if err != nil {
				return err
			}
			if i == 0 {
				first = st
			}
			if st.Usage != first.Usage || st.Counts != first.Counts {
				return fmt.Errorf("%s has %+v %+v, %s has %+v %+v", st.Node, st.Usage, st.Counts, first.Node, first.Usage, first.Counts)
			}
		}
		return nil
	})
}

// historyRecords gives the cloud the users of the history, waits until they are
// mirrored, and returns them as the model's site.
func (s *Site) historyRecords(t *testing.T, users []string) model.Site {
	t.Helper()
	site := model.Site{Records: []license.Change{{Product: &license.Product{ID: emulator.ProductCapped, Capped: license.CappedYes}}}}
	year := time.Now().Truncate(24 * time.Hour)
	for _, user := range users {
		l := cloudapi.License{ID: "l-" + user, ProductID: emulator.ProductCapped, Kind: cloudapi.LicenseVirtuoso,
			StartsAt: year.AddDate(0, -1, 0), EndsAt: year.AddDate(0, 11, 0), AssignedTo: user}
		s.Cloud.PutUser(cloudapi.User{ID: user, Email: user + "@harbour-works.example", Country: "FR"})
		s.Cloud.PutLicense(l)
		site.Records = append(site.Records,
			license.Change{User: &license.User{ID: license.UserID(user), Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(l.ID), Product: emulator.ProductCapped, Assignee: license.UserID(user)}})
	}
	want := len(s.Cloud.Licenses())
	for _, n := range s.Nodes {
		Eventually(t, 20*time.Second, "the mirror", func() error {
			st, err := s.Status(n)
			if err == nil && st.Counts.Licenses != want {
				err = fmt.Errorf("%d licenses, want %d", st.Counts.Licenses, want)
			}
			return err
		})
	}
	return site
}

// machineInHistory asks through all nodes, over plain HTTP: whatever is sent is
// one operation of the history.
type machineInHistory struct {
	s       *Site
	h       *model.History
	number  int
	user    string
	token   string
	machine license.Machine
	dice    *rand.Rand
	http    *http.Client
}

func (m *machineInHistory) work(ctx context.Context) {
	for ctx.Err() == nil {
		id := license.ID(uuid.Must(uuid.NewV7()))
		if m.dice.IntN(5) == 0 {
			m.use(ctx, model.CheckOut, model.Return, api.PathCheckouts, id)
		} else {
			m.use(ctx, model.Start, model.Stop, api.PathSessions, id)
		}
		nap(ctx, time.Duration(m.dice.Int64N(int64(breather()))))
	}
}

// use takes something and, unless it was refused, gives it back; where an answer
// was lost it asks again, for as long as it takes.
func (m *machineInHistory) use(ctx context.Context, take, give model.Op, path string, id license.ID) {
	body := map[string]any{"id": id.String(), "product": emulator.ProductCapped,
		"machine": api.Machine{ID: m.machine.ID, Name: m.machine.Name}}
	if take == model.CheckOut {
		body["until"] = time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	}
	out := m.do(take, id, http.MethodPost, path, body)
	if out.Denied != "" {
		return
	}
	if take == model.Start && !out.Unknown && m.dice.IntN(2) == 0 {
		m.do(model.Beat, id, http.MethodPost, path+"/"+id.String()+"/heartbeat", map[string]any{"machine": body["machine"]})
	}
	nap(ctx, time.Duration(m.dice.Int64N(int64(breather()))))
	for range 20 {
		if !m.do(give, id, http.MethodDelete, path+"/"+id.String()+"?machine="+m.machine.ID, nil).Unknown {
			return
		}
		nap(context.Background(), 50*time.Millisecond)
	}
}

// do sends one request to one node and writes down what came of it. What
// certainly did not reach the rules is no part of the history.
func (m *machineInHistory) do(op model.Op, id license.ID, method, path string, body any) model.Output {
	in := model.Input{Op: op, User: license.UserID(m.user), ID: id, Machine: m.machine}
	if op == model.Start || op == model.CheckOut {
		in.Product = emulator.ProductCapped
	}
	call := m.h.Now()
	out, counts := m.ask(method, path, body)
	if counts {
		m.h.Add(m.number, in, out, call, m.h.Now())
	}
	return out
}

func (m *machineInHistory) ask(method, path string, body any) (out model.Output, counts bool) {
	var send io.Reader
	if body != nil {
		b, _ := json.Marshal(body)
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, m.s.Nodes[m.dice.IntN(len(m.s.Nodes))].URL+path, send)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := m.http.Do(req)
	if err != nil {
		var op *net.OpError
		return model.Unknown(), !errors.As(err, &op) || op.Op != "dial" // a node that is down was asked nothing
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return model.Unknown(), true
	}
	if resp.StatusCode < 300 {
		return model.Granted(), true
	}
	var p api.Problem
	if err := json.Unmarshal(b, &p); err != nil {
		return model.Unknown(), true
	}
	switch p.Code {
	case api.CodeUnknown, api.CodeInternal:
		return model.Unknown(), true
	case api.CodeNoQuorum, api.CodeNotReady:
		return model.Unknown(), false
	}
	return model.Output{Denied: license.Reason(p.Code), Active: p.Machine}, true
}

// leaveAlone starts a session that nobody renews, and writes down when it was
// seen to have expired.
func (s *Site) leaveAlone(t *testing.T, ctx context.Context, h *model.History) {
	m := &machineInHistory{s: s, h: h, number: 100, user: "h-leaver", token: s.Token(t, "h-leaver"),
		machine: license.Machine{ID: "m-left", Name: "WS-LEFT"}, dice: rand.New(rand.NewPCG(1, 1)), http: s.HTTP()}
	watcher := s.Client(t, "h-leaver", "WS-OTHER", 0).Watch(ctx)
	id := license.ID(uuid.Must(uuid.NewV7()))
	sent := h.Now()
	out := m.do(model.Start, id, http.MethodPost, api.PathSessions, map[string]any{"id": id.String(), "product": emulator.ProductCapped,
		"machine": api.Machine{ID: m.machine.ID, Name: m.machine.Name}})
	if out.Unknown || out.Denied != "" {
		t.Errorf("the session to be left alone: %v", out)
		return
	}
	for n := range watcher.Notices() {
		if n.Kind == client.KindGap {
			t.Error("the watcher had a gap")
		}
		if n.Kind == api.KindFree && n.ID == id.String() {
			t.Logf("%v: expired, %v after its start", h.Now(), h.Now()-sent)
			h.Expired(m.number, license.UserID(m.user), id, sent+license.DefaultLeaseTTL, h.Now())
			return
		}
	}
	t.Error("the session that was left alone did not expire")
}

// breather is the longest pause between two operations: a long history is sparser,
// for the checker's sake.
func breather() time.Duration {
	return min(max(*historyLength/250, 40*time.Millisecond), 200*time.Millisecond)
}

func nap(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
