package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sitegate/license"
)

const (
	asideEvery = time.Hour // between tries of what was set aside
	// asideSoon is when who leads tries first: the last leader may have told somebody that
	// it goes on, and not have come to its end.
	asideSoon     = 30 * time.Second
	asidePatience = 5 * time.Second // of who asks for one, with what may take minutes
)

// aside is how the usage that the cloud has refused for good is sent again, by an errand
// of its own: to find out which of many records a cloud still refuses takes many
// questions, which the site may have to space out, and delivery goes on meanwhile.
type aside struct {
	again
	by string // who asked last of those who ask; guarded by again.mu
}

func newAside() aside { return aside{again: newAgain()} }

func (a *aside) ask(by string) <-chan error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.by = by
	return a.add()
}

// take returns those who ask, whom the round that begins now is to answer, and for whom
// it is.
func (a *aside) take() (asking []chan error, by string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	asking, by = a.asking, a.by
	a.asking, a.by = nil, ""
	return asking, by
}

// resendAsides sends what was set aside once more, soon after this node has taken
// the lead, every hour and when somebody asks, while it leads.
func (g *Gateway) resendAsides(ctx context.Context) {
	var asking []chan error
	defer func() {
		late, _ := g.aside.take()
		answerAll(append(asking, late...), ErrNotLeader)
	}()
	for wait := asideSoon; g.aside.pause(ctx, wait); {
		var by string
		if asking, by = g.aside.take(); len(asking) == 0 && !g.link.up() {
			continue
		}
		wait = asideEvery
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
	term, leading := g.log.Leading()
	lost := func() bool { now, leads := g.log.Leading(); return !leading || !leads || now != term }
	asked := g.aside.ask(r.By)
	if lost() {
		return false, ErrNotLeader // and its errand may be over already
	}
	patience := time.NewTimer(asidePatience)
	defer patience.Stop()
	select {
	case err := <-asked:
		return false, err
	case <-patience.C:
		if lost() {
			return false, ErrNotLeader
		}
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
