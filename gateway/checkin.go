package gateway

import (
	"context"
	"slices"
	"time"

	"sitegate/license"
)

// HoldLister is a Cloud that can say what this site holds in its books. Where the
// cloud cannot, a checkout that was written off is free only when its machine
// returns it or at its end, and after a restore an administrator has to make sure.
type HoldLister interface {
	// HeldCheckouts lists the checkouts of this site that the cloud still has, by
	// the id they were asked for with.
	HeldCheckouts(ctx context.Context) ([]license.Checkout, error)
}

// checkedIn looks whether the cloud still has what was written off, and confirms
// the check-in of what it has not. It returns the list without those: to renew them
// would put them into the cloud's books again. For the same reason it has to be
// asked before each renewal, and what it could not be asked about is renewed.
func (h *holds) checkedIn(ctx context.Context, list []license.CloudHold) []license.CloudHold {
	lister, ok := h.g.cloud.(HoldLister)
	lost := func(x license.CloudHold) bool { return x.WrittenOff }
	if !ok || !slices.ContainsFunc(list, lost) {
		return list
	}
	ask, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	held, err := lister.HeldCheckouts(ask)
	h.g.offers.heard(ofBooks, err)
	if err != nil {
		if ctx.Err() == nil {
			h.g.logger.Warn("the cloud could not be asked for the check-in of what was written off", "err", err)
		}
		return list
	}
	gone := map[license.ID]bool{}
	for _, x := range list {
		if !lost(x) || slices.ContainsFunc(held, func(y license.Checkout) bool { return y.ID == x.Ref }) {
			continue
		}
		out, err := h.g.log.Propose(ctx, license.CheckInConfirmed{Checkout: x.Ref})
		if err != nil {
			return list // the next renewal asks again
		}
		if out.Denial == nil {
			gone[x.Ref] = true
			h.g.logger.Info("the cloud has checked in what was written off", "user", x.User, "machine", x.Machine.Name, "product", x.Product)
		}
	}
	return slices.DeleteFunc(list, func(x license.CloudHold) bool { return gone[x.Ref] })
}
