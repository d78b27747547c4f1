package endpoint

import (
	"encoding/json"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// siteEvery is how often somebody who follows the whole site is told, at most: what
// happens alike meanwhile is told once.
const siteEvery = 200 * time.Millisecond

// maxSiteFrame bounds the notices of one frame.
const maxSiteFrame = 256

// siteFeed is what a connection, or an event stream, of an administrator follows.
type siteFeed struct {
	sub *notice.SiteSubscription

	mu    sync.Mutex
	due   bool        // there is something to take
	timer *time.Timer // until it is; nil: not under way
}

// newSiteFeed follows the site after since; ready is called, not more often than every
// siteEvery, when take has something to give.
func newSiteFeed(h *notice.Hub, since notice.Token, ready func()) *siteFeed {
	f := &siteFeed{}
	f.mu.Lock() // until sub is set
	defer f.mu.Unlock()
	f.sub = h.SubscribeSite(since, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.timer == nil {
			f.timer = time.AfterFunc(siteEvery, func() {
				f.mu.Lock()
				f.due, f.timer = true, nil
				f.mu.Unlock()
				ready()
			})
		}
	})
	if f.sub.Recovered {
		f.due = true // what was missed
	}
	return f
}

func (f *siteFeed) close() {
	f.sub.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
	}
}

func (f *siteFeed) isDue() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.due
}

// news are the frames that are due, each conflated.
func (f *siteFeed) news(e *Endpoint, lang phrase.Lang, after notice.Token) ([]api.Frame, notice.End) {
	f.mu.Lock()
	due := f.due
	f.due = false
	f.mu.Unlock()
	if !due {
		return nil, notice.Open
	}
	ns, _, over := f.sub.Take()
	var frames []api.Frame
	for len(ns) > 0 {
		n := min(len(ns), maxSiteFrame)
		for n < len(ns) && ns[n].Seq == ns[n-1].Seq {
			n++ // one token, one frame
		}
		last := ns[n-1]
		site := &api.SiteNotices{Epoch: last.Epoch, Seq: last.Seq}
		for _, c := range notice.Conflate(ns[:n]) {
			if after.Before(notice.Token{Epoch: c.Epoch, Seq: c.Seq}) {
				site.Notices = append(site.Notices, e.siteWord(c, lang))
			}
		}
		if ns = ns[n:]; len(site.Notices) > 0 {
			frames = append(frames, api.Frame{Type: api.FrameSite, Site: site})
		}
	}
	return frames, over
}

// take is news ready to be written.
func (f *siteFeed) take(c *conn) ([][]byte, notice.End) {
	frames, over := f.news(c.ss.e, c.lang, c.after)
	var out [][]byte
	for _, frame := range frames {
		out = append(out, prepare(frame))
	}
	return out, over
}

// siteWord is a notice as one who administers the site reads it: of whom it is, by the
// name that reports have for them.
func (e *Endpoint) siteWord(c notice.Conflated, lang phrase.Lang) api.Notice {
	n := *c.Notice
	if n.About == "" && !n.Kind.ForAdministrators() {
		n.About = n.User
	}
	if n.User != "" && n.By == string(n.User) { // their own doing
		n.By = e.name(nil, "user", n.By)
	}
	if e.cfg.Pseudonym != nil {
		n.Note = "" // names may be in it
		for _, m := range []*license.Machine{&n.Machine, &n.To} {
			m.Name, _ = e.machine(nil, n.About, *m)
		}
	}
	n.About = license.UserID(e.name(nil, "user", string(n.About)))
	w := e.worded(&n, lang, false, true)
	if c.Times > 1 {
		w.Times = c.Times
	}
	return *w
}

// streamed is a frame as JSON.
func streamed(f api.Frame) []byte {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // our own types
	}
	return b
}
