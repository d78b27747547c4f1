package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

const (
	feedWait  = 25 * time.Second // how long the cloud may hold a question open
	feedPause = time.Second      // between questions, where the cloud answers at once that there is nothing
	feedPage  = 500              // changes in one entry of the log
)

// mirror reads the cloud's change feed into the log, while this node leads. Each
// entry carries the changes of a page together with the cursor to go on from.
//
// Where the cloud no longer knows the cursor it begins anew, and whatever is not
// named again by the last page is gone: it is deleted with that page. A leader
// that finds such a reading half done begins it again, because only the one who
// began it knows what has been named.
func (g *Gateway) mirror(ctx context.Context) {
	delay := time.Duration(0)
	var named *names        // not nil: everything is being read anew
	var asking []chan error // who waits for the reading that is under way
	defer func() { answerAll(append(asking, g.reread.take()...), ErrNotLeader) }()
	answer := func(err error) {
		answerAll(asking, err)
		asking = nil
	}
	for ctx.Err() == nil {
		if delay > 0 && !pause(ctx, delay) {
			return
		}
		var head license.Head
		g.log.View(func(s *license.State) { head = s.Head() })
		cursor, wait := head.Cursor, feedWait
		if head.Refilling && named == nil {
			cursor = ""
		}
		if !head.Filled || head.Refilling {
			wait = 0
		}
		if asking = append(asking, g.reread.take()...); len(asking) > 0 {
			wait = 0
		}
		asked := time.Now()
		page, interrupted, err := g.changes(ctx, cursor, wait)
		if interrupted {
			continue
		}
		if err != nil {
			answer(ErrCloud)
			if ctx.Err() == nil {
				g.logger.Warn("the mirror could not be read from the cloud", "err", err)
				g.link.suspect()
			}
			delay = min(max(2*delay, 250*time.Millisecond), 10*time.Second)
			continue
		}
		g.link.heard()
		delay = 0
		anew := (head.Filled || head.Cursor != "") && (page.Reset || cursor == "")
		if anew {
			named = &names{}
			g.logger.Warn("the cloud no longer knows the mirror's cursor; reading everything anew")
		}
		if named != nil {
			named.add(page.Changes)
			if !page.More {
				g.log.View(func(s *license.State) { page.Changes = append(page.Changes, named.missing(s)...) })
			}
		}
		if len(page.Changes) == 0 && page.Cursor == head.Cursor && head.Filled && named == nil {
			answer(nil)
			delay = max(0, feedPause-time.Since(asked))
			continue
		}
		if !g.bring(ctx, page, head.Cursor, anew, named != nil || !head.Filled) {
			delay = time.Second
			named = nil
			answer(ErrUnknown)
			continue
		}
		if !page.More {
			named = nil
			answer(nil)
		}
	}
}

// changes reads a page of the feed. Where it may wait for news, it does so only
// until somebody asks for what there is now: interrupted.
func (g *Gateway) changes(ctx context.Context, cursor string, wait time.Duration) (page license.Page, interrupted bool, err error) {
	if wait == 0 {
		page, err = g.cloud.Changes(ctx, cursor, wait)
		return page, false, err
	}
	poll, stop := g.reread.interrupted(ctx)
	defer stop()
	page, err = g.cloud.Changes(poll, cursor, wait)
	return page, err != nil && poll.Err() != nil && ctx.Err() == nil, err
}

// bring proposes a page in pieces of bounded size. Only the last piece carries
// the page's own cursor: if leadership is lost in between, the page is read
// again. anew: it is the first page of a reading from the beginning.
func (g *Gateway) bring(ctx context.Context, page license.Page, cursor string, anew, full bool) bool {
	changes := page.Changes
	for {
		n := min(len(changes), feedPage)
		last := n == len(changes)
		m := license.Mirror{From: cursor, Cursor: cursor, Changes: changes[:n], Full: full}
		if anew {
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

// names is what a reading from the beginning has named so far.
type names struct {
	users    map[license.UserID]bool
	products map[license.ProductID]bool
	licenses map[license.LicenseID]bool
}

func (n *names) add(changes []license.Change) {
	if n.users == nil {
		n.users, n.products, n.licenses = map[license.UserID]bool{}, map[license.ProductID]bool{}, map[license.LicenseID]bool{}
	}
	for _, c := range changes {
		switch {
		case c.User != nil:
			n.users[c.User.ID] = true
		case c.Product != nil:
			n.products[c.Product.ID] = true
		case c.License != nil:
			n.licenses[c.License.ID] = true
		case c.DeleteUser != "":
			delete(n.users, c.DeleteUser)
		case c.DeleteProduct != "":
			delete(n.products, c.DeleteProduct)
		case c.DeleteLicense != "":
			delete(n.licenses, c.DeleteLicense)
		}
	}
}

// missing are the deletions of everything mirrored that was not named: licenses
// first, so that nothing points at what is gone.
func (n *names) missing(s *license.State) []license.Change {
	var gone []license.Change
	users, products, licenses := s.Mirrored()
	for _, id := range licenses {
		if !n.licenses[id] {
			gone = append(gone, license.Change{DeleteLicense: id})
		}
	}
	for _, id := range users {
		if !n.users[id] {
			gone = append(gone, license.Change{DeleteUser: id})
		}
	}
	for _, id := range products {
		if !n.products[id] {
			gone = append(gone, license.Change{DeleteProduct: id})
		}
	}
	return gone
}
