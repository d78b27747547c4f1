package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

// remind has the administrators told what there is to see to, when that is due. All
// licenses are looked at for it, which keeps the state busy for a moment: on the leader,
// and once a week.
func (g *Gateway) remind(ctx context.Context) {
	for pause(ctx, time.Minute) {
		now := g.log.Now()
		var due bool
		var c license.Remind
		g.log.View(func(s *license.State) {
			if due = license.RemindDue(s, now); due {
				c.Counts = license.CountReminders(s, now)
			}
		})
		if due {
			_, _ = g.log.Propose(ctx, c) // what was not done is due again
		}
	}
}
