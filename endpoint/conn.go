package endpoint

import (
	"cmp"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// The bounds of a connection.
const (
	tokenGrace = 25 * time.Second // after the access token's end
	maxInbox   = 8                // frames of the client that wait to be dealt with
)

// conn is one client's notice connection.
type conn struct {
	ss      *sockets
	s       socket
	sub     *notice.Subscription
	caller  atomic.Pointer[Caller] // as the latest access token says
	user    license.UserID         // as whom they are told
	machine license.Machine
	lang    phrase.Lang
	id      string // of the request that opened it
	place   string // that it comes from; see keySeen
	after   notice.Token
	slot    int       // on the wheel
	site    *siteFeed // nil: the user's own notices

	mu      sync.Mutex
	out     [][]byte // hello, state, leases: before the notices
	toPing  bool
	code    int // of a close, with why; 0: none
	why     string
	writing bool // a writer lives, or must not any more
	inbox   [][]byte
	working bool // somebody deals with the inbox
	over    bool // the reader has ended: nothing may be started any more
}

// open greets a client and lets it listen. It returns once the reader is on its
// way.
func (ss *sockets) open(s socket, who notice.Subscriber, cl *call, since notice.Token, site bool) {
	c := &conn{ss: ss, s: s, user: who.User, machine: who.Machine, lang: cl.lang, id: cl.id, place: cl.place}
	caller := cl.caller // a copy: the request, with its buffers, is not to live as long
	c.caller.Store(&caller)
	c.writing = true // until the greeting is ready
	who.Wake = c.wake
	sub, err := ss.e.hub.Subscribe(who, since)
	if err != nil {
		ss.e.metrics.closed.WithLabelValues(strconv.Itoa(api.CloseBudget)).Inc()
		go func() {
			defer ss.leave()
			defer s.Drop()
			s.Shut(api.CloseBudget, err.Error())
			s.Drain()
		}()
		return
	}
	c.sub = sub
	recovered, from := sub.Recovered, sub.From
	if site {
		c.site = newSiteFeed(ss.e.hub, since, c.wake)
		recovered, from = c.site.sub.Recovered, c.site.sub.From
	}
	ss.e.metrics.accepted.WithLabelValues(strconv.FormatBool(recovered)).Inc()
	c.greet(recovered, from)
	if ss.join(c) {
		c.close(websocket.CloseServiceRestart, goingText)
	}
	ss.judge([]*conn{c}) // what has changed since the caller was let in
	go c.read()
	c.mu.Lock()
	c.writing = false
	c.start()
	c.mu.Unlock()
}

// greet puts hello, and the state where there is a gap, before everything else.
func (c *conn) greet(recovered bool, from notice.Token) {
	hello, me, after := c.ss.e.greeting(recovered, from, *c.caller.Load(), c.lang)
	c.after = after
	c.out = append(c.out, prepare(api.Frame{Type: api.FrameHello, Hello: &hello}))
	if me != nil {
		c.out = append(c.out, prepare(api.Frame{Type: api.FrameState, State: me}))
	}
}

// read waits until the client has sent something, for hours and with a stack as small as
// can be. What has come is dealt with by a goroutine whose stack may grow, and goes.
func (c *conn) read() {
	if err := c.s.Wait(); err != nil {
		c.ended(err)
		return
	}
	go c.take()
}

// take hands over what has come, and has the next one wait for more.
func (c *conn) take() {
	texts, err := c.s.Take()
	for _, text := range texts {
		c.hand(text)
	}
	if err != nil {
		c.ended(err)
		return
	}
	go c.read()
}

// ended says why to the client, where it is the client's doing, and cleans up.
func (c *conn) ended(err error) {
	defer c.ss.leave()
	broken, wrong := errors.AsType[protocolError](err)
	switch {
	case errors.Is(err, errBudget):
		c.refuse(api.CloseBudget, "too many frames: wait")
	case errors.Is(err, errNotText):
		c.refuse(api.CloseBadFrame, "one JSON object a text frame")
	case errors.Is(err, errNotUTF8):
		c.refuse(websocket.CloseInvalidFramePayloadData, "not UTF-8")
	case errors.Is(err, errTooLarge):
		c.refuse(websocket.CloseMessageTooBig, "a frame that is too large")
	case wrong:
		c.refuse(websocket.CloseProtocolError, broken.Error())
	}
	c.sub.Close()
	if c.site != nil {
		c.site.close()
	}
	c.ss.part(c)
	c.mu.Lock()
	c.over, c.writing = true, true
	code := c.code
	c.mu.Unlock()
	c.s.Drop()
	c.ss.e.metrics.closed.WithLabelValues(strconv.Itoa(code)).Inc()
	c.ss.e.log.Debug("notices closed", "id", c.id, "user", string(c.user), "machine", c.machine.ID, "code", code)
}

// refuse ends the connection from its reader, which will not read another frame:
// it waits for the client to have seen the close.
func (c *conn) refuse(code int, why string) {
	c.mu.Lock()
	if c.code == 0 {
		c.code, c.why = code, why
	}
	code, why = c.code, c.why
	c.mu.Unlock()
	c.s.Shut(code, why)
	c.s.Drain()
}

// close ends the connection with a code, after what is being written. The first
// one stands.
func (c *conn) close(code int, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code == 0 {
		c.code, c.why = code, why
	}
	c.start()
}

// tell sends a frame before the notices.
func (c *conn) tell(f []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, f)
	c.start()
}

func (c *conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toPing = true
	c.start()
}

func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start()
}

// start makes sure that a writer lives. The lock is held, and the reader, which
// keeps the group open, has not ended.
func (c *conn) start() {
	if !c.writing && !c.over {
		c.writing = true
		c.ss.wg.Go(c.write)
	}
}

// write is the writer: it lives while there is something to write, and never
// again after a close or a failure.
func (c *conn) write() {
	for {
		var site [][]byte
		var over notice.End
		if c.site != nil { // without the lock: it looks things up in the state
			site, over = c.site.take(c)
		}
		c.mu.Lock()
		out, ping, code, why := c.out, c.toPing, c.code, c.why
		c.out, c.toPing = nil, false
		notices, end := c.sub.Take()
		if c.site != nil { // it says those, too
			notices, end = nil, cmp.Or(end, over)
			out = append(out, site...)
		}
		again := c.site != nil && c.site.isDue() // meanwhile
		if !again && len(out) == 0 && len(notices) == 0 && !ping && code == 0 && end == notice.Open {
			c.writing = false
			c.mu.Unlock()
			return
		}
		if code == 0 && end != notice.Open {
			code, why = closeOf(end)
			c.code, c.why = code, why
		}
		c.mu.Unlock()

		err := c.send(out, notices)
		if err == nil && ping && code == 0 {
			err = c.s.Ping()
		}
		if err != nil {
			c.s.Drop() // the reader notices; writing stays set
			return
		}
		if code != 0 {
			c.s.Shut(code, why)
			return
		}
	}
}

func (c *conn) send(out [][]byte, notices []*notice.Notice) error {
	for _, f := range out {
		if err := c.s.Send(f); err != nil {
			return err
		}
	}
	for _, n := range notices {
		if at := (notice.Token{Epoch: n.Epoch, Seq: n.Seq}); !c.after.Before(at) {
			continue // the greeting has told it
		}
		if err := c.s.Send(c.ss.frame(n, c.lang, n.Mine(c.machine))); err != nil {
			return err
		}
		c.ss.e.metrics.sent.Inc()
	}
	return nil
}

func closeOf(end notice.End) (code int, why string) {
	switch end {
	case notice.Slow:
		return api.CloseSlow, "notices were not read fast enough: resume"
	case notice.Replaced:
		return api.CloseReplaced, "the same client has connected again"
	case notice.Gap:
		return api.CloseResume, "this node's state has jumped: resume"
	}
	return websocket.CloseNormalClosure, ""
}
