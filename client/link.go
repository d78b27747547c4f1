package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

const (
	helloTimeout = 10 * time.Second
	writeTimeout = 5 * time.Second
	pingGrace    = 15 * time.Second // after the server's ping interval, nothing heard is dead
	pingDefault  = 25 * time.Second
	firstRedial  = 500 * time.Millisecond
	lastRedial   = 30 * time.Second
	settled      = time.Minute // a connection that lived so long starts the pauses anew
)

// link is the notices connection: one websocket at a time, to whichever node
// answers, resumed where the last one ended. It is shared by all watchers, waits
// and heartbeats of a client.
type link struct {
	c *Client

	mu       sync.Mutex
	conn     *websocket.Conn // nil: not up, or not greeted yet
	node     string          // of conn
	watchers []*Watcher
	greeted  chan struct{} // closed at the first complete greeting
	token    api.Token     // of the last frame dealt with
	known    bool          // token is one
	state    *api.Me
	stateAt  api.Token
	pending  map[uint64]chan api.Leases
	beats    uint64
	err      error // stopped for good

	writing sync.Mutex
}

// notices returns the client's link and runs it if it does not run yet.
func (c *Client) notices() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		c.link = &link{c: c, greeted: make(chan struct{}), pending: map[uint64]chan api.Leases{}}
		if c.closed {
			c.link.err = ErrClosed
		} else {
			c.running.Go(c.link.run)
		}
	}
	return c.link
}

// run keeps a connection up until the client is closed or the gateway says that
// coming back would not help.
func (l *link) run() {
	ctx := l.c.ctx
	for n := 0; ; n++ {
		node, wait := l.c.nodes.pick()
		if !sleep(ctx, ctx, max(wait, jitter(n, firstRedial, lastRedial))) {
			return
		}
		began := time.Now()
		err := l.serve(ctx, node)
		l.hangUp()
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= settled {
			n = 0
		}
		verdict := l.judge(node, err)
		if verdict.stop != nil {
			l.c.log.Warn("notices ended", "node", node, "err", verdict.stop)
			l.stop(verdict.stop)
			return
		}
		l.c.log.Info("notices connection lost", "node", node, "err", err)
		if !sleep(ctx, ctx, verdict.pause) {
			return
		}
	}
}

type verdict struct {
	stop  error // do not come back
	pause time.Duration
}

// judge decides what the end of a connection means: close codes 4000 to 4499, and
// whatever is not ours, come back; 4500 to 4999 do not.
func (l *link) judge(node string, err error) verdict {
	if e, ok := errors.AsType[*Error](err); ok { // the upgrade was answered with a problem
		switch {
		case e.Denied() || e.Code == api.CodeForbidden:
			return verdict{stop: e}
		case e.Code == api.CodeUnauthorized || e.Code == api.CodeTooMany:
			return verdict{pause: max(after(e), time.Second)}
		default:
			l.c.nodes.failed(node, after(e))
			return verdict{}
		}
	}
	ce, ok := errors.AsType[*websocket.CloseError](err)
	if !ok {
		l.c.nodes.failed(node, 0)
		return verdict{}
	}
	switch {
	case ce.Code == api.CloseSlow || ce.Code == api.CloseResume || ce.Code == api.CloseUnauthorized:
		return verdict{}
	case ce.Code == api.CloseBudget:
		return verdict{pause: maxBackoff}
	case ce.Code >= 4500 && ce.Code <= 4999:
		return verdict{stop: closed(node, ce)}
	case ce.Code >= 4000 && ce.Code <= 4499:
		return verdict{}
	}
	l.c.nodes.failed(node, 0) // 1006, 1012, 1013: it goes or is gone
	return verdict{}
}

// closed is the problem a terminal close code stands for.
func closed(node string, ce *websocket.CloseError) *Error {
	e := &Error{Node: node, Cause: ce, Problem: api.Problem{Code: fmt.Sprintf("closed-%d", ce.Code), Title: "Notices have ended",
		Detail: "The gateway does not send notices to this client any more."}}
	switch ce.Code {
	case api.CloseReplaced:
		e.Code, e.Detail = string(ErrReplaced), "Another connection has taken this client's place."
	case api.CloseBlocked:
		e.Code, e.Detail = string(ErrUserBlocked), "This user may not connect to the license gateway."
		e.Next = []string{"Ask your license administrator."}
	}
	e.Type = api.ProblemBase + e.Code
	return e
}

// serve holds one connection until it ends.
func (l *link) serve(ctx context.Context, node string) error {
	conn, err := l.dial(ctx, node)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() {
		// Say goodbye; the read loop ends with the close.
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		conn.Close()
	})()
	conn.SetReadLimit(maxAnswer)
	alive := helloTimeout
	conn.SetReadDeadline(time.Now().Add(alive))
	conn.SetPingHandler(func(data string) error {
		conn.SetReadDeadline(time.Now().Add(alive))
		err := conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeTimeout))
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	var g greeting
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var f api.Frame
		if err := json.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("a frame that cannot be read: %w", err)
		}
		if f.Type == api.FrameHello && f.Hello != nil {
			ping := min(time.Duration(f.Hello.PingMS)*time.Millisecond, time.Hour)
			alive = cmp.Or(max(ping, 0), pingDefault) + pingGrace
			l.c.nodes.learn(f.Hello.Nodes)
			l.c.nodes.answered(node)
			l.c.clock(f.Hello.Time)
		}
		conn.SetReadDeadline(time.Now().Add(alive))
		l.take(conn, node, &g, f)
	}
}

func (l *link) dial(ctx context.Context, node string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	token, err := l.c.token(ctx)
	if err != nil {
		return nil, err
	}
	m := l.c.cfg.Machine
	q := url.Values{"machine": {m.ID}, "name": {m.Name}, "instance": {l.c.instance}, "since": {l.since()}, "lang": {l.c.cfg.Lang}}
	for k, v := range q {
		if v[0] == "" {
			delete(q, k)
		}
	}
	h := http.Header{}
	l.c.head(h, token)
	tlsConf := l.c.tls.Clone()
	tlsConf.NextProtos = []string{"http/1.1"} // websockets do not travel on HTTP/2 here
	d := websocket.Dialer{NetDialContext: l.c.cfg.Dial, Proxy: l.c.cfg.Proxy, TLSClientConfig: tlsConf,
		Subprotocols: []string{api.NoticesProtocol}, ReadBufferSize: 4096, WriteBufferSize: 1024}
	conn, resp, err := d.DialContext(ctx, "ws"+node[len("http"):]+api.PathNotices+"?"+q.Encode(), h)
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // as much as gorilla kept
			return nil, problem(node, resp, body)
		}
		return nil, err
	}
	if conn.Subprotocol() != api.NoticesProtocol {
		conn.Close()
		return nil, fmt.Errorf("%s does not speak %s", node, api.NoticesProtocol)
	}
	return conn, nil
}

func (l *link) since() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known {
		return ""
	}
	return fmt.Sprintf("%d:%d", l.token.Epoch, l.token.Seq)
}

// greeting is how far a connection has come.
type greeting struct {
	owed  bool      // a state frame, since what was missed does not follow
	token api.Token // that the state frame will stand for
}

// take deals with one frame from the server.
func (l *link) take(conn *websocket.Conn, node string, g *greeting, f api.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case f.Type == api.FrameHello && f.Hello != nil:
		g.token = api.Token{Epoch: f.Hello.Epoch, Seq: f.Hello.Seq}
		g.owed = !f.Hello.Recovered
		l.conn, l.node = conn, node
		if !g.owed {
			if !l.known { // nothing to recover, and all that comes is after this
				l.token, l.known = g.token, true
			}
			l.ready()
		}
	case f.Type == api.FrameNodes:
		l.c.nodes.learn(f.Nodes)
	case f.Type == api.FrameState && f.State != nil:
		missed := l.known
		l.state, l.stateAt = f.State, g.token
		l.token, l.known = g.token, true
		g.owed = false
		if missed {
			l.push(gapAt(g.token))
		}
		l.ready()
	case f.Type == api.FrameNotice && f.Notice != nil:
		n := *f.Notice
		at := api.Token{Epoch: n.Epoch, Seq: n.Seq}
		if l.known && !later(at, l.token) {
			return // seen before the connection was resumed
		}
		if !g.owed {
			l.token, l.known = at, true
		}
		l.push(n)
		l.hint(n)
	case f.Type == api.FrameLease && f.Lease != nil:
		if ch := l.pending[f.Lease.N]; ch != nil {
			delete(l.pending, f.Lease.N)
			ch <- *f.Lease
		}
	}
}

func later(a, b api.Token) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.Seq > b.Seq
}

// ready tells watchers that from now on they hear of everything. The caller
// holds the lock.
func (l *link) ready() {
	select {
	case <-l.greeted:
	default:
		close(l.greeted)
	}
}

// push hands a notice to all watchers. The caller holds the lock.
func (l *link) push(n api.Notice) {
	for _, w := range l.watchers {
		w.push(n)
	}
}

// hint makes a session that has lost its right, or is over, ask at once until
// when. The caller holds the lock.
func (l *link) hint(n api.Notice) {
	switch n.Kind {
	case api.KindReleased, api.KindEnding, api.KindExtended, api.KindStopped, api.KindFree:
	default:
		return
	}
	l.c.mu.Lock()
	s := l.c.sessions[n.ID]
	l.c.mu.Unlock()
	if s != nil {
		s.Beat()
	}
}

// hangUp forgets the connection; heartbeats that wait on it are told.
func (l *link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.node = nil, ""
	for n, ch := range l.pending {
		delete(l.pending, n)
		close(ch)
	}
}

// leave drops the connection to a node that does not do its work, so that the
// next one goes elsewhere.
func (l *link) leave(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && l.node == node {
		l.c.nodes.failed(node, 0)
		l.conn.Close()
	}
}

// stop ends all watchers for good.
func (l *link) stop(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	for _, w := range slices.Clone(l.watchers) {
		l.drop(w, l.err)
	}
}

// beat sends one heartbeat on the websocket and waits for its lease. Errors:
// there is no websocket, it did not answer in time, or its node could not ask
// the leader.
func (l *link) beat(ctx context.Context, session string) (sent instant, r api.BeatResult, node string, err error) {
	l.mu.Lock()
	conn, node := l.conn, l.node
	if conn == nil {
		l.mu.Unlock()
		return sent, r, "", errors.New("there is no websocket")
	}
	l.beats++
	n, answer := l.beats, make(chan api.Leases, 1)
	l.pending[n] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, n)
		l.mu.Unlock()
	}()

	sent = l.c.now()
	if err := l.write(conn, api.Frame{Type: api.FrameBeat, Beat: &api.Beat{N: n, Sessions: []string{session}}}); err != nil {
		conn.Close()
		return sent, r, node, fmt.Errorf("writing a heartbeat: %w", err)
	}
	late := time.NewTimer(beatWait)
	defer late.Stop()
	select {
	case got, ok := <-answer:
		if !ok {
			return sent, r, node, errors.New("the websocket ended before the lease came")
		}
		if got.Error != "" {
			return sent, r, node, errors.New(got.Error)
		}
		i := slices.IndexFunc(got.Leases, func(b api.BeatResult) bool { return b.Session == session })
		if i < 0 || got.Leases[i].Reason == "" && got.Leases[i].TTLMS <= 0 {
			return sent, r, node, errors.New("the lease frame does not answer the heartbeat")
		}
		if r = got.Leases[i]; r.Reason != "" && !refusedBeat(node, r).Denied() {
			return sent, r, node, errors.New(r.Reason)
		}
		return sent, r, node, nil
	case <-late.C:
		l.leave(node)
		return sent, r, node, errors.New("the heartbeat was not answered")
	case <-ctx.Done():
		return sent, r, node, ctx.Err()
	}
}

func (l *link) write(conn *websocket.Conn, f api.Frame) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return conn.WriteJSON(f)
}
