package endpoint

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// trend is how much was open at each ten-minute mark of the last day. A node finds it out
// from the journal when it begins, a piece at a time, and counts for itself from then on.
type trend struct {
	mu    sync.Mutex
	marks []mark // oldest first
}

type mark struct {
	at                  license.Time
	sessions, checkouts int
}

const (
	trendEvery = 10 * time.Minute
	trendMarks = 24 * int64(time.Hour/trendEvery)
	// trendPiece is how many events, or users, are read together, and trendRest how long
	// nothing is then: others wait for the same disk and the same state.
	trendPiece = 2000
	trendRest  = 10 * time.Millisecond
)

// markAt is the number of the mark at a time, or before it.
func markAt(t license.Time) int64 { return int64(t) / trendEvery.Milliseconds() }

func (m mark) number() int64 { return markAt(m.at) }

// dayOfUse counts what was open at the marks from first on, as many as there are of a day.
type dayOfUse struct {
	first               int64
	sessions, checkouts [trendMarks + 1]int // by how much there was more than at the mark before
}

// add counts what was open from a time until before another.
func (d *dayOfUse) add(u license.Usage, until license.Time) {
	after := func(t license.Time) int64 { // the first mark that is not before it
		n := markAt(t)
		if license.Time(n*trendEvery.Milliseconds()) < t {
			n++
		}
		return min(max(n-d.first, 0), trendMarks)
	}
	begins, ends := after(u.Started), after(until)
	if begins >= ends {
		return
	}
	of := &d.sessions
	if u.Kind == license.UsageCheckout {
		of = &d.checkouts
	}
	of[begins]++
	of[ends]--
}

// marks are those that are not before a time.
func (d *dayOfUse) marks(since license.Time) (list []mark) {
	m := mark{}
	for i := range trendMarks {
		m.at = license.Time((d.first + i) * trendEvery.Milliseconds())
		m.sessions += d.sessions[i]
		m.checkouts += d.checkouts[i]
		if m.at >= since {
			list = append(list, m)
		}
	}
	return list
}

// followTrend works until ctx ends.
func (e *Endpoint) followTrend(ctx context.Context) {
	// What was left on the disk is of when this node ended: the rest of the log comes first.
	for e.gw.CatchUp(ctx) != nil {
		if !waits(ctx, time.Second) {
			return
		}
	}
	if marks, err := e.lastDay(ctx); ctx.Err() != nil {
		return
	} else if err != nil {
		e.log.InfoContext(ctx, "what was open in the last day could not be read; it is counted from now on", "err", err)
	} else {
		e.trend.set(marks)
	}
	for {
		now := e.gw.Now()
		next := license.Time((markAt(now) + 1) * trendEvery.Milliseconds())
		if !waits(ctx, min(next.Sub(now), trendEvery)) {
			return
		}
		m := mark{at: e.gw.Now()}
		e.gw.View(func(s *license.State) { n := s.Counts(); m.sessions, m.checkouts = n.Sessions, n.Checkouts })
		e.trend.add(m)
	}
}

// waits waits, and reports whether ctx goes on.
func waits(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// lastDay reads what was open at the marks until now. The marks from before the journal
// begins are left out.
func (e *Endpoint) lastDay(ctx context.Context) ([]mark, error) {
	now := e.gw.Now()
	d := &dayOfUse{first: markAt(now) - trendMarks + 1}
	from := license.Time(d.first * trendEvery.Milliseconds())
	var users []license.UserID
	before := uint64(0)
	e.gw.View(func(s *license.State) { users, before = s.Busy(), s.Head().Seq+1 })
	for some := range slices.Chunk(users, trendPiece) {
		e.gw.View(func(s *license.State) {
			for _, user := range some {
				if a := s.Active(user); a != nil {
					for _, u := range license.OpenUsage(a, now) {
						d.add(u, now+1) // it is open at a mark that is now
					}
				}
			}
		})
		if !waits(ctx, trendRest) {
			return nil, ctx.Err()
		}
	}
	oldest := now
	for before > 1 && oldest >= from {
		_, reached, err := e.gw.Recall(ctx, before, 1, trendPiece, func(event license.Event) bool {
			if oldest = min(oldest, event.At); event.At < from {
				return true // and no further
			}
			if u, is := license.UseOf(event); is {
				d.add(u, u.Ended)
			}
			return false
		})
		if err != nil {
			return nil, err
		}
		before = reached
		if !waits(ctx, trendRest) {
			return nil, ctx.Err()
		}
	}
	return d.marks(oldest), nil
}

func (t *trend) set(marks []mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks = marks
}

// add keeps what was counted: the last of each mark, and of a day.
func (t *trend) add(m mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks = slices.DeleteFunc(t.marks, func(x mark) bool { return x.number() >= m.number() || x.number() <= m.number()-trendMarks })
	t.marks = append(t.marks, m)
}

// showTrend is GET /v1/site/trend.
func (e *Endpoint) showTrend(*call) (reply, error) {
	e.trend.mu.Lock()
	defer e.trend.mu.Unlock()
	out := api.List[api.TrendMark]{Items: []api.TrendMark{}}
	for _, m := range e.trend.marks {
		out.Items = append(out.Items, api.TrendMark{At: m.at.Std(), Sessions: m.sessions, Checkouts: m.checkouts})
	}
	return reply{status: http.StatusOK, body: out}, nil
}
