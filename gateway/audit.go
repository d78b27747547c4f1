package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

// Audit holds what was granted against what the cloud has acknowledged, from this
// node's journal, as far back as that goes, and what was found in the events before it,
// where they were forgotten and not lost.
func (g *Gateway) Audit(ctx context.Context) (license.Audit, error) {
	var books license.Books
	var c *license.AuditCount
	err := g.unforgotten(func() (err error) {
		var sums license.AuditSums
		g.log.View(func(s *license.State) { books, sums = license.BooksOf(s), s.Head().Forgotten.Sums })
		c, err = g.auditUntil(ctx, sums, books.Seq)
		return err
	})
	if err != nil {
		return license.Audit{}, err
	}
	return c.Result(books), nil
}

// unforgotten calls f, which reads the journal, and calls it again where the site has
// forgotten events meanwhile: f may have missed them.
func (g *Gateway) unforgotten(f func() error) error {
	for {
		through := g.head().Forgotten.Sums.Through
		if err := f(); g.head().Forgotten.Sums.Through == through {
			return err
		}
	}
}

// auditUntil looks at the events up to one, behind those of the sums or, where some are
// missing after these, from the first that there is.
func (g *Gateway) auditUntil(ctx context.Context, sums license.AuditSums, end uint64) (*license.AuditCount, error) {
	c, begun := license.ResumeAudit(sums), false
	err := g.eachEvent(ctx, sums.Through, end, func(e license.Event) bool {
		if !begun && e.Seq > sums.Through+1 {
			c = license.NewAudit(e.Seq - 1)
		}
		begun = true
		c.Add(e)
		return true
	})
	return c, err
}

// journalAfter is the event after which the journal begins.
func (g *Gateway) journalAfter(ctx context.Context, after, end uint64) (uint64, error) {
	first := end
	err := g.eachEvent(ctx, after, end, func(e license.Event) bool { first = e.Seq - 1; return false })
	return first, err
}

// eachEvent calls f with the events after one and up to another, until f returns
// false. Where the journal is a little behind, it waits for it; ErrUnknown: it does not
// come.
func (g *Gateway) eachEvent(ctx context.Context, after, end uint64, f func(license.Event) bool) error {
	var waiting time.Time // since when the journal is behind
	for after < end {
		events, err := g.log.Journal(ctx, after, journalRead)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Seq > end {
				return nil
			}
			after = e.Seq
			if !f(e) {
				return nil
			}
		}
		if len(events) > 0 {
			waiting = time.Time{}
			continue
		}
		if waiting.IsZero() {
			waiting = time.Now()
		}
		if time.Since(waiting) > journalLag {
			return ErrUnknown
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// journalRead is how many events are read at a time.
const journalRead = 1000
