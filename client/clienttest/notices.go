package clienttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

const (
	backlog      = 256 // notices kept for who comes back
	writeTimeout = 5 * time.Second
	pingEvery    = 25 * time.Second
)

// conn is one websocket. The gateway's lock guards writing.
type conn struct {
	ws       *websocket.Conn
	user     string
	machine  string
	instance string
}

// say commits a notice and sends it. The caller holds the lock.
func (g *Gateway) say(email, to string, n api.Notice) {
	g.seq++
	n.Epoch, n.Seq, n.At = g.epoch, g.seq, time.Now().UTC()
	s := said{user: email, to: to, Notice: n}
	g.said = append(g.said, s)
	if len(g.said) > backlog {
		g.floor = g.said[0].Seq
		g.said = g.said[1:]
	}
	for c := range g.conns {
		c.tell(s)
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

func (c *conn) tell(s said) {
	if s.user != c.user {
		return
	}
	n := s.of(c.machine)
	c.write(api.Frame{Type: api.FrameNotice, Notice: &n})
}

// of is a notice as a machine is told it.
func (s said) of(machine string) api.Notice {
	n := s.Notice
	n.Mine = s.to != "" && s.to == machine
	return n
}

// write sends a frame; a connection that cannot take it is closed.
func (c *conn) write(f api.Frame) {
	c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	if c.ws.WriteJSON(f) != nil {
		c.ws.Close()
	}
}

// Close ends all websockets with a close code; 0 cuts them without a word.
func (g *Gateway) Close(code int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		if code != 0 {
			c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(writeTimeout))
		} else {
			c.ws.Close()
		}
	}
}

// Connected is how many websockets are up.
func (g *Gateway) Connected() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

var upgrader = websocket.Upgrader{Subprotocols: []string{api.NoticesProtocol}, ReadBufferSize: 1024, WriteBufferSize: 1024}

func (g *Gateway) notices(w http.ResponseWriter, r *http.Request) {
	email, since, ok := g.listener(w, r)
	if !ok {
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		refuse(w, problem(api.CodeMalformed, http.StatusBadRequest, "connect with a websocket"))
		return
	}
	q := r.URL.Query()
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer ws.Close()
	ws.SetReadLimit(api.MaxFrame)
	c := &conn{ws: ws, user: email, machine: q.Get("machine"), instance: q.Get("instance")}
	g.greet(c, since)
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, c)
	}()
	gone := make(chan struct{})
	defer close(gone)
	go c.ping(gone)
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		var f api.Frame
		switch json.Unmarshal(data, &f); {
		case f.Type == api.FrameBeat && f.Beat != nil && len(f.Beat.Sessions) <= api.MaxBeatSessions:
			g.beat(c, *f.Beat)
		case f.Type == api.FrameAuth && f.Auth != nil && g.Expires > 0:
			g.auth(c, *f.Auth)
		default:
			ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(api.CloseBadFrame, ""), time.Now().Add(writeTimeout))
			return
		}
	}
}

func (c *conn) ping(gone <-chan struct{}) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-gone:
			return
		}
	}
}

// greet says hello and what was missed, or how things are.
func (g *Gateway) greet(c *conn, since api.Token) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for old := range g.conns {
		if old.instance == c.instance {
			old.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(api.CloseReplaced, ""), time.Now().Add(writeTimeout))
			delete(g.conns, old)
		}
	}
	hello := g.hello(since)
	c.write(api.Frame{Type: api.FrameHello, Hello: &hello})
	if hello.Recovered {
		for _, s := range g.said {
			if s.Seq > since.Seq {
				c.tell(s)
			}
		}
	} else {
		me := g.about(c.user)
		c.write(api.Frame{Type: api.FrameState, State: &me})
	}
	g.conns[c] = struct{}{}
}

// hello is the greeting of who knows of what was up to since. The caller holds the lock.
func (g *Gateway) hello(since api.Token) api.Hello {
	recovered := since.Epoch == g.epoch && since.Seq >= g.floor && since.Seq <= g.seq
	return api.Hello{Cluster: "c1", Epoch: g.epoch, Seq: g.seq, Recovered: recovered, Node: "n1", Time: time.Now().UTC(),
		Nodes: g.Nodes, PingMS: pingEvery.Milliseconds(), BeatMS: g.Beat.Milliseconds(), ExpiresMS: g.Expires.Milliseconds()}
}

// listener is who wants to be told, and how far they know; false: that was answered.
func (g *Gateway) listener(w http.ResponseWriter, r *http.Request) (email string, since api.Token, ok bool) {
	email, ok = g.caller(r)
	if !ok {
		refuse(w, problem(api.CodeUnauthorized, http.StatusUnauthorized, "There is no valid sign-in."))
		return email, since, false
	}
	q := r.URL.Query()
	s := q.Get("since")
	if s == "" {
		return email, since, true
	}
	if _, err := fmt.Sscanf(s, "%d:%d", &since.Epoch, &since.Seq); err != nil || q.Get("cluster") != "c1" {
		refuse(w, problem(api.CodeMalformed, http.StatusBadRequest, "since is not epoch:seq, or cluster is missing"))
		return email, since, false
	}
	return email, since, true
}

// poll is the long poll: at once where something is to be told, else within 25 s.
func (g *Gateway) poll(w http.ResponseWriter, r *http.Request) {
	email, since, ok := g.listener(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	late := time.NewTimer(pingEvery)
	defer late.Stop()
	for {
		g.mu.Lock()
		p := api.Poll{Hello: g.hello(since), Notices: []api.Notice{}}
		if p.Hello.Recovered {
			for _, s := range g.said {
				if s.Seq > since.Seq && s.user == email {
					p.Notices = append(p.Notices, s.of(q.Get("machine")))
				}
			}
		} else {
			me := g.about(email)
			p.State = &me
		}
		changed := g.changed
		g.mu.Unlock()
		if p.State != nil || len(p.Notices) > 0 {
			answer(w, http.StatusOK, p)
			return
		}
		select {
		case <-changed:
		case <-late.C:
			answer(w, http.StatusOK, p)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// auth takes the next access token of a user.
func (g *Gateway) auth(c *conn, a api.Auth) {
	g.mu.Lock()
	defer g.mu.Unlock()
	said := api.Authed{N: a.N, ExpiresMS: g.Expires.Milliseconds()}
	switch user := g.Users[a.Token]; {
	case user == "":
		said = api.Authed{N: a.N, Error: "signature"}
	case user != c.user:
		said = api.Authed{N: a.N, Error: "user"}
	default:
		g.renewed = append(g.renewed, a.Token)
	}
	c.write(api.Frame{Type: api.FrameAuthed, Authed: &said})
}

// Renewed are the access tokens that were brought on live websockets.
func (g *Gateway) Renewed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.renewed)
}

// Leave says on all websockets that the node is going, and to whom to go within the
// window.
func (g *Gateway) Leave(window time.Duration, nodes ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.write(api.Frame{Type: api.FrameReconnect, Reconnect: &api.Reconnect{WindowMS: window.Milliseconds(), Nodes: nodes}})
	}
}

func (g *Gateway) beat(c *conn, b api.Beat) {
	if g.Mute != nil && g.Mute() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire()
	l := &api.Leases{N: b.N}
	keyless := g.Keyless != nil && g.Keyless()
	for _, id := range b.Sessions {
		if keyless {
			l.Leases = append(l.Leases, api.BeatResult{Session: id, Reason: "machine-key-needed"})
			continue
		}
		l.Leases = append(l.Leases, g.renew(c.user, id, c.machine))
	}
	c.write(api.Frame{Type: api.FrameLease, Lease: l})
}
