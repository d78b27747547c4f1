package endpoint

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
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
	caller  Caller
	user    license.UserID // as whom they are told
	machine license.Machine
	lang    phrase.Lang
	id      string // of the request that opened it
	after   notice.Token
	slot    int         // on the wheel
	expiry  *time.Timer // of the access token

	mu      sync.Mutex
	out     []*websocket.PreparedMessage // hello, state, leases: before the notices
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
func (ss *sockets) open(s socket, who notice.Subscriber, cl *call, since notice.Token) {
	c := &conn{ss: ss, s: s, caller: cl.caller, user: who.User, machine: who.Machine, lang: cl.lang, id: cl.id}
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
	ss.e.metrics.accepted.WithLabelValues(strconv.FormatBool(sub.Recovered)).Inc()
	c.greet()
	c.expiry = time.AfterFunc(time.Until(c.caller.Expires)+tokenGrace, func() {
		c.close(api.CloseUnauthorized, "the access token has expired: come back with a new one")
	})
	if ss.join(c) {
		c.close(websocket.CloseServiceRestart, "this node is going: connect to another")
	}
	go c.read()
	c.mu.Lock()
	c.writing = false
	c.start()
	c.mu.Unlock()
}

// greet puts hello, and the state where there is a gap, before everything else.
// With a gap the token is the state's: what it already shows is not told again.
func (c *conn) greet() {
	e := c.ss.e
	hello := e.hello(c.caller)
	hello.Recovered = c.sub.Recovered
	c.after = c.sub.From
	var me *api.Me
	e.gw.View(func(s *license.State) {
		h := s.Head()
		hello.Cluster, hello.BeatMS = h.Cluster, beat(h.Settings.TTL()).Milliseconds()
		if !c.sub.Recovered {
			c.after = notice.Token{Epoch: h.Epoch, Seq: h.Seq}
			state := about(s, c.caller, c.lang)
			me = &state
		}
	})
	hello.Epoch, hello.Seq = c.after.Epoch, c.after.Seq
	c.out = append(c.out, prepare(api.Frame{Type: api.FrameHello, Hello: &hello}))
	if me != nil {
		c.out = append(c.out, prepare(api.Frame{Type: api.FrameState, State: me}))
	}
}

// hello is what every greeting says.
func (e *Endpoint) hello(caller Caller) api.Hello {
	return api.Hello{Time: e.gw.Now().Std(), Node: e.gw.Cluster().Node, Nodes: e.nodes(), PingMS: pingEvery.Milliseconds(),
		ExpiresMS: max(0, time.Until(caller.Expires)).Milliseconds(), GraceMS: tokenGrace.Milliseconds(), Retry: e.sockets.retry()}
}

// read is the reader: it waits, hands over what comes, and cleans up at the end.
func (c *conn) read() {
	defer c.ss.leave()
	for {
		data, err := c.s.Receive()
		switch {
		case err == nil:
			c.hand(data)
			continue
		case errors.Is(err, errBudget):
			c.refuse(api.CloseBudget, "too many frames: wait")
		case errors.Is(err, errNotText):
			c.refuse(api.CloseBadFrame, "one JSON object a text frame")
		case errors.Is(err, errNotUTF8):
			c.refuse(websocket.CloseInvalidFramePayloadData, "not UTF-8")
		}
		break
	}
	c.expiry.Stop()
	c.sub.Close()
	c.ss.part(c)
	c.mu.Lock()
	c.over, c.writing = true, true
	code := c.code
	c.mu.Unlock()
	c.s.Drop()
	c.ss.e.metrics.closed.WithLabelValues(strconv.Itoa(code)).Inc()
	c.ss.e.log.Debug("notices closed", "id", c.id, "user", string(c.caller.User), "machine", c.machine.ID, "code", code)
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
func (c *conn) tell(f *websocket.PreparedMessage) {
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
		c.mu.Lock()
		out, ping, code, why := c.out, c.toPing, c.code, c.why
		c.out, c.toPing = nil, false
		notices, end := c.sub.Take()
		if len(out) == 0 && len(notices) == 0 && !ping && code == 0 && end == notice.Open {
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

func (c *conn) send(out []*websocket.PreparedMessage, notices []*notice.Notice) error {
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

// hand puts a frame into the inbox and makes sure that somebody looks.
func (c *conn) hand(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.code != 0:
	case len(c.inbox) == maxInbox:
		c.code, c.why = api.CloseBudget, "too many frames wait for an answer"
		c.start()
	default:
		c.inbox = append(c.inbox, data)
		if !c.working {
			c.working = true
			c.ss.wg.Go(c.work)
		}
	}
}

// work deals with the inbox, one frame after the other.
func (c *conn) work() {
	for {
		c.mu.Lock()
		if len(c.inbox) == 0 || c.over {
			c.working = false
			c.mu.Unlock()
			return
		}
		data := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.mu.Unlock()

		leases, err := c.beat(data)
		if err != nil {
			c.close(api.CloseBadFrame, err.Error())
			continue
		}
		c.tell(prepare(api.Frame{Type: api.FrameLease, Lease: leases}))
	}
}

// beat renews the sessions of a heartbeat. The answer is made only after the
// leader has acknowledged, or could not be asked.
func (c *conn) beat(data []byte) (*api.Leases, error) {
	var f api.Frame
	if err := unmarshal(data, &f); err != nil {
		return nil, errors.New("a frame that cannot be read")
	}
	if f.Type != api.FrameBeat || f.Beat == nil || len(f.Beat.Sessions) > api.MaxBeatSessions ||
		f.Hello != nil || f.Notice != nil || f.Lease != nil || f.State != nil || f.Nodes != nil {
		return nil, errors.New("clients send beats, of at most 32 sessions")
	}
	renewals := make([]license.Renewal, len(f.Beat.Sessions))
	for i, s := range f.Beat.Sessions {
		id, err := license.ParseID(s)
		if err != nil {
			return nil, errors.New("a session that is no UUID")
		}
		renewals[i] = license.Renewal{Session: id, User: c.caller.User, Machine: c.machine}
	}
	out := &api.Leases{N: f.Beat.N, Leases: []api.BeatResult{}}
	e := c.ss.e
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	leases, err := e.gw.Renew(ctx, renewals)
	if err == nil && len(leases) != len(renewals) {
		err = errLeases(len(leases), len(renewals))
	}
	e.metrics.beats.WithLabelValues(result(err)).Inc()
	if err != nil {
		out.Error = codeOf(err)
		e.log.Warn("heartbeat was not acknowledged", "id", c.id, "user", string(c.caller.User), "err", err)
		return out, nil
	}
	for i, l := range leases {
		r := api.BeatResult{Session: renewals[i].Session.String(), TTLMS: l.TTL.Milliseconds(), Ending: ending(l.Notice)}
		if l.Denial != nil {
			r.TTLMS, r.Reason = 0, string(l.Denial.Reason)
		}
		out.Leases = append(out.Leases, r)
	}
	return out, nil
}

// nodes are the base URLs of all nodes, those of the configuration first.
func (e *Endpoint) nodes() []string {
	all := append([]string{}, e.cfg.Nodes...)
	if e.cfg.OtherNodes != nil {
		for _, url := range e.cfg.OtherNodes() {
			if url != "" && !slices.Contains(all, url) {
				all = append(all, url)
			}
		}
	}
	return all
}
