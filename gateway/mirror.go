package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

const (
	feedWait = 25 * time.Second // how long the cloud may hold a question open
	feedPage = 500              // changes in one entry of the log
)

// mirror reads the cloud's change feed into the log, while this node leads. Each
// entry carries the changes of a page together with the cursor to go on from.
func (g *Gateway) mirror(ctx context.Context) {
	delay := time.Duration(0)
	full := false
	for ctx.Err() == nil {
		if delay > 0 && !pause(ctx, delay) {
			return
		}
		var head license.Head
		g.log.View(func(s *license.State) { head = s.Head() })
		wait := feedWait
		if !head.Filled || full {
			wait = 0
		}
		page, err := g.cloud.Changes(ctx, head.Cursor, wait)
		if err != nil {
			if ctx.Err() == nil {
				g.logger.Warn("the mirror could not be read from the cloud", "err", err)
				g.link.suspect()
			}
			delay = min(max(2*delay, 250*time.Millisecond), 10*time.Second)
			continue
		}
		delay = 0
		g.link.heard()
		if page.Reset {
			full = true
			g.logger.Warn("the cloud no longer knows the mirror's cursor; reading everything anew")
		}
		if len(page.Changes) == 0 && page.Cursor == head.Cursor && head.Filled {
			full = false
			continue
		}
		if !g.bring(ctx, page, head, full || !head.Filled) {
			delay = time.Second
			continue
		}
		full = full && page.More
	}
}

// bring proposes a page in pieces of bounded size. Only the last piece carries
// the page's own cursor: if leadership is lost in between, the page is read
// again.
func (g *Gateway) bring(ctx context.Context, page license.Page, head license.Head, full bool) bool {
	changes := page.Changes
	for {
		n := min(len(changes), feedPage)
		last := n == len(changes)
		m := license.Mirror{From: head.Cursor, Cursor: head.Cursor, Changes: changes[:n], Full: full}
		if page.Reset {
			m.From = ""
		}
		if last {
			m.Cursor, m.Last = page.Cursor, !page.More
		}
		out, err := g.log.Propose(ctx, m)
		if err != nil {
			return false
		}
		if out.Denial != nil {
			g.logger.Error("a page of the mirror was refused", "reason", out.Denial.Reason, "cursor", page.Cursor, "changes", n)
			return false
		}
		if last {
			return true
		}
		changes = changes[n:]
	}
}
