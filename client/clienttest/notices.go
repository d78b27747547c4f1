package clienttest

import (
	"encoding/json"
	"fmt"
	"net/http"
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
}

func (c *conn) tell(s said) {
	if s.user != c.user {
		return
	}
	n := s.Notice
	n.Mine = s.to != "" && s.to == c.machine
	c.write(api.Frame{Type: api.FrameNotice, Notice: &n})
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
	email, ok := g.caller(r)
	if !ok {
		refuse(w, problem(api.CodeUnauthorized, http.StatusUnauthorized, "There is no valid sign-in."))
		return
	}
	q := r.URL.Query()
	var since api.Token
	if s := q.Get("since"); s != "" {
		if _, err := fmt.Sscanf(s, "%d:%d", &since.Epoch, &since.Seq); err != nil {
			refuse(w, problem(api.CodeMalformed, http.StatusBadRequest, "since is not epoch:seq"))
			return
		}
	}
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
		if json.Unmarshal(data, &f) != nil || f.Type != api.FrameBeat || f.Beat == nil || len(f.Beat.Sessions) > api.MaxBeatSessions {
			ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(api.CloseBadFrame, ""), time.Now().Add(writeTimeout))
			return
		}
		g.beat(c, *f.Beat)
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
	recovered := since.Epoch == g.epoch && since.Seq >= g.floor && since.Seq <= g.seq
	c.write(api.Frame{Type: api.FrameHello, Hello: &api.Hello{Epoch: g.epoch, Seq: g.seq, Recovered: recovered, Node: "n1",
		Nodes: g.Nodes, PingMS: pingEvery.Milliseconds(), BeatMS: g.Beat.Milliseconds()}})
	if recovered {
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

func (g *Gateway) beat(c *conn, b api.Beat) {
	if g.Mute != nil && g.Mute() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire()
	l := &api.Leases{N: b.N}
	for _, id := range b.Sessions {
		l.Leases = append(l.Leases, g.renew(c.user, id, c.machine))
	}
	c.write(api.Frame{Type: api.FrameLease, Lease: l})
}
