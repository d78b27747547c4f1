// Package report makes what IT reads every day, week or month: peaks of use against what is
// owned, refusals by reason, licenses that nobody uses, what ends soon, and for how long the
// vendor's cloud could not be asked.
//
// A report is made of a node's state and journal when it is asked for; nothing is kept for
// it, and it names nobody unless that is asked for. The package puts it into words and into
// a table; who gets it, and when, is left to others.
package report

import (
	"context"
	"math"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

// What is told of ahead, and how much of it.
const (
	licensesSoon  = 60 * 24 * time.Hour
	checkoutsSoon = 14 * 24 * time.Hour
	mostAlerts    = 200
	mostPeople    = 1000
)

// Source is the node that a report is made of.
type Source interface {
	View(func(*license.State))
	Now() license.Time
	// Peaks counts from the beginning, and returns how far it got.
	Peaks(ctx context.Context, from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error)
	// Recall looks back through the journal; see gateway.Gateway.
	Recall(ctx context.Context, before uint64, most, look int, match func(license.Event) bool) ([]license.Event, uint64, error)
}

// Query is which report is asked for.
type Query struct {
	From, Until time.Time
	Lang        phrase.Lang
	Names       bool // with People
	// Called is what a user or a machine is called; nil: by name.
	Called func(s *license.State, kind, name string) string
}

// Make makes a report. What is owned and ends soon is told as it is now.
func Make(ctx context.Context, node Source, q Query) (api.Report, error) {
	now := node.Now()
	if q.Until.IsZero() || q.Until.After(now.Std()) {
		q.Until = now.Std()
	}
	m := &making{q: q, from: license.TimeOf(q.From), until: license.TimeOf(q.Until), now: now,
		products: map[license.ProductID]*api.ReportProduct{}, refusals: map[license.Reason]*api.ReportRefusal{}, alerts: map[alertKey]api.ReportAlert{}}
	m.out = api.Report{From: q.From.UTC(), Until: q.Until.UTC(), Made: now.Std(), LicensesEnd: []api.ReportEnd{}, CheckoutsEnd: []api.ReportEnd{}}
	if err := m.peaks(ctx, node); err != nil {
		return api.Report{}, err
	}
	var linked bool
	node.View(func(s *license.State) {
		m.out.Site = s.Head().Cluster
		link := s.Head().Link
		linked, m.down, m.downTo = link.Contact != 0, !link.Up, m.until
		for _, a := range s.Head().Alerts {
			m.lasted(a)
		}
	})
	known := m.until
	_, _, err := node.Recall(ctx, 0, 1, math.MaxInt, func(e license.Event) bool {
		if e.At < m.from {
			known = m.from
			return true
		}
		m.event(e)
		known = e.At
		return false
	})
	if err != nil {
		return api.Report{}, err
	}
	if linked {
		m.wasDown(known) // of what was before the site's journal begins nobody knows
		m.out.Link = &m.link
	}
	node.View(m.state)
	m.sort()
	return m.out, nil
}

// alertKey is one of the alerts that followed each other.
type alertKey struct {
	kind, subject string
	since         license.Time
}

// making is a report that is being made.
type making struct {
	q                Query
	from, until, now license.Time
	out              api.Report
	products         map[license.ProductID]*api.ReportProduct
	refusals         map[license.Reason]*api.ReportRefusal
	alerts           map[alertKey]api.ReportAlert
	link             api.ReportLink
	down             bool         // the link was, before the events that were looked at
	downTo           license.Time // until then
}

func (m *making) product(id license.ProductID) *api.ReportProduct {
	p := m.products[id]
	if p == nil {
		p = &api.ReportProduct{Product: string(id), Capped: license.CappedUnknown.String()}
		m.products[id] = p
	}
	return p
}

func (m *making) peaks(ctx context.Context, node Source) error {
	for from := m.from; from < m.until; {
		peaks, to, err := node.Peaks(ctx, from, m.until, "")
		if err != nil {
			return err
		}
		for _, x := range peaks {
			p := m.product(x.Product)
			if x.Machines > p.Peak {
				p.Peak, p.PeakAt = x.Machines, x.At.Std()
			}
			p.Pooled = max(p.Pooled, x.Pooled)
		}
		if to <= from {
			break // nothing more is to be had
		}
		from = to
	}
	return nil
}

// event takes in an event; they come latest first.
func (m *making) event(e license.Event) {
	within := e.At < m.until
	switch f := e.Fact.(type) {
	case license.LinkChanged:
		if within {
			m.wasDown(e.At)
		}
		m.down, m.downTo = f.Up, min(e.At, m.until) // before it, it was the other way round
	case license.Attempted:
		if within {
			m.refused(f.Denial, false)
		}
	case license.WouldHaveRefused:
		if within {
			m.refused(f.Denial, true)
		}
	case license.AlertRaised:
		m.lasted(f.Alert)
	case license.AlertEnded:
		m.lasted(f.Alert)
	}
}

func (m *making) refused(d license.Denial, observed bool) {
	r := m.refusals[d.Reason]
	if r == nil {
		title, _, _ := phrase.Denial(m.q.Lang, license.Denial{Reason: d.Reason}, phrase.Names{}, "")
		r = &api.ReportRefusal{Reason: string(d.Reason), Title: title}
		m.refusals[d.Reason] = r
	}
	r.Count++
	if observed {
		r.Observed++
	}
	if d.Product != "" {
		m.product(d.Product).Refused++
	}
}

// wasDown counts the time up to where the link is known, if it was down in it.
func (m *making) wasDown(from license.Time) {
	if lasted := m.downTo.Sub(from); m.down && lasted > 0 {
		m.link.Times++
		m.link.DownMS += lasted.Milliseconds()
		m.link.LongestMS = max(m.link.LongestMS, lasted.Milliseconds())
	}
}

// lasted takes in an alert, once, if it lasted in the time. That it is over is said by the
// one event that says so; the state has those that last.
func (m *making) lasted(a license.Alert) {
	key := alertKey{a.Kind, a.Subject, a.Since}
	if known := m.alerts[key]; !known.Over.IsZero() || a.Since >= m.until || a.Over != 0 && a.Over < m.from {
		return
	}
	m.alerts[key] = api.ReportAlert{Kind: a.Kind, Subject: a.Subject, Began: a.Since.Std(), Over: a.Over.Std()}
}
