package alert

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sitegate/license"
	"sitegate/phrase"
)

// Way is by which messages leave. Send may be called for several at once, and again for what
// could not be sent.
type Way interface {
	Name() string // stable: what was told by it is noted under this name
	Send(ctx context.Context, m Message) error
}

// Log is what the log and its state are asked for.
type Log interface {
	View(f func(s *license.State))
	Now() license.Time
	// Lead calls f while this node leads, once for each leadership, until ctx ends.
	Lead(ctx context.Context, f func(ctx context.Context)) error
	// Note has the leader propose it, from whichever node.
	Note(ctx context.Context, c license.NoteAlert) error
	// Told proposes it, on the leader.
	Told(ctx context.Context, c license.AlertTold) error
}

// Config is what a Watch is made of. All fields but Sent are needed.
type Config struct {
	Log    Log
	Node   string
	URL    string             // where the console is
	Own    func() []Condition // what this node knows of its own machine; subjects begin with its name
	Health func() Health      // of the cluster, asked while this node leads
	Ways   []Way
	// Language is of what is told; that of an alert's detail is the finder's.
	Language phrase.Lang
	After    time.Duration // for how long something must be so, or not be so, before it is said
	Logger   *slog.Logger
	Sent     func(way string, err error) // told of every try; may be nil
}

// Watch finds out what administrators are to be told of, and tells them while its node leads.
type Watch struct {
	cfg   Config
	every time.Duration
}

const (
	// Between two looks: half of Config.After, and within these.
	leastEvery, mostEvery = time.Second, 30 * time.Second
	// Between two tries of a way that failed.
	firstRetry, mostRetry = 5 * time.Second, 5 * time.Minute
	// tryFor is for how long one message is tried.
	tryFor = 24 * time.Hour
)

// New makes a Watch, which does nothing by itself before Run.
func New(cfg Config) *Watch {
	if cfg.Sent == nil {
		cfg.Sent = func(string, error) {}
	}
	return &Watch{cfg: cfg, every: min(max(cfg.After/2, leastEvery), mostEvery)}
}

// Run works until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		w.look(ctx, w.cfg.Own, func(k Kind, subject string) bool { return ofNodes[k] && nodeOf(subject) == w.cfg.Node })
	})
	return w.cfg.Log.Lead(ctx, w.lead)
}

// nodeOf is the node that a subject is of, if it is one's.
func nodeOf(subject string) string {
	node, _, _ := strings.Cut(subject, "/")
	return node
}

// lead is one leadership: it looks after the site, and sends.
func (w *Watch) lead(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	idle := &idleUsage{}
	var members []string
	wg.Go(func() {
		w.look(ctx, func() (list []Condition) {
			h := w.cfg.Health()
			members = h.Members
			w.cfg.Log.View(func(s *license.State) {
				h.Stuck = idle.look(s, w.cfg.Log.Now())
				list = Of(s, w.cfg.Log.Now(), h, w.cfg.Language)
			})
			return list
		}, func(k Kind, subject string) bool { // what nodes say of themselves is theirs while they are members
			return !ofNodes[k] || len(members) > 0 && !slices.Contains(members, nodeOf(subject))
		})
	})
	for _, way := range w.cfg.Ways {
		wg.Go(func() { w.send(ctx, way) })
	}
	wg.Go(func() { w.forget(ctx) })
}

// mostFailed bounds the notes that are tried in vain at one look: one that is refused keeps
// no other back, and where there is no leader not all of them wait for one.
const mostFailed = 3

// look notes what conditions there are, once they have lasted, of those alerts that are
// mine; and that alerts are over, once their conditions have not been there for as long.
func (w *Watch) look(ctx context.Context, conditions func() []Condition, mine func(Kind, string) bool) {
	since := map[key]time.Time{} // that it differs from what is noted
	for pause(ctx, w.every) {
		now := time.Now()
		there := map[key]Condition{}
		for _, c := range conditions() {
			there[c.key()] = c
		}
		differs := map[key]license.NoteAlert{}
		noted := map[key]bool{}
		for _, a := range w.alerts() {
			k := key{a.Kind, a.Subject}
			noted[k] = true // one that is over, too, until everybody was told
			if _, lasts := there[k]; !lasts && a.Over == 0 && mine(Kind(a.Kind), a.Subject) {
				differs[k] = license.NoteAlert{Kind: a.Kind, Subject: a.Subject, Over: true}
			}
		}
		for k, c := range there {
			if !noted[k] {
				differs[k] = license.NoteAlert{Kind: k.kind, Subject: k.subject, Detail: c.Detail}
			}
		}
		for k := range since {
			if _, still := differs[k]; !still {
				delete(since, k)
			}
		}
		failed := 0
		for _, k := range slices.SortedFunc(maps.Keys(differs), func(a, b key) int {
			if over := differs[a].Over; over != differs[b].Over { // which makes room for what is not
				if over {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject))
		}) {
			c := differs[k]
			if since[k].IsZero() {
				since[k] = now
			}
			if now.Sub(since[k]) < w.cfg.After && !atOnce[Kind(k.kind)] {
				continue
			}
			if err := w.cfg.Log.Note(ctx, c); err != nil { // with the next look
				w.cfg.Logger.Debug("an alert could not be noted", "kind", c.Kind, "subject", c.Subject, "err", err)
				if failed++; failed == mostFailed {
					break
				}
				continue
			}
			delete(since, k)
			w.cfg.Logger.Info("an alert was noted", "kind", c.Kind, "subject", c.Subject, "over", c.Over, "detail", c.Detail)
		}
	}
}

// alerts are those of the state. They are nobody's to change.
func (w *Watch) alerts() (list []license.Alert) {
	w.cfg.Log.View(func(s *license.State) { list = s.Head().Alerts })
	return list
}

// forget forgets what everybody was told to be over.
func (w *Watch) forget(ctx context.Context) {
	for pause(ctx, w.every) {
		for _, a := range w.alerts() {
			if a.Over == 0 || slices.ContainsFunc(w.cfg.Ways, func(way Way) bool {
				return !slices.Contains(a.Told, way.Name()) || !slices.Contains(a.Ended, way.Name())
			}) {
				continue
			}
			_ = w.cfg.Log.Told(ctx, license.AlertTold{Kind: a.Kind, Subject: a.Subject, Since: a.Since, Done: true}) // with the next look
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// idleUsage finds out for how long usage has waited while the vendor took none, by what one
// leader has seen.
type idleUsage struct {
	kept  uint64
	since license.Time
}

func (x *idleUsage) look(s *license.State, now license.Time) time.Duration {
	if kept := s.Head().UsageKept; s.UsageWaiting() == 0 || x.since == 0 || kept != x.kept {
		x.kept, x.since = kept, now
	}
	return now.Sub(x.since)
}

// errGone: the alert was forgotten, or told by then.
var errGone = errors.New("there is nothing to tell any more")

// next is what to tell by a way: of those that were tried least often, the oldest.
func (w *Watch) next(way string, tried map[string]int) (m Message, told license.AlertTold, err error) {
	best, begun := -1, license.Time(0)
	w.cfg.Log.View(func(s *license.State) {
		h := s.Head()
		for _, a := range h.Alerts {
			over := slices.Contains(a.Told, way)
			if over && (a.Over == 0 || slices.Contains(a.Ended, way)) {
				continue
			}
			x := message(a, over, h.Cluster, h.Epoch, w.cfg.URL, w.cfg.Language)
			at := a.Since
			if over {
				at = a.Over
			}
			if n := tried[x.Key]; best < 0 || n < best || n == best && at < begun {
				best, m, begun = n, x, at
				told = license.AlertTold{Kind: a.Kind, Subject: a.Subject, Since: a.Since, Way: way, Over: over}
			}
		}
	})
	if best < 0 {
		return m, told, errGone
	}
	return m, told, nil
}

// send sends by one way what is to be told, one after the other.
func (w *Watch) send(ctx context.Context, way Way) {
	tried := map[string]int{}
	failed := map[string]license.Time{} // since when
	sent := map[string]bool{}           // the keys of what was sent, and could not be noted yet
	var wait time.Duration
	for pause(ctx, max(wait, w.every)) {
		wait = 0
	sending:
		for ctx.Err() == nil {
			m, told, err := w.next(way.Name(), tried)
			if errors.Is(err, errGone) {
				clear(tried)
				clear(failed)
				clear(sent)
				break
			}
			if !sent[m.Key] {
				if err = way.Send(ctx, m); ctx.Err() != nil {
					return // whoever leads then sends it again, with the same key
				}
				w.cfg.Sent(way.Name(), err)
			}
			switch {
			case sent[m.Key]:
			case err != nil:
				tried[m.Key]++
				wait = min(firstRetry<<min(tried[m.Key]-1, 10), mostRetry)
				now := w.cfg.Log.Now()
				if failed[m.Key] == 0 {
					failed[m.Key] = now
				}
				if now.Sub(failed[m.Key]) < tryFor {
					w.cfg.Logger.Warn("an alert could not be sent; it is tried again", "way", way.Name(), "kind", m.Kind, "subject", m.Subject, "again_ms", wait.Milliseconds(), "err", err)
					break sending
				}
				w.cfg.Logger.Error("an alert could not be sent for a day, and is given up", "way", way.Name(), "kind", m.Kind, "subject", m.Subject, "err", err)
			default:
				w.cfg.Logger.Info("an alert was sent", "way", way.Name(), "kind", m.Kind, "subject", m.Subject, "state", m.State, "key", m.Key)
			}
			sent[m.Key] = true
			if err := w.cfg.Log.Told(ctx, told); err != nil {
				w.cfg.Logger.Debug("it could not be noted that an alert was sent", "way", way.Name(), "kind", m.Kind, "subject", m.Subject, "err", err)
				wait = w.every
				break
			}
			delete(tried, m.Key)
			delete(failed, m.Key)
			delete(sent, m.Key)
		}
	}
}
