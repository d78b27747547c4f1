package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"sitegate/license"
)

const (
	peakMemory = 64 << 20 // bytes that a count of peaks may take
	maxPeaks   = 3000     // days and products that are asked for at once, about
	keepAtOnce = 50_000   // of those that are kept; counting them takes a kilobyte each
)

// ErrTooMuch: there is more to count than this node has room for at once.
var ErrTooMuch = errors.New("there are more machines to count than this node has room for at once")

// Peaks are the peaks of usage in the intervals that begin in [from, until), of one
// product or, where it is empty, of all. It counts from the beginning and returns how
// far it got: until, or sooner where that is much. What still runs counts as used until
// now.
//
// Days of which this node's journal does not have everything any more are those that were
// kept in time, whole days, whenever on the first and the last of them from and until are.
// The others are counted anew. A node that does not hear of the others tells what it knows.
func (g *Gateway) Peaks(ctx context.Context, from, until license.Time, product license.ProductID) (peaks []license.Peak, reached license.Time, err error) {
	var products []license.ProductID
	if product != "" {
		products = append(products, product)
	}
	err = g.unforgotten(func() error {
		whole, err := g.wholeDays(ctx)
		if err != nil {
			return err
		}
		if whole = min(whole, g.head().PeaksUntil); from >= whole || from >= until {
			peaks, reached, err = g.countPeaks(ctx, from, until, maxPeaks, products)
		} else {
			peaks, reached, err = g.log.Peaks(ctx, dayOf(from), min(until, whole), product, maxPeaks)
		}
		return err
	})
	return peaks, reached, err
}

// wholeDays is the first day of which the journal has everything: zero where it has
// everything of all.
func (g *Gateway) wholeDays(ctx context.Context) (license.Time, error) {
	first, err := g.log.Journal(ctx, 0, 1)
	switch {
	case err != nil:
		return 0, err
	case len(first) == 0: // of what may come
		return dayOf(g.log.Now() + aDay), nil
	case first[0].Seq == 1:
		return 0, nil
	}
	return dayOf(first[0].At + aDay), nil
}

const aDay = license.Time(24 * time.Hour / time.Millisecond)

// dayOf is when the day began, in GMT.
func dayOf(at license.Time) license.Time { return at - at%aDay }

// countPeaks is Peaks of what the journal has, of some products, which are in order, or of all;
// and of about so many days and products, most. It reads a piece at a time: every record from
// the beginning on, because what ended last year may have begun before.
func (g *Gateway) countPeaks(ctx context.Context, from, until license.Time, most int, products []license.ProductID) ([]license.Peak, license.Time, error) {
	var c *license.PeakCount
	var end uint64 // of the journal, as it is now
	add := func(u license.Usage) {
		if _, is := slices.BinarySearch(products, u.Product); is || len(products) == 0 {
			c.Add(&u)
		}
	}
	now := g.log.Now()
	g.log.View(func(s *license.State) {
		n := len(products)
		if n == 0 {
			n = max(1, s.Counts().Products)
		}
		days := max(1, most/n)
		day := 24 * time.Hour
		until = min(until, license.TimeOf(from.Std().Truncate(day)).Add(time.Duration(days)*day))
		c, end = license.NewPeakCount(from, until, g.peakMemory), s.Head().Seq
		s.EachActive(func(a *license.Active) bool {
			for _, u := range license.OpenUsage(a, now) {
				add(u)
			}
			return true
		})
	})
	after, err := g.journalFrom(ctx, from, end)
	if err != nil {
		return nil, 0, err
	}
	err = g.eachEvent(ctx, after, end, func(e license.Event) bool {
		if u, ok := license.UseOf(e); ok {
			add(u)
		}
		return !c.Full()
	})
	if err != nil {
		return nil, 0, err
	}
	if c.Full() {
		return nil, 0, ErrTooMuch
	}
	return c.Peaks(), min(until, c.Until()), nil
}

// journalFrom finds where the events begin that came about at a time or later: it
// returns the seq before the first of them.
func (g *Gateway) journalFrom(ctx context.Context, at license.Time, end uint64) (uint64, error) {
	before, after := uint64(0), end // what is at or before the one is earlier, what is after the other is not
	for before < after {
		middle := before + (after-before)/2
		events, err := g.log.Journal(ctx, middle, 1)
		if err != nil {
			return 0, err
		}
		if len(events) > 0 && events[0].At < at {
			before = min(events[0].Seq, after)
		} else {
			after = middle
		}
	}
	return before, nil
}
