package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

// Audit holds what was granted against what the cloud has acknowledged, from this
// node's journal, as far back as that goes.
func (g *Gateway) Audit(ctx context.Context) (license.Audit, error) {
	var books license.Books
	g.log.View(func(s *license.State) { books = license.BooksOf(s) })
	first, err := g.journalAfter(ctx, 0, books.Seq)
	if err != nil {
		return license.Audit{}, err
	}
	c := license.NewAudit(first)
	err = g.eachEvent(ctx, first, books.Seq, func(e license.Event) bool { c.Add(e); return true })
	if err != nil {
		return license.Audit{}, err
	}
	return c.Result(books), nil
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
