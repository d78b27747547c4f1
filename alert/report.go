package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"sitegate/license"
)

// Reported is the state, and the kind, of a message that has a report in it.
const Reported = "report"

// Schedule is a report that is sent again and again.
type Schedule struct {
	Name string // stable: that it was sent is noted under it
	// Last is the last time it is to tell of, which was over at a moment.
	Last func(at time.Time) (from, until time.Time)
	// Make makes the message: its Title, Text, Table and Report.
	Make func(ctx context.Context, from, until time.Time) (Message, error)
}

// ReportLog is what the log and its state are asked for.
type ReportLog interface {
	View(f func(s *license.State))
	Now() license.Time
	// Lead calls f while this node leads, once for each leadership, until ctx ends.
	Lead(ctx context.Context, f func(ctx context.Context)) error
	// Reported proposes it, on the leader.
	Reported(ctx context.Context, c license.NoteReport) error
}

// Reports sends reports while its node leads: each once by each way, as soon as its time is
// over, whoever leads then. One that is set up begins with the time that is under way; one
// that was missed, since nobody led, is sent when somebody does, if no later one is due.
type Reports struct {
	Log       ReportLog
	URL       string // where the console is
	Schedules []Schedule
	After     time.Duration // what a time's end and its report lie apart
	Ways      []Way
	Logger    *slog.Logger
	Sent      func(way string, err error) // told of every try
}

const (
	reportEvery = time.Minute
	// Between two tries of a way that failed.
	firstAgain, mostAgain = time.Minute, 30 * time.Minute
)

// Run works until ctx ends.
func (r *Reports) Run(ctx context.Context) error { return r.Log.Lead(ctx, r.lead) }

// try is how a report by a way stands with this leader.
type try struct {
	failed int
	again  license.Time // not before
	sent   bool         // and could not be noted yet
}

func (r *Reports) lead(ctx context.Context) {
	tries := map[string]*try{}
	for {
		for _, s := range r.Schedules {
			from, until := s.Last(r.Log.Now().Std().Add(-r.After))
			made := func() func() (Message, error) { // once for all ways
				var m Message
				return func() (_ Message, err error) {
					if m.Key == "" {
						m, err = r.make(ctx, s, from, until)
					}
					return m, err
				}
			}()
			for _, way := range r.Ways {
				r.see(ctx, s, way, until, made, tries)
			}
		}
		if !pause(ctx, reportEvery) {
			return
		}
	}
}

// see sends a schedule's last report by a way, if that was not done.
func (r *Reports) see(ctx context.Context, s Schedule, way Way, until time.Time, made func() (Message, error), tries map[string]*try) {
	note := license.NoteReport{Name: s.Name, Way: way.Name(), Through: license.TimeOf(until)}
	through, now := r.through(note), r.Log.Now()
	id := fmt.Sprintf("%q %q %d", note.Name, note.Way, note.Through)
	t := tries[id]
	if through >= note.Through {
		delete(tries, id)
		return
	}
	if t == nil {
		t = &try{}
		tries[id] = t
	}
	if through != 0 && !t.sent {
		if now < t.again {
			return
		}
		m, err := made()
		if err == nil {
			if err = way.Send(ctx, m); ctx.Err() != nil {
				return // whoever leads then sends it again, with the same key
			}
			r.Sent(way.Name(), err)
		}
		if err != nil {
			wait := min(firstAgain<<min(t.failed, 10), mostAgain)
			t.failed, t.again = t.failed+1, now.Add(wait)
			r.Logger.Warn("a report could not be sent; it is tried again", "report", s.Name, "way", way.Name(), "again_ms", wait.Milliseconds(), "err", err)
			return
		}
		t.sent = true
		r.Logger.Info("a report was sent", "report", s.Name, "way", way.Name(), "key", m.Key)
	}
	if err := r.Log.Reported(ctx, note); err != nil { // with the next look
		r.Logger.Debug("it could not be noted that a report was sent", "report", s.Name, "way", way.Name(), "err", err)
	}
}

// through is until when a report was told of by a way; zero: never.
func (r *Reports) through(n license.NoteReport) (through license.Time) {
	r.Log.View(func(s *license.State) {
		for _, m := range s.Head().Reports {
			if m.Name == n.Name && m.Way == n.Way {
				through = m.Through
			}
		}
	})
	return through
}

// make makes the message, with a key that is the same on whichever node.
func (r *Reports) make(ctx context.Context, s Schedule, from, until time.Time) (Message, error) {
	m, err := s.Make(ctx, from, until)
	if err != nil {
		return Message{}, fmt.Errorf("making the report: %w", err)
	}
	var epoch uint64
	r.Log.View(func(s *license.State) { m.Site, epoch = s.Head().Cluster, s.Head().Epoch })
	m.State, m.Kind, m.Severity, m.Since, m.Over, m.URL = Reported, Reported, "info", from.UTC(), until.UTC(), r.URL
	sum := sha256.Sum256(fmt.Appendf(nil, "report %q %d %q %d", m.Site, epoch, s.Name, until.Unix()))
	m.Key = hex.EncodeToString(sum[:16])
	m.thread = m.Key
	return m, nil
}
