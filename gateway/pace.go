package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

const (
	feedPause  = time.Second            // between questions, where the cloud answers at once that there is nothing
	errorPause = 250 * time.Millisecond // before the second question to a cloud that does not answer
	errorMax   = 10 * time.Second       // before the next ones
	resetPause = time.Second            // before the second reading from the beginning in a row
	resetMax   = 5 * time.Minute        // before the next ones
	bringPause = time.Second            // before the second try of what the log does not take
	bringMax   = 30 * time.Second       // before the next ones
)

// pace is how soon the feed is read again. Of a feed that has news, at once; whatever
// goes wrong time and again, with the cloud or the log, is tried more and more seldom.
type pace struct {
	delay   time.Duration
	resets  int // in a row: the cloud did not know its own cursor again
	circles int // in a row: it went in circles, and never had nothing to say
	failed  int // in a row: pages that were not brought in
}

// wait waits; false: ctx has ended. Who asks is heard after a second at the latest,
// all who ask meanwhile together.
func (p *pace) wait(ctx context.Context, asking *again) bool {
	first := min(p.delay, feedPause)
	return pause(ctx, first) && (p.delay == first || asking.pause(ctx, p.delay-first))
}

// unheard: the cloud did not answer.
func (p *pace) unheard() { p.delay = min(max(2*p.delay, errorPause), errorMax) }

// lost: a page was not brought in, or that is not known.
func (p *pace) lost() {
	p.delay = min(bringPause<<min(p.failed, 10), bringMax)
	p.failed++
}

// circled: the feed goes in circles, and is to be read from the beginning.
func (p *pace) circled() {
	p.delay = min(resetPause<<min(p.circles, 10), resetMax)
	p.circles++
}

// heard: a page was read, which was asked for at a time, after the end of what there
// was (whole) or in between.
func (p *pace) heard(page license.Page, whole bool, asked time.Time) {
	switch {
	case page.Reset:
		p.resets++
	case whole:
		p.resets = 0
	}
	p.delay = 0
	if len(page.Changes) == 0 && whole {
		p.circles = 0
	}
	switch {
	case p.resets > 1:
		p.delay = min(resetPause<<min(p.resets-2, 10), resetMax)
	case len(page.Changes) == 0:
		p.delay = max(0, feedPause-time.Since(asked))
	}
}
