package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sitegate/license"
)

const (
	feedWait     = 25 * time.Second      // how long the cloud may hold a question open
	feedPage     = 200                   // changes in one entry of the log, while others work
	pieceSize    = 256 << 10             // bytes of them, about: half of what an entry may have
	heldAnew     = time.Hour             // between readings of everything, while a mirror is held back
	piecesAtOnce = 8                     // of a page of which no piece takes anything away
	maxYield     = 20 * time.Millisecond // between two entries with changes of one page
	noFeed       = 5 * time.Minute       // between questions to a cloud that offers no feed

	cursorEvery = time.Minute // how often the log is told of a cursor that moves with nothing else to say
)

// mirror reads the cloud's change feed into the log, while this node leads. Each
// entry carries the changes of a page together with the cursor to go on from.
//
// Where the cloud no longer knows the cursor it begins anew, and whatever is not
// named again by the last page is gone. A leader that finds such a reading half done
// begins it again.
//
// What takes something away is brought in at the end of a reading, all or nothing:
// where it is too much (license.MirrorShrunk), it is held back until an administrator
// accepts it or the cloud takes it back, and everything else goes on coming in. Since
// the feed does not say again what it has said, everything is read anew now and then
// while something is held back.
func (g *Gateway) mirror(ctx context.Context) {
	var p pace
	var r *reading          // nil: to go on from the log
	var asking []chan error // who waits for the reading that is under way
	var next ahead          // the page that follows on the last, where more is waiting
	defer func() { next.drop() }()
	var way circle
	defer func() { answerAll(append(asking, g.reread.take()...), ErrNotLeader) }()
	answer := func(err error) {
		answerAll(asking, err)
		asking = nil
	}
	for p.wait(ctx, &g.reread) {
		if r == nil {
			r = readOn(g.head())
		}
		if !r.held.IsZero() && time.Since(r.held) >= heldAnew {
			r.cursor, r.whole = "", false
		}
		wait := feedWait
		if more := g.reread.take(); len(more) > 0 {
			asking = append(asking, more...)
			next.drop() // it may be older than their question
		}
		if len(asking) > 0 || !r.whole {
			wait = 0
		}
		asked := time.Now()
		page, interrupted, err := next.take(r.cursor)
		if err == errNotAhead {
			page, interrupted, err = g.changes(ctx, r.cursor, wait)
		}
		if !interrupted {
			g.offers.heard(ofFeed, err)
		}
		switch {
		case interrupted:
			p.delay = 0
		case isNotOffered(err):
			g.link.heard()
			answer(nil) // there is nothing to read
			if p.delay != noFeed {
				g.logger.Warn("this cloud offers no list of users and licenses; import one: sitegate mirror import", "err", err)
			}
			p.delay = noFeed
		case err != nil:
			answer(ErrCloud)
			if ctx.Err() == nil {
				g.logger.Warn("the mirror could not be read from the cloud", "err", err)
				g.link.suspect()
			}
			p.unheard()
		case way.circles(r.cursor, page):
			answer(ErrCloud)
			g.logger.Error("the cloud's feed goes backwards: it has led to a place where it was before; everything is read anew", "cursor", page.Cursor)
			g.link.heard()
			next.drop()
			p.circled()
			r.cursor, r.whole = "", false
		default:
			g.link.heard()
			p.heard(page, r.whole, asked)
			if page.More && !page.Reset {
				next.begin(ctx, g.cloud, page.Cursor) // while this one is brought in
			}
			if !g.bringPage(ctx, r, page) {
				p.lost()
				next.drop()
				way = circle{} // the same is read again
				r = nil
				answer(ErrUnknown)
			} else if p.failed = 0; r.whole {
				g.link.followed()
				answer(nil)
			}
		}
	}
}

func (g *Gateway) head() (head license.Head) {
	g.log.View(func(s *license.State) { head = s.Head() })
	return head
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

// bringPage brings in what a page that follows on r says, as far as it is not held
// back. False: it is not known how much of it is in.
func (g *Gateway) bringPage(ctx context.Context, r *reading, page license.Page) bool {
	head := g.head()
	anew := (head.Filled || head.Cursor != "") && (page.Reset || r.cursor == "")
	if anew {
		if page.Reset {
			g.logger.Warn("the cloud no longer knows the mirror's cursor; reading everything anew")
		}
		r.anew()
	}
	m := license.Mirror{From: head.Cursor, Cursor: head.Cursor, Full: r.named != nil || !head.Filled}
	if anew {
		m.From = ""
	}
	var apart bool
	m.Changes, apart = r.take(g.log.View, page)
	if r.whole && r.named != nil {
		var mirrored []license.Key
		g.log.View(func(s *license.State) { mirrored = s.Mirrored() })
		r.miss(mirrored)
	}
	held := false
	if r.complete() {
		if held = g.tooMuch(r, head); !held {
			m.Changes = append(m.Changes, r.losses.list()...) // of what none of the others is about
			m.Full = m.Full || head.Held.Since != 0           // of many that go at once no one is told of each
		}
	}
	m.Last = r.whole && !held
	in := r.complete() && !held // so are the losses
	cursor := page.Cursor
	if len(r.losses) > 0 && !in && !anew && !head.Refilling {
		cursor = head.Cursor // it is to be read again until they are in
	}
	due := anew || m.Last && (!head.Filled || head.Refilling || head.Held.Since != 0) ||
		cursor != head.Cursor && time.Since(r.told) >= cursorEvery
	if len(m.Changes) > 0 || due {
		if !g.bring(ctx, m, cursor, apart) {
			return false
		}
		r.told = time.Now()
	}
	switch {
	case held && r.held.IsZero():
		r.held = time.Now()
		return g.holdBack(ctx, r)
	case held:
		return g.holdBack(ctx, r)
	case in:
		r.losses, r.held = losses{}, time.Time{}
	}
	return true
}

// tooMuch reports whether what r has found to be lost is more than may go at once.
// Much may be held back for long: what was found is not looked at again before
// something has changed.
func (g *Gateway) tooMuch(r *reading, head license.Head) bool {
	if len(r.losses) == 0 {
		return false
	}
	if r.judged && !r.held.IsZero() && head.Held == r.as {
		return true
	}
	r.losing, r.judged, r.as = g.losing(r.losses.list()), true, head.Held
	var d *license.Denial
	now := g.log.Now()
	g.log.View(func(s *license.State) {
		d = license.Check(s, now, license.Mirror{From: s.Head().Cursor, Losing: r.losing})
	})
	return d != nil && d.Reason == license.MirrorShrunk
}

// losing counts what changes take away, a piece at a time: there may be as many as
// the mirror has records, and nothing is decided while the state is looked at.
func (g *Gateway) losing(changes []license.Change) (n license.Sizes) {
	for piece := range slices.Chunk(changes, 1000) {
		g.log.View(func(s *license.State) { n = n.Plus(license.Losing(s, piece)) })
	}
	return n
}

// holdBack notes how much of the mirror is held back, unless the log knows it.
func (g *Gateway) holdBack(ctx context.Context, r *reading) bool {
	if r.noted == r.losing && r.as.Since != 0 && r.as.Accepted == 0 {
		return true
	}
	out, err := g.log.Propose(ctx, license.HoldBack{Losing: r.losing})
	if err != nil {
		return false
	}
	if out.Denial == nil && !out.Repeat {
		g.logger.Error("the cloud's list lacks more than half of what this site knows; nothing of that is taken away until it is accepted: sitegate mirror accept",
			"users", r.losing.Users, "licenses", r.losing.Licenses, "assignments", r.losing.Assignments)
	}
	r.noted = r.losing
	return true
}

// bring proposes changes in pieces of bounded size. Each announces how much it and
// those behind it take away. Only the last carries the new cursor and whether this is
// the end: if leadership is lost in between, they are read again. Between two pieces
// others have the log for as long as one took, so that many changes at once slow down
// nobody's start. apart: no two of them are about the same.
func (g *Gateway) bring(ctx context.Context, m license.Mirror, cursor string, apart bool) bool {
	changes, last := m.Changes, m.Last
	losing, most := g.losing(changes), feedPage
	if m.Full {
		most = license.MaxChanges // nobody waits for it, nor works meanwhile
	}
	anyOrder := m.Full && losing == (license.Sizes{}) && apart // they say nothing of each other
	ahead, stop := errgroup.WithContext(ctx)
	ahead.SetLimit(piecesAtOnce)
	for {
		n := piece(changes, most)
		m.Changes, m.Losing, m.Last = changes[:n], losing, false
		if n == len(changes) {
			m.Cursor, m.Last = cursor, last
			return ahead.Wait() == nil && g.bringPiece(ctx, m) == nil
		}
		taken, begun := g.losing(m.Changes), time.Now()
		switch {
		case stop.Err() != nil:
			return ahead.Wait() == nil
		case anyOrder && m.From == m.Cursor:
			each := m
			ahead.Go(func() error { return g.bringPiece(ctx, each) })
		case g.bringPiece(ctx, m) != nil, !m.Full && !pause(ctx, min(time.Since(begun), maxYield)):
			return false
		}
		m.From = m.Cursor
		changes, losing = changes[n:], losing.Minus(taken)
	}
}

// errRefused: the rules do not take a piece of a page.
var errRefused = errors.New("a page of the mirror was refused")

func (g *Gateway) bringPiece(ctx context.Context, m license.Mirror) error {
	out, err := g.log.Propose(ctx, m)
	if err != nil {
		return err
	}
	if out.Denial != nil {
		g.logger.Error("a page of the mirror was refused", "reason", out.Denial.Reason, "cursor", m.Cursor, "changes", len(m.Changes))
		return errRefused
	}
	return nil
}

// piece is how many of the changes go into one entry: at least one, if there are any,
// and at most so many.
func piece(changes []license.Change, most int) int {
	n, bytes := 0, 0
	for n < len(changes) && n < most {
		if bytes += size(&changes[n]); n > 0 && bytes > pieceSize {
			break
		}
		n++
	}
	return n
}

// size is about how many bytes a change takes up in the log, and no less.
func size(c *license.Change) int {
	n := 200
	text := func(all ...string) {
		for _, s := range all {
			n += len(s) + 8
		}
	}
	text(string(c.DeleteUser), string(c.DeleteProduct), string(c.DeleteLicense))
	if u := c.User; u != nil {
		text(string(u.ID), u.Email, u.Name, u.Country)
	}
	if p := c.Product; p != nil {
		text(string(p.ID), p.Name)
	}
	if l := c.License; l != nil {
		text(string(l.ID), string(l.Product), string(l.Assignee))
		text(l.Countries...)
	}
	if a := c.Account; a != nil {
		text(a.ID, a.Name, a.FulfillmentContact.Name, a.FulfillmentContact.Email)
		for _, x := range a.Administrators {
			text(x.Name, x.Email)
		}
		for _, x := range a.CountryPolicies {
			text(x.Country, "checkout terms")
		}
	}
	return n
}
