package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

const (
	backlogEvery = 5 * time.Second
	// useReserve is how many bytes of the journal the end of what runs may take.
	useReserve = 1024
	// The log is told of a backlog that has the same level when a fiftieth of the room
	// has been taken or given back since.
	backlogStep = 50
)

// watchBacklog tells the log how much usage waits for the cloud, while this node
// leads: it is refused to begin what could not be metered any more, and the
// administrators are told long before.
func (g *Gateway) watchBacklog(ctx context.Context) {
	for {
		var b license.Backlog
		var open int
		g.log.View(func(s *license.State) {
			n := s.Counts()
			b, open = s.Head().Backlog, n.Sessions+n.Checkouts
		})
		used := g.backlog() + uint64(open)*useReserve
		level := b.Next(used, g.backlogMost)
		moved := max(used, b.Bytes) - min(used, b.Bytes)
		if level != b.Level || b.Most != g.backlogMost || b.Most > 0 && moved > b.Most/backlogStep {
			out, err := g.log.Propose(ctx, license.NoteBacklog{Bytes: used, Most: g.backlogMost})
			if err == nil && out.Denial == nil && level > b.Level {
				g.logger.Warn("usage waits for the cloud, and the room for it fills up", "level", level.String(), "bytes", used, "most", g.backlogMost)
			}
		}
		if !pause(ctx, backlogEvery) {
			return
		}
	}
}
