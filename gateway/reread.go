package gateway

import (
	"context"
	"errors"
	"time"

	"sitegate/license"
)

const (
	// rereadPage is how many checkouts one entry brings in.
	rereadPage = 500
	// rereadLimit is how old the cloud's list may be when its last page goes into the
	// log: younger than what the rules remember of checkouts that were returned meanwhile.
	rereadLimit = 30 * time.Second
	rereadMax   = 30 * time.Second // between tries
)

// errNoList: this cloud cannot say what a site holds.
var errNoList = errors.New("this cloud does not say what a site has checked out; an administrator has to make sure and to accept it")

// reclaim brings the checkouts of a restored site back from the cloud, while this node
// leads. Until that is done the site's full list of holds is not sent: it would drop
// from the cloud's books what the site does not know of.
func (g *Gateway) reclaim(ctx context.Context) {
	delay := time.Second
	for g.awaitsBooks() {
		err := errNoList
		if lister, can := g.cloud.(HoldLister); can && g.link.up() {
			err = g.reclaimOnce(ctx, lister)
		} else if can {
			err = ErrCloud
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		g.logger.Warn("after the restore the checkouts are not read from the cloud yet", "err", err)
		if !pause(ctx, delay) {
			return
		}
		delay = min(2*delay, rereadMax)
	}
}

// awaitsBooks reports whether the site was restored, and its checkouts are not those of
// the cloud's books yet.
func (g *Gateway) awaitsBooks() bool {
	var r license.Restoration
	g.log.View(func(s *license.State) { r = s.Head().Restored })
	return r.Pending || r.At != 0 && !r.Read
}

func (g *Gateway) reclaimOnce(ctx context.Context, lister HoldLister) error {
	ctx, cancel := context.WithTimeout(ctx, rereadLimit)
	defer cancel()
	held, err := lister.HeldCheckouts(ctx)
	g.offers.heard(ofBooks, err)
	if err != nil {
		return err
	}
	g.link.heard()
	for _, c := range g.bookPages(held) {
		out, err := g.log.Propose(ctx, c)
		if err != nil {
			return err
		}
		if out.Denial != nil {
			return nil // somebody else has ended it
		}
	}
	g.logger.Warn("after the restore the checkouts were read from the cloud", "checkouts", len(held))
	return nil
}

// bookPages are the commands that make the state's checkouts those of the list: first
// goes what is not in it, and then comes what the state lacks.
func (g *Gateway) bookPages(held []license.Checkout) []license.Reread {
	inBooks := make(map[license.ID]bool, len(held))
	for i := range held {
		inBooks[held[i].ID] = true
	}
	var gone []license.ID
	var found []license.Checkout
	var epoch uint64
	g.log.View(func(s *license.State) {
		epoch = s.Head().Epoch
		s.EachActive(func(a *license.Active) bool {
			for i := range a.Checkouts {
				if id := a.Checkouts[i].ID; !inBooks[id] {
					gone = append(gone, id)
				}
			}
			return true
		})
		for i := range held {
			if s.Checkout(held[i].ID) == nil {
				found = append(found, held[i])
			}
		}
	})
	var pages []license.Reread
	for len(gone) > 0 {
		n := min(len(gone), rereadPage)
		pages = append(pages, license.Reread{Epoch: epoch, Gone: gone[:n]})
		gone = gone[n:]
	}
	for len(found) > 0 {
		n := min(len(found), rereadPage)
		pages = append(pages, license.Reread{Epoch: epoch, Found: found[:n]})
		found = found[n:]
	}
	return append(pages, license.Reread{Epoch: epoch, Last: true})
}

// AcceptRestore says that an administrator has seen to what is checked out, where the
// cloud cannot tell.
func (g *Gateway) AcceptRestore(ctx context.Context, c license.AcceptRestore) (Answer, error) {
	return g.ask(ctx, request{AcceptRestore: &c})
}
