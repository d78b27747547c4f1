package gateway

import (
	"context"

	"sitegate/license"
)

// oldest is what a node has found in its journal of the usage that waits for the cloud. It
// is looked for when somebody asks, and not twice in the same events.
type oldest struct {
	turn   chan struct{} // held by who looks at these, and in the journal
	seq    uint64        // of the event that the record is of; zero: none is known
	at     license.Time  // when that was
	looked uint64        // none of what waits is of an event up to here, but for seq
}

func newOldest() oldest { return oldest{turn: make(chan struct{}, 1)} }

// OldestUsage is since when the usage record waits that the cloud has not acknowledged for
// longest, by this node's journal. Zero: none waits, or the journal does not have it yet.
func (g *Gateway) OldestUsage(ctx context.Context) (license.Time, error) {
	var sent, waiting uint64
	g.log.View(func(s *license.State) { sent, waiting = s.Head().UsageSent, s.UsageWaiting() })
	if waiting == 0 {
		return 0, nil
	}
	o := &g.oldest
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if o.seq > sent {
		return o.at, nil
	}
	o.seq, o.at, o.looked = 0, 0, max(o.looked, sent)
	for {
		events, err := g.log.Journal(ctx, o.looked, journalRead)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		for _, e := range events {
			o.looked = e.Seq
			if _, is := license.UsageOf(e); is {
				o.seq, o.at = e.Seq, e.At
				return o.at, nil
			}
		}
	}
}
