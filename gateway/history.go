package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sitegate/license"
)

const (
	historyEvery = time.Hour
	// forgetAtOnce is how many events are forgotten at once: an audit goes through them first.
	forgetAtOnce = 200_000
)

// keepHistory keeps, on the leader, the peaks of each day that is over, and forgets the
// events of days that are older than the site's history. Every node deletes them then by
// itself, a few with each change that it writes.
func (g *Gateway) keepHistory(ctx context.Context) {
	for again := true; again; again = pause(ctx, historyEvery) {
		err := g.keepPeaks(ctx)
		for err == nil && g.history > 0 {
			var more bool
			if more, err = g.forget(ctx); !more {
				break
			}
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotLeader) {
			g.logger.WarnContext(ctx, "peaks of past days could not be kept, or old events not be forgotten; this is tried again", "err", err)
		}
	}
}

// keepPeaks notes the peaks of the days that are over and were not noted yet.
func (g *Gateway) keepPeaks(ctx context.Context) error {
	from, today := g.head().PeaksUntil, dayOf(g.log.Now())
	if from == 0 {
		first, err := g.log.Journal(ctx, 0, 1)
		if err != nil || len(first) == 0 {
			return err
		}
		if from = dayOf(first[0].At); first[0].Seq > 1 {
			from += aDay // of the first one some is gone already
		}
	}
	for from < today {
		peaks, until, err := g.countPeaks(ctx, from, today, keepAtOnce, nil)
		if errors.Is(err, ErrTooMuch) {
			until = from + aDay
			peaks, err = g.peaksOfEach(ctx, from, until)
		}
		if err != nil {
			return err
		}
		for {
			c := license.KeepPeaks{Peaks: peaks[:min(len(peaks), license.MaxKeepPeaks)]}
			if peaks = peaks[len(c.Peaks):]; len(peaks) == 0 {
				c.Until = until
			}
			if out, err := g.log.Propose(ctx, c); err != nil || out.Denial != nil {
				return notDone(err, out.Denial)
			}
			if c.Until != 0 {
				break
			}
		}
		from = until
	}
	return nil
}

// peaksOfEach counts some products after the others of a day on which there are too many
// machines to count them at once.
func (g *Gateway) peaksOfEach(ctx context.Context, from, until license.Time) (peaks []license.Peak, err error) {
	products, err := g.usedSince(ctx, from)
	if err != nil {
		return nil, err
	}
	for n := (len(products) + 1) / 2; len(products) > 0; {
		n = min(n, len(products))
		of, _, err := g.countPeaks(ctx, from, until, keepAtOnce, products[:n])
		switch {
		case errors.Is(err, ErrTooMuch) && n > 1:
			n /= 2
		case err != nil:
			return nil, err
		default:
			peaks, products = append(peaks, of...), products[n:]
		}
	}
	return peaks, nil
}

// usedSince are the products that were used at a time, or later.
func (g *Gateway) usedSince(ctx context.Context, from license.Time) ([]license.ProductID, error) {
	used := map[license.ProductID]struct{}{}
	var end uint64
	g.log.View(func(s *license.State) {
		end = s.Head().Seq
		s.EachActive(func(a *license.Active) bool {
			for _, u := range license.OpenUsage(a, s.Head().Now) {
				used[u.Product] = struct{}{}
			}
			return true
		})
	})
	after, err := g.journalFrom(ctx, from, end)
	if err == nil {
		err = g.eachEvent(ctx, after, end, func(e license.Event) bool {
			if u, ok := license.UseOf(e); ok {
				used[u.Product] = struct{}{}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(used)), err
}

// forget has the site forget some of the events that are older than its history, and not
// waiting for the cloud. more: there are others.
func (g *Gateway) forget(ctx context.Context) (more bool, err error) {
	head := g.head()
	sums := head.Forgotten.Sums
	before := min(dayOf(g.log.Now().Add(-g.history)), head.PeaksUntil)
	through, err := g.journalFrom(ctx, before, head.Seq)
	if err != nil {
		return false, err
	}
	if through > head.UsageSent {
		if through, err = g.passWithoutUsage(ctx, head.UsageSent, through); err != nil {
			return false, err
		}
	}
	if first, err := g.journalAfter(ctx, 0, head.Seq); err != nil {
		return false, err
	} else if most := max(first, sums.Through) + forgetAtOnce; through > most {
		through, more = most, true
	}
	if through <= sums.Through {
		return false, nil
	}
	c, err := g.auditUntil(ctx, sums, through)
	if err != nil {
		return false, err
	}
	done := license.Forget{After: sums.Through, Before: before, Sums: c.Sums()}
	if more {
		done.Before = head.Forgotten.Before
	}
	out, err := g.log.Propose(ctx, done)
	if err != nil || out.Denial != nil {
		return false, notDone(err, out.Denial)
	}
	g.logger.InfoContext(ctx, "events that are older than the site's history were forgotten; what was counted of them stays", "through", through, "before", before.Std(), "history", g.history)
	return more, nil
}

// passWithoutUsage notes that the events up to one that have no usage are dealt with, as far as
// none of them has, for no cloud may be there that takes what comes after them. It returns up
// to where usage is dealt with then.
func (g *Gateway) passWithoutUsage(ctx context.Context, sent, until uint64) (uint64, error) {
	through := sent
	err := g.eachEvent(ctx, sent, until, func(e license.Event) bool {
		_, is := license.UsageOf(e)
		if !is {
			through = e.Seq
		}
		return !is && e.Seq < until
	})
	if err != nil || through == sent {
		return sent, err
	}
	out, err := g.log.Propose(ctx, license.UsageSent{Through: through, After: sent})
	return through, notDone(err, out.Denial)
}

func notDone(err error, d *license.Denial) error {
	if err == nil && d != nil {
		err = fmt.Errorf("the site's rules refuse it: %s", d.Reason)
	}
	return err
}
