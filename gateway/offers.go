package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"sitegate/license"
)

// offersAgain is when the log is told again what it could not be told.
const offersAgain = time.Minute

// isNotOffered reports whether a cloud has answered that it has no such thing for a
// site. Every capability of a cloud is optional; such an error has a method NotOffered.
func isNotOffered(err error) bool {
	var n interface{ NotOffered() bool }
	return errors.As(err, &n) && n.NotOffered()
}

// isBusy reports whether a cloud was not asked, or has not answered, because it is asked
// too much. Such an error has a method Busy.
func isBusy(err error) bool {
	var b interface{ Busy() bool }
	return errors.As(err, &b) && b.Busy()
}

// errNotOffered is such an error.
type errNotOffered struct{}

func (errNotOffered) Error() string    { return "the cloud has no such thing for a site" }
func (errNotOffered) NotOffered() bool { return true }

// offers is what this leadership has found that the cloud offers.
type offers struct {
	wake chan struct{} // there is news

	mu    sync.Mutex
	found license.NoteCloud // mu guards it
}

// begin forgets what an earlier leadership has found: a cloud changes.
func (o *offers) begin(way license.UsageWay) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.found = license.NoteCloud{Usage: way}
}

// heard notes how the cloud has answered to what is asked for of a capability: that it is
// not offered, or with anything else that is its own.
func (o *offers) heard(which func(*license.NoteCloud) *license.Offered, err error) {
	offered := license.OfferYes
	switch {
	case isNotOffered(err):
		offered = license.OfferNo
	case err != nil:
		return
	}
	o.mu.Lock()
	was := *which(&o.found)
	*which(&o.found) = offered
	o.mu.Unlock()
	if was != offered {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// The capabilities that are found out about.
func ofFeed(c *license.NoteCloud) *license.Offered  { return &c.Feed }
func ofHolds(c *license.NoteCloud) *license.Offered { return &c.Holds }
func ofMoves(c *license.NoteCloud) *license.Offered { return &c.Moves }
func ofBooks(c *license.NoteCloud) *license.Offered { return &c.Books }

// tellOffers tells the log what was found, while this node leads.
func (g *Gateway) tellOffers(ctx context.Context) {
	tick := time.NewTicker(offersAgain)
	defer tick.Stop()
	for {
		g.offers.mu.Lock()
		found := g.offers.found
		g.offers.mu.Unlock()
		if found.News(g.head().Cloud) {
			_, _ = g.log.Propose(ctx, found) // what was not done is news again
		}
		select {
		case <-g.offers.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
