package gateway

import (
	"context"

	"sitegate/license"
)

// Recall looks back through this node's journal, from before an event on (zero: from the
// latest), for events that match: at most so many, newest first, and not through more
// events than look. reached is where to go on from, as before; zero: that was all there
// is. What is not yet in the journal, some milliseconds of it, is not found.
func (g *Gateway) Recall(ctx context.Context, before uint64, most, look int, match func(license.Event) bool) (found []license.Event, reached uint64, err error) {
	if before == 0 {
		g.log.View(func(s *license.State) { before = s.Head().Seq + 1 })
	}
	for before > 1 && look > 0 {
		n := uint64(min(look, recallPiece))
		after := uint64(0)
		if before-1 > n {
			after = before - 1 - n
		}
		events, err := g.log.Journal(ctx, after, int(before-1-after))
		if err != nil {
			return nil, 0, err
		}
		older := before
		for i := len(events) - 1; i >= 0; i-- {
			if events[i].Seq >= before {
				continue
			}
			older = events[i].Seq
			if match(events[i]) {
				if found = append(found, events[i]); len(found) == most {
					return found, older, nil
				}
			}
		}
		look -= int(before - 1 - after)
		if older == before && g.journalBegins(ctx, before) {
			return found, 0, nil // what there was before is kept no more
		}
		before = after + 1
	}
	if before <= 1 {
		before = 0
	}
	return found, before, nil
}

// recallPiece is how many events are read at a time.
const recallPiece = 512

// journalBegins reports whether the journal has nothing before an event.
func (g *Gateway) journalBegins(ctx context.Context, before uint64) bool {
	events, err := g.log.Journal(ctx, 0, 1)
	return err == nil && (len(events) == 0 || events[0].Seq >= before)
}
