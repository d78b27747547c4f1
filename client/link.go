package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// link is the notices connection: one websocket at a time, to whichever node
// answers, resumed where the last one ended; where no websocket gets through, long
// polls. It is shared by all watchers, waits and heartbeats of a client.
type link struct {
	c *Client

	mu       sync.Mutex
	conn     *websocket.Conn // nil: not up, or not greeted yet
	node     string          // of conn
	polling  bool            // long polls get through
	watchers []*Watcher
	greeted  chan struct{} // closed at the first complete greeting
	token    api.Token     // of the last frame dealt with
	known    bool          // token is one
	cluster  string        // whose token that is
	retry    api.Retry     // as the last hello has it
	state    *api.Me
	stateAt  api.Token
	pending  map[uint64]chan api.Leases
	beats    uint64
	trouble  error // of the last connection, until one is greeted
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
	var way ways
	failed := 0 // in a row
	var verdict verdict
	for {
		node, wait := l.c.nodes.pick()
		if !verdict.atOnce || failed > 1 {
			wait = max(wait, l.comeback(failed))
		}
		if !sleep(ctx, ctx, max(wait, verdict.pause)) {
			return
		}
		began := time.Now()
		var err error
		if until, poll := way.poll(began); poll {
			err = l.poll(ctx, node, until)
			way.polled(err)
		} else {
			var reached bool
			reached, err = l.serve(ctx, node)
			way.died(reached, err, time.Since(began))
		}
		l.hangUp()
		if ctx.Err() != nil {
			return
		}
		if failed++; time.Since(began) >= settled {
			failed = 1
		}
		if err == nil { // it is time for a websocket
			failed, verdict = 0, noVerdict
			continue
		}
		verdict = l.judge(node, err)
		l.mu.Lock()
		l.trouble = err
		l.mu.Unlock()
		if verdict.stop != nil {
			l.c.log.Warn("notices ended", "node", node, "err", verdict.stop)
			l.stop(verdict.stop)
			return
		}
		l.c.log.Info("notices connection lost", "node", node, "err", err)
	}
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
		l.met(f.Hello)
		if !g.owed {
			if !l.known { // nothing to recover, and all that comes is after this
				l.token, l.known = g.token, true
			}
			l.ready()
		}
	case f.Type == api.FrameNodes:
		l.c.nodes.learn(f.Nodes)
	case f.Type == api.FrameState && f.State != nil:
		g.owed = false
		l.stands(f.State, g.token)
		l.ready()
	case f.Type == api.FrameNotice && f.Notice != nil:
		l.hear(*f.Notice, !g.owed)
	case f.Type == api.FrameLease && f.Lease != nil:
		if ch := l.pending[f.Lease.N]; ch != nil {
			delete(l.pending, f.Lease.N)
			ch <- *f.Lease
		}
	}
}

// met notes what a hello says of the site. The caller holds the lock.
func (l *link) met(h *api.Hello) {
	l.c.nodes.learn(h.Nodes)
	l.c.clock(h.Time)
	l.cluster, l.retry = h.Cluster, h.Retry
}

// stands notes how things are, where what was missed does not follow. The caller holds
// the lock.
func (l *link) stands(me *api.Me, at api.Token) {
	missed := l.known
	l.state, l.stateAt = me, at
	l.token, l.known = at, true
	if missed {
		l.push(l.c.lang.gapAt(at))
	}
}

// hear passes a notice on that was not seen yet. counts: nothing before it is owed.
// The caller holds the lock.
func (l *link) hear(n api.Notice, counts bool) {
	at := api.Token{Epoch: n.Epoch, Seq: n.Seq}
	if l.known && !later(at, l.token) {
		return // seen before the connection was resumed
	}
	if counts {
		l.token, l.known = at, true
	}
	l.push(n)
	l.hint(n)
}

func later(a, b api.Token) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.Seq > b.Seq
}

// ready tells watchers that from now on they hear of everything. The caller
// holds the lock.
func (l *link) ready() {
	l.trouble = nil
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
	l.conn, l.node, l.polling = nil, "", false
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

// comeBack drops the connection, so that the next one is made by what the client goes by
// now.
func (l *link) comeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
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
		if r = got.Leases[i]; r.Reason != "" && !l.c.lang.refusedBeat(node, r).Denied() {
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
