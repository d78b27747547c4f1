package endpoint

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// notices is GET /v1/notices: it checks everything that can be told as a problem
// document, and then turns the request into a websocket.
func (e *Endpoint) notices(c *call) (reply, error) {
	who, since, err := e.subscriber(c)
	if err != nil {
		return reply{}, err
	}
	if since, err = e.reached(c, since); err != nil {
		return reply{}, err
	}
	site, err := e.allowed(c, &who)
	if err != nil {
		return reply{}, err
	}
	if err := e.room(); err != nil {
		return reply{}, err
	}
	s, err := e.sockets.upgrade(c.w, c.r)
	if err != nil {
		e.sockets.leave()
		c.w.err, c.w.reason = err, "upgrade"
		return reply{done: true}, nil // it has been answered
	}
	e.sockets.open(s, who, c, since, site)
	return reply{done: true}, nil
}

// ledIn is how long a client waits while a leader is elected: who were sent away by the
// thousand when there is none for a moment would all be back a moment later.
const ledIn = 2 * time.Second

// led waits until there is a leader, and reports whether there is.
func (e *Endpoint) led(ctx context.Context) bool {
	if e.gw.Cluster().Leader != "" {
		return true
	}
	late := time.NewTimer(ledIn)
	defer late.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.gw.Cluster().Leader == "" {
		select {
		case <-tick.C:
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// room counts a connection that is about to be made, or says why there is none.
func (e *Endpoint) room() error {
	if most := e.cfg.MaxNotices; most > 0 && e.hub.Len() >= most {
		return &trouble{code: api.CodeNotReady, detail: "this node has as many connections as it can bear: connect to another", after: 5 * time.Second}
	}
	if !e.sockets.enter() {
		return leaving()
	}
	return nil
}

// leaving is the answer of a node that takes no more connections.
func leaving() error {
	return &trouble{code: api.CodeNotReady, detail: goingText, after: time.Second}
}

// allowed finds out as whom a caller is told, and whether of the whole site.
func (e *Endpoint) allowed(c *call, who *notice.Subscriber) (site bool, err error) {
	switch feed := c.r.URL.Query().Get("feed"); feed {
	case "", api.FeedSite:
		site = feed == api.FeedSite
	default:
		return false, malformed("feed is site, or left out")
	}
	if site {
		who.User, err = e.administrator(c.caller)
		return site, err
	}
	e.gw.View(func(s *license.State) {
		if who.User, err = known(s, c.caller); err == nil {
			err = barred(s, &c.caller, who.Machine)
		}
	})
	return site, err
}

// reached waits for a leader, and for this node to know what a client was told elsewhere, and returns
// the token that it comes back with; zero is a gap. A client that names this cluster
// was told by a node of it: where this one does not catch up in time, another may,
// and the client must not be shown how things were before.
func (e *Endpoint) reached(c *call, since notice.Token) (notice.Token, error) {
	if !e.led(c.ctx) {
		return since, gateway.ErrNoLeader // another node may know more
	}
	if since == (notice.Token{}) {
		return since, nil
	}
	cluster, own := c.r.URL.Query().Get("cluster"), ""
	if cluster != "" {
		e.gw.View(func(s *license.State) { own = s.Head().Cluster })
		if cluster != own {
			return notice.Token{}, nil
		}
	}
	switch {
	case e.hub.Await(c.ctx, since):
		return since, nil
	case cluster == "":
		return notice.Token{}, nil
	}
	return since, &trouble{code: api.CodeNotReady, detail: "this node has not heard yet of what you were told elsewhere", after: time.Second}
}

// subscriber reads who connects by websocket, and how far they know.
func (e *Endpoint) subscriber(c *call) (notice.Subscriber, notice.Token, error) {
	if !websocket.IsWebSocketUpgrade(c.r) {
		return notice.Subscriber{}, notice.Token{}, malformed("connect with a websocket")
	}
	if !slices.Contains(websocket.Subprotocols(c.r), api.NoticesProtocol) {
		return notice.Subscriber{}, notice.Token{}, malformed("the subprotocol must be " + api.NoticesProtocol)
	}
	return e.listener(c)
}

// listener reads who listens, and how far they know.
func (e *Endpoint) listener(c *call) (who notice.Subscriber, since notice.Token, err error) {
	if !sameOrigin(c.r) {
		return who, since, &trouble{code: api.CodeForbidden, detail: "another origin"}
	}
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return who, since, malformed("the query cannot be read")
	}
	m, err := c.machine(api.Machine{ID: q.Get("machine"), Name: q.Get("name")})
	if err != nil {
		return who, since, err
	}
	who = notice.Subscriber{Machine: m, Instance: q.Get("instance")}
	if who.Instance == "" || !plain(who.Instance) {
		return who, since, malformed("instance is missing or too long")
	}
	if !plain(q.Get("cluster")) {
		return who, since, malformed("cluster is too long")
	}
	if tag := q.Get("lang"); tag != "" {
		c.lang, _ = phrase.Parse(tag)
	}
	if s := q.Get("since"); s != "" {
		var ok bool
		if since, ok = parseToken(s); !ok {
			return who, since, malformed("since is not epoch:seq")
		}
	}
	return who, since, nil
}

// sameOrigin keeps pages of other sites out. Programs send no Origin.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

func parseToken(s string) (notice.Token, bool) {
	epoch, seq, _ := strings.Cut(s, ":")
	ep, err1 := strconv.ParseUint(epoch, 10, 64)
	sq, err2 := strconv.ParseUint(seq, 10, 64)
	return notice.Token{Epoch: ep, Seq: sq}, err1 == nil && err2 == nil
}

// upgrade answers the handshake.
func (ss *sockets) upgrade(w http.ResponseWriter, r *http.Request) (socket, error) {
	conn, err := ss.upgrader.Upgrade(w, r, http.Header{"X-Request-Id": w.Header()["X-Request-Id"]})
	if err != nil {
		return nil, err
	}
	return newSocket(conn.NetConn(), ss.common), nil // of the library's, only its handshake is needed
}
