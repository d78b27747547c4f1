package endpoint

import (
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
)

// siteEvents is GET /v1/site/events: the whole site as server-sent events, for a page
// that shows how things are and is shown anew when they change. An event is a frame of
// the notices, conflated; one of type hello comes first, and after a gap.
func (e *Endpoint) siteEvents(c *call) (reply, error) {
	if !sameOrigin(c.r) {
		return reply{}, &trouble{code: api.CodeForbidden, detail: "another origin"}
	}
	var since notice.Token
	if text := c.r.Header.Get("Last-Event-ID"); text != "" {
		since, _ = parseToken(text) // what cannot be read is a gap
	}
	if !e.sockets.enter() {
		return reply{}, leaving()
	}
	defer e.sockets.leave()
	s, err := e.openStream(c, since)
	if err != nil {
		return reply{}, err
	}
	defer s.close()
	hello := api.Hello{Recovered: s.feed.sub.Recovered, Epoch: s.feed.sub.From.Epoch, Seq: s.feed.sub.From.Seq, Time: e.gw.Now().Std(), Node: e.gw.Cluster().Node,
		Nodes: e.nodes(), PingMS: e.comment.Milliseconds(), Retry: e.sockets.retry()}
	e.gw.View(func(st *license.State) { hello.Cluster = st.Head().Cluster })
	s.event(api.Frame{Type: api.FrameHello, Hello: &hello}, s.feed.sub.From)
	may := func() bool { return e.again(c.administrator, looks) == nil }
	e.follow(c, s, s.feed.sub.From, min(streamLife, c.administrator.left(time.Now())), may, may)
	return reply{done: true}, nil
}

// looks is what the stream of the site is for.
var looks = route{method: "GET", role: license.Viewer}

// streamLife bounds a stream: who is still there comes back, and shows anew who they are.
const streamLife = 10 * time.Minute
