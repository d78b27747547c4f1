package endpoint

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
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
	site    *siteFeed // nil: the user's own notices

	mu      sync.Mutex
	out     [][]byte // hello, state, leases: before the notices
	toPing  bool
	code    int // of a close, with why; 0: none
	why     string
	again   bool // there may be something to write
	writing bool // somebody writes or is about to, or nobody must any more
	inbox   [][]byte
	working bool // somebody deals with the inbox
	over    bool // the reader has ended: nothing may be started any more

	slot uint8 // on the wheel
}

// open greets a client and lets it listen. It returns once the reader is on its
// way.
func (ss *sockets) open(s socket, who notice.Subscriber, cl *call, since notice.Token, site bool) {
	who = apart(who)
	c := &conn{ss: ss, s: s, user: who.User, machine: who.Machine, lang: cl.lang, place: cl.place}
	if ss.e.log.Enabled(context.Background(), slog.LevelDebug) { // only what is said there tells it
		c.id = cl.id
	}
	c.caller.Store(cl.caller.lasting())
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

// apart gives a subscriber names of their own: those of a request keep all of its line.
func apart(who notice.Subscriber) notice.Subscriber {
	id, name := len(who.Machine.ID), len(who.Machine.Name)
	all := who.Machine.ID + who.Machine.Name + who.Instance
	who.Machine.ID, who.Machine.Name, who.Instance = all[:id], all[id:id+name], all[id+name:]
	return who
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

// start has what there is written. The lock is held, and the reader, which keeps the
// group open, has not ended.
func (c *conn) start() {
	c.again = true
	if c.writing || c.over {
		return
	}
	c.writing = true
	if c.site == nil && c.s.Direct() {
		c.ss.soon(c)
	} else { // it looks things up in the state, or may have to wait
		c.ss.wg.Go(c.write)
	}
}

// write is a writer of the connection's own, which may wait for the other side: it lives
// while there is something to write.
func (c *conn) write() {
	var d due
	for c.next(&d) && c.put(&d) {
	}
}

// due is what a connection is to be told next.
type due struct {
	frames  [][]byte
	notices int // of those
	code    int // of a close, with why; 0: none
	why     string

	latest wording
}

// next takes what there is to write. Where there is nothing it reports false, and there
// is no writer any more.
func (c *conn) next(d *due) bool {
	c.mu.Lock()
	if !c.again {
		c.writing = false
		c.mu.Unlock()
		return false
	}
	c.again = false
	d.frames, d.notices = append(d.frames[:0], c.out...), 0
	ping := c.toPing
	d.code, d.why = c.code, c.why
	c.out, c.toPing = nil, false
	notices, end := c.sub.Take()
	c.mu.Unlock()
	if c.site == nil {
		c.say(d, notices)
	} else { // it says those, too
		site, over := c.site.take(c)
		d.frames, end = append(d.frames, site...), cmp.Or(end, over)
	}
	if d.code == 0 && end != notice.Open {
		c.mu.Lock()
		if c.code == 0 {
			c.code, c.why = closeOf(end)
		}
		d.code, d.why = c.code, c.why
		c.mu.Unlock()
	}
	if ping && d.code == 0 {
		d.frames = append(d.frames, pingFrame)
	}
	return true
}

// say adds notices, but for those that the greeting has told.
func (c *conn) say(d *due, notices []*notice.Notice) {
	for _, n := range notices {
		if c.after.Before(notice.Token{Epoch: n.Epoch, Seq: n.Seq}) {
			d.frames = append(d.frames, d.latest.of(c, n))
			d.notices++
		}
	}
}

// put writes that. It reports false after a close or a failure: then nothing is written
// ever again.
func (c *conn) put(d *due) bool {
	for _, f := range d.frames {
		if c.s.Send(f) != nil {
			c.s.Drop() // the reader notices; writing stays set
			return false
		}
	}
	c.ss.e.metrics.sent.Add(float64(d.notices))
	if d.code != 0 {
		c.s.Shut(d.code, d.why)
	}
	return d.code == 0
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
