package endpoint

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
)

// The bounds of event streams.
const (
	maxStreams    = 64               // of a node
	eventsComment = 15 * time.Second // a sign of life
)

// events is GET /v1/notices/events: the whole site as server-sent events, for the
// console of who administers the account. Each event is a frame of the websocket.
func (e *Endpoint) events(c *call) (reply, error) {
	if !sameOrigin(c.r) {
		return reply{}, &trouble{code: api.CodeForbidden, detail: "another origin"}
	}
	user, err := e.administrator(c.caller)
	if err != nil {
		return reply{}, err
	}
	text := c.r.Header.Get("Last-Event-ID")
	if text == "" {
		text = c.r.URL.Query().Get("since")
	}
	var since notice.Token
	if text != "" {
		var ok bool
		if since, ok = parseToken(text); !ok {
			return reply{}, malformed("since, and Last-Event-ID, are epoch:seq")
		}
	}
	if since, err = e.reached(c, since); err != nil {
		return reply{}, err
	}
	if err := e.room(); err != nil {
		return reply{}, err
	}
	defer e.sockets.leave()
	s, err := e.openStream(c, since)
	if err != nil {
		return reply{}, err
	}
	defer s.close()
	hello, me, after := e.greeting(s.feed.sub.Recovered, s.feed.sub.From, c.caller, c.lang)
	s.event(api.Frame{Type: api.FrameHello, Hello: &hello}, after)
	if me != nil {
		s.event(api.Frame{Type: api.FrameState, State: me}, after)
	}
	may := func() bool { return e.follows(c.caller, user) }
	e.follow(c, s, after, e.auth.left(&c.caller, time.Now())+tokenGrace, may, func() bool { return may() && e.led(c.ctx) })
	return reply{done: true}, nil
}

// administrator is as whom somebody is told who administers the account.
func (e *Endpoint) administrator(caller Caller) (user license.UserID, err error) {
	administers := false
	e.gw.View(func(s *license.State) {
		if user, err = known(s, caller); err == nil {
			err = barred(s, &caller, license.Machine{ID: caller.Machine})
		}
		administers = err == nil && license.Administers(s, user)
	})
	if err == nil && !administers {
		err = &trouble{code: api.CodeForbidden, detail: "only who administers the account is told of the whole site"}
	}
	return user, err
}

// follows reports whether a caller may still be told of the site, as that user.
func (e *Endpoint) follows(caller Caller, was license.UserID) bool {
	now, err := e.administrator(caller)
	return err == nil && now == was && !(caller.key != nil && caller.key.withdrawn.Load())
}

// follow writes what happens until the client, the node or its right to it goes: most is how long
// that lasts at most. Before anything is told, may is asked whether it still may be, and stays
// with each sign of life whether the stream goes on.
func (e *Endpoint) follow(c *call, s *stream, after notice.Token, most time.Duration, may, stays func() bool) {
	expired := time.NewTimer(most)
	defer expired.Stop()
	alive := time.NewTicker(e.comment)
	defer alive.Stop()
	gone := e.sockets.left()
	for s.err == nil {
		frames, over := s.feed.news(e, c.lang, after)
		if len(frames) > 0 && !may() {
			return
		}
		for _, f := range frames {
			s.event(f, notice.Token{Epoch: f.Site.Epoch, Seq: f.Site.Seq})
		}
		if over != notice.Open {
			return // it comes back, with a gap
		}
		if s.feed.isDue() {
			continue
		}
		select {
		case <-s.woken:
		case <-alive.C:
			if !stays() {
				return
			}
			s.write(":\n\n")
		case <-expired.C:
			return
		case <-gone:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// stream is an event stream being written.
type stream struct {
	e     *Endpoint
	c     *call
	rc    *http.ResponseController
	feed  *siteFeed
	woken chan struct{} // holds one when the feed may have news
	err   error
}

// openStream begins to stream the site's feed after a token. Who opens it closes it.
func (e *Endpoint) openStream(c *call, since notice.Token) (*stream, error) {
	if n := e.streams.Add(1); n > maxStreams {
		e.streams.Add(-1)
		return nil, &trouble{code: api.CodeTooMany, detail: "too many event streams on this node", after: 30 * time.Second}
	}
	s := &stream{e: e, c: c, rc: http.NewResponseController(c.w), woken: make(chan struct{}, 1)}
	s.feed = newSiteFeed(e.hub, since, func() {
		select {
		case s.woken <- struct{}{}:
		default:
		}
	})
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	s.rc.SetReadDeadline(time.Time{})
	c.w.WriteHeader(http.StatusOK)
	s.write(":" + strings.Repeat(" ", 2048) + "\n\n") // who buffers the beginning lets go of it
	return s, nil
}

// close ends the stream, and leaves time to tell the end: that of the last write may be
// long past.
func (s *stream) close() {
	s.rc.SetWriteDeadline(time.Now().Add(writeIn))
	s.feed.close()
	s.e.streams.Add(-1)
}

func (s *stream) event(f api.Frame, at notice.Token) {
	s.write(fmt.Sprintf("event: %s\nid: %d:%d\ndata: %s\n\n", f.Type, at.Epoch, at.Seq, streamed(f)))
}

// write writes and flushes, within writeIn; who does not read that fast is let go.
func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	s.rc.SetWriteDeadline(time.Now().Add(writeIn)) // a writer that knows none needs none
	if _, s.err = s.c.w.Write([]byte(text)); s.err == nil {
		s.err = s.rc.Flush()
	}
}
