package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sitegate/license"
)

const (
	asideEvery    = time.Hour       // between tries of what was set aside
	asidePatience = 5 * time.Second // of who asks for one, with what may take minutes
)

// aside is how the usage that the cloud has refused for good is sent again, by an errand
// of its own: to find out which of many records a cloud still refuses takes many
// questions, which the site may have to space out, and delivery goes on meanwhile.
type aside struct {
	again
	by atomic.Pointer[string] // who asked last; nil: nobody since it was sent
}

func newAside() aside { return aside{again: newAgain()} }

// resendAsides sends what was set aside once more, every hour and when somebody asks,
// while this node leads.
func (g *Gateway) resendAsides(ctx context.Context) {
	var asking []chan error
	defer func() { answerAll(append(asking, g.aside.take()...), ErrNotLeader) }()
	for g.aside.pause(ctx, asideEvery) {
		asking = g.aside.take()
		by := ""
		if p := g.aside.by.Swap(nil); p != nil {
			by = *p
		}
		if len(asking) == 0 && !g.link.up() {
			continue
		}
		err := g.resendAside(ctx, by)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			g.logger.Warn("usage that was set aside could not be sent again", "err", err)
			if errors.Is(err, ErrCloud) {
				g.link.suspect()
			}
		}
		answerAll(asking, err)
		asking = nil
	}
}

// resendAside sends what was set aside once more, and notes by and by what the cloud
// takes now. by is who wants it so; empty: nobody but this node.
func (g *Gateway) resendAside(ctx context.Context, by string) error {
	var all []license.SetAside
	g.log.View(func(s *license.State) { all = license.AllSetAside(s) })
	var usage []license.Usage
	for _, x := range all {
		usage = append(usage, x.Usage)
	}
	for len(usage) > 0 {
		d, err := g.send(ctx, g.head(), usage)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCloud, err)
		}
		var taken []string
		refused := map[string]bool{}
		for _, x := range d.SetAside {
			refused[x.Usage.Record] = true
		}
		for _, u := range usage[:d.Done] {
			if !refused[u.Record] {
				taken = append(taken, u.Record)
			}
		}
		usage = usage[d.Done:]
		if len(taken) == 0 {
			continue
		}
		if _, err = g.log.Propose(ctx, license.SettleUsage{Records: taken, By: by}); err != nil {
			return err
		}
	}
	return nil
}

// ResendUsage sends once more, by an administrator, what the cloud has refused for
// good. Where that takes long it goes on after the answer, which says so (Pending).
// ErrCloud: it could not be reached.
func (g *Gateway) ResendUsage(ctx context.Context, by string) (Answer, error) {
	return g.ask(ctx, request{ResendUsage: &resendUsage{By: by}})
}

// resendUsage is a request to send what was set aside.
type resendUsage struct {
	By string `json:"by"`
}

func (g *Gateway) resendNow(ctx context.Context, r resendUsage) (pending bool, err error) {
	if g.cloud == nil || !g.link.sure(ctx) {
		return false, ErrCloud
	}
	g.aside.by.Store(&r.By)
	patience := time.NewTimer(asidePatience)
	defer patience.Stop()
	select {
	case err := <-g.aside.ask():
		return false, err
	case <-patience.C:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
