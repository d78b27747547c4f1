package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration/model"
	"sitegate/license"
)

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
	breath  time.Duration // the longest pause between two operations
	// lease is when a session that is left alone expires. Zero: too late to be seen,
	// and none is left alone.
	lease time.Duration
}

func (s *Site) machineInHistory(t testing.TB, h *model.History, number int, user string, seed uint64) *machineInHistory {
	m := &machineInHistory{s: s, h: h, number: number, user: user, token: s.Token(t, user),
		machine: license.Machine{ID: fmt.Sprintf("m-%s-%d", user, number), Name: fmt.Sprintf("WS-%d", number)},
		dice:    rand.New(rand.NewPCG(seed, uint64(number))), http: s.HTTP(), breath: 200 * time.Millisecond}
	m.http.Transport.(*http.Transport).DisableKeepAlives = false
	m.http.Timeout = 9 * time.Second
	return m
}

func (m *machineInHistory) work(ctx context.Context) {
	defer m.http.CloseIdleConnections()
	for ctx.Err() == nil {
		id := license.ID(uuid.Must(uuid.NewV7()))
		if m.dice.IntN(5) == 0 {
			m.use(ctx, model.CheckOut, model.Return, api.PathCheckouts, id)
		} else {
			m.use(ctx, model.Start, model.Stop, api.PathSessions, id)
		}
		nap(ctx, m.some(m.breath))
	}
}

func (m *machineInHistory) some(most time.Duration) time.Duration {
	return time.Duration(m.dice.Int64N(int64(most)))
}

// use takes something and, unless it was refused or is left alone, gives it back;
// where an answer was lost it asks again.
func (m *machineInHistory) use(ctx context.Context, take, give model.Op, path string, id license.ID) {
	sent := m.h.Now()
	out := m.do(take, id, path, id)
	if out.Denied == license.MachineActive && m.dice.IntN(4) == 0 {
		m.wait(ctx)
	}
	if out.Denied != "" {
		return
	}
	if take == model.Start && m.dice.IntN(2) == 0 {
		if m.lease > 0 && m.dice.IntN(2) == 0 {
			nap(ctx, m.lease-m.lease/4+m.some(m.lease/2)) // about when it runs out
		}
		at, renewed := m.keep(path, id)
		if renewed {
			sent = at
		}
	}
	if m.lease == 0 || take != model.Start {
		m.giveBack(ctx, give, path, id)
	} else if m.dice.IntN(6) == 0 || !m.giveBack(ctx, give, path, id) || m.h.Now() >= sent+m.lease {
		m.h.MayExpire(m.number, license.UserID(m.user), id, sent+m.lease)
	}
}

// giveBack gives it back, and says whether that was answered. Where nothing expires it
// is patient: what nobody gives back keeps its user's machines waiting. But no longer than a
// site needs that answers again: one with a planted mistake may never do.
func (m *machineInHistory) giveBack(ctx context.Context, give model.Op, path string, id license.ID) bool {
	nap(ctx, m.some(m.breath))
	tries := 20
	if m.lease == 0 {
		tries = 400
	}
	begun := time.Now()
	for i := 0; i < tries && time.Since(begun) < time.Minute; i++ {
		if !m.do(give, id, path, id).Unknown {
			return true
		}
		nap(context.Background(), 50*time.Millisecond)
	}
	return false
}

// keep renews a session, by a heartbeat or by starting it again, and says when it
// asked for that if it was answered.
func (m *machineInHistory) keep(path string, id license.ID) (sent time.Duration, ok bool) {
	op := model.Beat
	if m.dice.IntN(2) == 0 {
		op = model.Start
	}
	sent = m.h.Now()
	out := m.do(op, id, path, id)
	return sent, !out.Unknown && out.Denied == ""
}

// wait asks to be told, and gives it up.
func (m *machineInHistory) wait(ctx context.Context) {
	id := license.ID(uuid.Must(uuid.NewV7()))
	m.do(model.Wait, id, api.PathWaits, id)
	nap(ctx, m.some(m.breath))
	m.ask(http.MethodDelete, api.PathWaits+"/"+id.String(), nil)
}

// do sends one request to one node and writes down what came of it. What
// certainly did not reach the rules is no part of the history.
func (m *machineInHistory) do(op model.Op, id license.ID, path string, of license.ID) model.Output {
	in := model.Input{Op: op, User: license.UserID(m.user), ID: id, Machine: m.machine}
	machine := api.Machine{ID: m.machine.ID, Name: m.machine.Name}
	method, body := http.MethodPost, map[string]any{"machine": machine}
	switch op {
	case model.Start, model.CheckOut, model.Wait:
		in.Product = emulator.ProductCapped
		body["id"], body["product"] = id.String(), emulator.ProductCapped
		if op == model.CheckOut {
			body["until"] = time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
		}
	case model.Beat:
		path += "/" + of.String() + "/heartbeat"
	default:
		method, path, body = http.MethodDelete, path+"/"+of.String()+"?machine="+m.machine.ID, nil
	}
	call := m.h.Now()
	out, counts := m.ask(method, path, body)
	if counts {
		m.h.Add(m.number, in, out, call, m.h.Now())
	}
	return out
}

func (m *machineInHistory) ask(method, path string, body map[string]any) (out model.Output, counts bool) {
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
		var said struct {
			Free bool `json:"free"`
		}
		if len(b) > 0 && json.Unmarshal(b, &said) != nil {
			return model.Unknown(), true
		}
		return model.Output{Free: said.Free}, true
	}
	var p api.Problem
	if err := json.Unmarshal(b, &p); err != nil {
		return model.Unknown(), true
	}
	switch p.Code {
	case api.CodeUnknown, api.CodeInternal:
		return model.Unknown(), true
	case api.CodeNoQuorum, api.CodeNotReady, api.CodeCloud, api.CodeTooMany:
		return model.Unknown(), false
	}
	return model.Output{Denied: license.Reason(p.Code), Active: p.Machine}, true
}
