package endpoint

import (
	"context"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

const goingText = "this node is going: connect to another"

// Leaving says that this node is going: from now on /readyz says so, nobody new is
// let in, and who is connected is told to go to another node within the window. False:
// somebody has said so already.
func (e *Endpoint) Leaving(window time.Duration) bool {
	if !e.sockets.close() {
		return false
	}
	others := e.others()
	e.log.Info("clients are told to go to other nodes", "connections", e.hub.Len(), "window_ms", window.Milliseconds(), "nodes", len(others))
	f := prepare(api.Frame{Type: api.FrameReconnect, Reconnect: &api.Reconnect{WindowMS: window.Milliseconds(), Nodes: others}})
	for _, c := range e.sockets.all() {
		c.tell(f)
	}
	return true
}

// Staying takes one's own Leaving back: this node could not be done without. Who has gone, has.
func (e *Endpoint) Staying() {
	ss := e.sockets
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.closed {
		ss.closed, ss.gone = false, make(chan struct{})
	}
}

// Drain sends everyone elsewhere within that time: told to go by Leaving, and closed
// one after the other in the last third of it. Their clients come to the other nodes one
// after the other, and not all at once.
func (e *Endpoint) Drain(over time.Duration) {
	e.Leaving(over - over/3)
	select {
	case e.sockets.away <- over:
	default: // it has been asked to already
	}
}

// Window is how long the clients of this node should take to go to the others: as long
// as those need to take them in. Zero: there are none, or there is nowhere to go.
func (e *Endpoint) Window() time.Duration {
	n := e.hub.Len()
	if n == 0 || len(e.others()) == 0 {
		return 0
	}
	return min(max(time.Duration(n)*time.Second/handshakes, minWindow), maxWindow)
}

// The bounds of Window.
const (
	minWindow = 300 * time.Millisecond
	maxWindow = 20 * time.Second
)

// Gone waits until no client is left, or ctx ends.
func (e *Endpoint) Gone(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.hub.Len() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// going reports whether this node takes nobody new.
func (ss *sockets) going() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.closed
}

// left is closed when this node goes.
func (ss *sockets) left() <-chan struct{} {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.gone
}

// close lets nobody in any more, and lets go of who polls. False: it was so already.
func (ss *sockets) close() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.closed {
		return false
	}
	ss.closed = true
	close(ss.gone)
	return true
}

// sendAway waits for two thirds of the time for the clients to go by themselves, and
// closes those that are left evenly over the rest. The wheel turns meanwhile.
func (ss *sockets) sendAway(ctx context.Context, second <-chan time.Time, over time.Duration) {
	const step = 50 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	began := time.Now()
	last := over / 3
	for n := 0; ; {
		all := ss.all()
		left := over - time.Since(began)
		switch {
		case len(all) == 0 || ctx.Err() != nil:
			return
		case left <= step:
			n = len(all)
		case left < last:
			n = len(all)*int(step)/int(left) + 1
		}
		for _, c := range all[:min(n, len(all))] {
			c.close(websocket.CloseServiceRestart, goingText)
		}
		if left <= step {
			return
		}
		select {
		case <-second:
			ss.turn()
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
