package gateway

import (
	"context"
	"sync"
	"time"

	"sitegate/license"
)

// settings are what this node's config file proposes for the site.
type settings struct {
	mu      sync.Mutex
	now     license.Settings
	changed chan struct{} // has one in it when now is another than was looked at
}

func newSettings(begun license.Settings) *settings {
	return &settings{now: begun, changed: make(chan struct{}, 1)}
}

func (s *settings) get() license.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// SetModes takes how relayed traffic is enforced from the config file anew. While this node
// leads, the site goes by it at once; else when it leads.
func (g *Gateway) SetModes(modes []license.Mode) {
	s := g.settings
	s.mu.Lock()
	s.now.Modes = modes
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // it is to be looked at anyway
	}
}

// configure proposes this node's settings where the site runs on others, at the beginning of a
// leadership and when they have changed.
func (g *Gateway) configure(ctx context.Context) {
	for {
		if err := g.proposeSettings(ctx); err != nil {
			if !pause(ctx, time.Second) {
				return
			}
			continue
		}
		select {
		case <-g.settings.changed:
		case <-ctx.Done():
			return
		}
	}
}

// proposeSettings fails where that is to be tried again.
func (g *Gateway) proposeSettings(ctx context.Context) error {
	wanted, same := g.settings.get(), false
	g.log.View(func(s *license.State) { same = license.SettingsEqual(s.Head().Settings, wanted) })
	if same {
		return nil
	}
	out, err := g.log.Propose(ctx, license.Configure{Settings: wanted})
	switch {
	case err != nil:
		return err
	case out.Denial != nil:
		g.logger.Error("the site's rules refuse this node's settings; check the rules section of its config", "reason", out.Denial.Reason)
	default:
		g.logger.Info("the site's settings follow this node's config")
	}
	return nil
}
