package endpoint

import (
	"context"

	"sitegate/license"
)

// placeOf is the network that a key is noted to be in, which a request has come from; empty:
// it is not known.
func placeOf(remote string) string {
	a, ok := remoteOf(remote)
	if !ok {
		return ""
	}
	_, network := networksOf(a)
	return network.String()
}

// keySeen has the site know where a key was shown, if that is elsewhere than before. Nobody
// who shows one waits for a majority.
func (e *Endpoint) keySeen(s *license.State, c *Caller, place string) {
	if !c.byKey() || place == "" {
		return
	}
	see := license.SeeKey{User: c.User, Machine: c.Machine, Proof: c.Proof, Place: place}
	if !license.KeyElsewhere(s, see, e.gw.Now()) {
		return
	}
	select {
	case e.seen <- see:
	default: // it will be shown again
	}
}

// notePlaces tells the log where keys were shown, until ctx ends.
func (e *Endpoint) notePlaces(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case see := <-e.seen:
			elsewhere, now := false, e.gw.Now()
			e.gw.View(func(s *license.State) { elsewhere = license.KeyElsewhere(s, see, now) })
			if !elsewhere {
				continue // noted meanwhile
			}
			one, cancel := context.WithTimeout(ctx, useTime)
			if _, err := e.gw.SeeKey(one, see); err != nil && ctx.Err() == nil {
				e.log.Debug("where a key was shown was not noted", "user", string(see.User), "err", err)
			}
			cancel()
		}
	}
}
