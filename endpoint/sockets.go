package endpoint

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// sockets are this node's notice connections.
//
// An idle connection is one goroutine with the smallest stack there is, waiting for
// something to come; a fresh one, which may have a larger stack, deals with that. It has
// no timer of its own: once a second one wheel pings the connections of a slot, and
// looks for those of all slots that are dead or whose token has expired. What is to be
// written is written by a few for all, or, where that may have to wait, by a writer that
// lives only while there is something. Neither the log nor another connection ever waits
// for a slow one.
type sockets struct {
	e        *Endpoint
	upgrader websocket.Upgrader
	wg       sync.WaitGroup // readers, writers, beats

	away chan time.Duration // within which all are to be sent elsewhere

	mu     sync.Mutex
	closed bool
	gone   chan struct{} // closed with it
	wheel  [slots]map[*conn]struct{}
	at     int      // the slot that was pinged last
	lost   int      // for how many turns there has been no leader
	nodes  []string // that were told last

	writers writers

	common  *common
	framing sync.Mutex
	frames  map[frameKey][]byte // of notices; framing's
	written []frameKey          // of frames, oldest first; framing's
}

const (
	slots     = int(pingEvery / time.Second)
	maxFrames = 512
	// maxLost is more turns, of a second each, than any election takes.
	maxLost = 20
)

// frameKey names a notice as one kind of reader sees it.
type frameKey struct {
	epoch, seq uint64
	kind       notice.Kind
	lang       phrase.Lang
	mine       bool
}

func newSockets(e *Endpoint) *sockets {
	ss := &sockets{e: e, away: make(chan time.Duration, 1), gone: make(chan struct{}), frames: map[frameKey][]byte{}, common: newCommon()}
	ss.writers.most = runtime.GOMAXPROCS(0)
	ss.upgrader = websocket.Upgrader{Subprotocols: []string{api.NoticesProtocol}, HandshakeTimeout: bodyTimeout, CheckOrigin: sameOrigin}
	for i := range ss.wheel {
		ss.wheel[i] = map[*conn]struct{}{}
	}
	return ss
}

// How clients come back after a connection that broke.
const (
	minRetry   = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
	minSpread  = time.Second
	maxSpread  = 20 * time.Second
	handshakes = 500 // a second, that the other nodes take on two cores beside their work
)

// retry spreads those of this node, should it fall, over as long as the others need
// to take them in.
func (ss *sockets) retry() api.Retry {
	spread := time.Duration(ss.e.hub.Len()) * time.Second / handshakes
	return api.Retry{FirstMS: min(max(spread, minSpread), maxSpread).Milliseconds(), MinMS: minRetry.Milliseconds(), MaxMS: maxRetry.Milliseconds()}
}

// enter counts a connection that is about to be made. False: no more are taken.
func (ss *sockets) enter() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if !ss.closed {
		ss.wg.Add(1)
	}
	return !ss.closed
}

func (ss *sockets) leave() { ss.wg.Done() }

// join puts a connection on the wheel, its first ping somewhere in the second
// half of a turn, so that those who come together are not pinged together.
func (ss *sockets) join(c *conn) (going bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	c.slot = uint8((ss.at + slots/2 + rand.IntN(slots/2)) % slots)
	ss.wheel[c.slot][c] = struct{}{}
	return ss.closed
}

func (ss *sockets) part(c *conn) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.wheel[c.slot], c)
}

// run turns the wheel until ctx ends; then it sends everyone away and waits, for who
// takes nothing in no longer than for anybody who is connected.
func (ss *sockets) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			ss.turn()
			ss.tellNodes()
		case <-ss.e.hub.Mirrored():
			ss.judge(ss.all())
		case <-ss.e.auth.withdrawn:
			ss.judge(ss.all())
		case over := <-ss.away:
			ss.sendAway(ctx, tick.C, over)
		case <-ctx.Done():
		}
	}
	ss.close()
	for _, c := range ss.all() {
		c.close(websocket.CloseServiceRestart, goingText)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); ss.wg.Wait() }()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
			ss.sweep()
		}
	}
}

// tellNodes tells everyone when nodes have come or gone: who is connected for days
// would else know of those only that were there in the beginning.
func (ss *sockets) tellNodes() {
	nodes := ss.e.nodes()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	before := ss.nodes
	ss.nodes = nodes
	if before == nil || slices.Equal(before, nodes) {
		return
	}
	f := prepare(api.Frame{Type: api.FrameNodes, Nodes: nodes})
	for _, slot := range ss.wheel {
		for c := range slot {
			c.tell(f)
		}
	}
}

// turn pings the connections of the next slot, and sends those away whose user
// may not be here any more. A node that has not seen a leader for long may have been cut
// off, and other nodes tell what it does not hear of: it sends its clients there, slot by
// slot.
func (ss *sockets) turn() {
	ss.sweep()
	led := ss.e.gw.Cluster().Leader != "" || len(ss.e.others()) == 0
	ss.mu.Lock()
	if ss.lost++; led {
		ss.lost = 0
	}
	lost := ss.lost > maxLost
	ss.at = (ss.at + 1) % slots
	due := make([]*conn, 0, len(ss.wheel[ss.at]))
	for c := range ss.wheel[ss.at] {
		due = append(due, c)
	}
	ss.mu.Unlock()
	if len(due) == 0 {
		return
	}
	ss.judge(due)
	for _, c := range due {
		if lost {
			c.close(websocket.CloseServiceRestart, "this node has been without a leader for too long: connect to another")
			continue
		}
		c.ping()
	}
}

// sweep ends the connections that are dead or whose access token has expired.
func (ss *sockets) sweep() {
	now, site := time.Now(), ss.e.gw.Now().Std()
	var dead, expired []*conn
	ss.mu.Lock()
	for _, slot := range ss.wheel {
		for c := range slot {
			switch {
			case c.s.Dead():
				dead = append(dead, c)
			case c.caller.Load().left(now, site) <= -tokenGrace:
				expired = append(expired, c)
			}
		}
	}
	ss.mu.Unlock()
	for _, c := range dead {
		c.s.Drop() // its reader notices
	}
	for _, c := range expired {
		c.close(api.CloseUnauthorized, "the access token has expired: come back with a new one")
	}
}

// all are the connections there are.
func (ss *sockets) all() []*conn {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	var all []*conn
	for _, slot := range ss.wheel {
		for c := range slot {
			all = append(all, c)
		}
	}
	return all
}

// judge sends those away who may not be here any more: whose user is gone, blocked or
// known by another id, who follows the site and does not administer it, and whose
// token was withdrawn.
func (ss *sockets) judge(conns []*conn) {
	type end struct {
		code int
		why  string
	}
	ends := map[*conn]end{}
	ss.e.gw.View(func(s *license.State) {
		for _, c := range conns {
			caller := c.caller.Load()
			user, err := known(s, *caller)
			var gone *authError
			var no denied
			if err == nil {
				if why := barred(s, caller, c.machine); why != nil && !errors.As(why, &gone) {
					errors.As(why, &no)
				}
			}
			switch {
			case err != nil:
				ends[c] = end{api.CloseBlocked, "this user may not connect"}
			case no.denial.Reason != "":
				ends[c] = end{api.CloseBlocked, "IT has blocked this user or this machine"}
			case gone != nil:
				ends[c] = end{api.CloseUnauthorized, "the machine goes by another key now: come back with a new session token"}
			case user != c.user:
				ends[c] = end{api.CloseResume, "this user is known by another id now: connect again"}
			case c.site != nil && !license.Administers(s, user):
				ends[c] = end{api.CloseBlocked, "this user does not administer the account any more"}
			case caller.key != nil && caller.key.withdrawn.Load():
				ends[c] = end{api.CloseUnauthorized, "the access token was withdrawn: come back with a new one"}
			}
		}
	})
	for c, e := range ends {
		c.close(e.code, e.why)
	}
}

// frame is a notice made ready to be written, once for all who read it alike.
func (ss *sockets) frame(n *notice.Notice, lang phrase.Lang, mine bool) []byte {
	key := frameKey{n.Epoch, n.Seq, n.Kind, lang, mine}
	ss.framing.Lock()
	f := ss.frames[key]
	ss.framing.Unlock()
	if f != nil {
		return f
	}
	f = prepare(api.Frame{Type: api.FrameNotice, Notice: ss.e.word(n, lang, mine)})
	ss.framing.Lock()
	defer ss.framing.Unlock()
	if ss.frames[key] == nil {
		if len(ss.written) == maxFrames {
			delete(ss.frames, ss.written[0])
			ss.written = append(ss.written[:0], ss.written[1:]...)
		}
		ss.frames[key] = f
		ss.written = append(ss.written, key)
	}
	return f
}

// word makes a notice the API's, with its sentence to whom it is for; mine: on the very
// machine that it speaks of.
func (e *Endpoint) word(n *notice.Notice, lang phrase.Lang, mine bool) *api.Notice {
	return e.worded(n, lang, mine, false)
}

// worded is word, or with site the sentence of who administers the site, in which the user
// is somebody else.
func (e *Endpoint) worded(n *notice.Notice, lang phrase.Lang, mine, site bool) *api.Notice {
	product, about := "", ""
	if n.Product != "" || n.About != "" {
		e.gw.View(func(s *license.State) {
			product = productName(s, n.Product)
			if n.About != "" {
				about = personName(s, n.About)
			}
		})
	}
	out := &api.Notice{Epoch: n.Epoch, Seq: n.Seq, At: n.At.Std(), Kind: string(n.Kind), Mine: mine, Reason: n.Reason,
		Product: string(n.Product), License: string(n.License), Machine: machineName(n.Machine), By: n.By, Note: n.Note,
		From: n.From.Std(), Until: n.Until.Std(), About: string(n.About), Provisional: n.Provisional, Node: n.Node, Proxy: n.Proxy, Issuer: n.Issuer}
	if n.Until != 0 {
		left := max(0, n.Until.Sub(n.At)).Milliseconds()
		out.LeftMS = &left
	}
	if !n.ID.IsZero() {
		out.ID = n.ID.String()
	}
	if n.Kind == notice.Reminders {
		c := n.Counts
		out.Reminders = &api.ReminderCounts{UserNotFound: int(c.Missing), Ending: int(c.Ending), Unassigned: int(c.Unassigned),
			NeverUsed: int(c.NeverUsed), Pooled: int(c.Pooled), PooledDays: int(c.PooledDays)}
	}
	out.Text = phrase.Notice(lang, phrase.Told{Kind: out.Kind, Reason: n.Reason, Mine: mine, Site: site, Product: product,
		Machine: n.Machine, By: n.By, Note: n.Note, From: n.From, Until: n.Until, Now: n.Until != 0 && n.Until <= n.At, About: about, Counts: n.Counts, Node: n.Node, Proxy: n.Proxy, Issuer: n.Issuer})
	return out
}

// prepare makes a frame ready to be written.
func prepare(f api.Frame) []byte { return framed(opText, streamed(f)) }
