package gateway

import (
	"context"
	"fmt"
	"time"

	"sitegate/license"
)

const (
	outboxEvery = 500 * time.Millisecond
	outboxMax   = 30 * time.Second // between tries of what is not taken
	outboxRead  = 1000             // events looked through at a time
	outboxNote  = 10_000           // events without usage after which the log is told so
)

// outbox delivers usage in the order of the journal, while this node leads. What
// was delivered is noted in the log: a new leader goes on from there, and what
// it sends again the cloud knows by its record id.
func (g *Gateway) outbox(ctx context.Context) {
	var at uint64
	g.log.View(func(s *license.State) { at = s.Head().UsageSent })
	delay := outboxEvery
	var asking []chan error
	defer func() { answerAll(append(asking, g.resend.take()...), ErrNotLeader) }()
	for g.resend.pause(ctx, delay) {
		asking = g.resend.take()
		var until uint64 // what those who ask wait for
		if len(asking) > 0 {
			until = g.journalEnd()
		}
		begun, failed := time.Now(), ErrCloud
		for ctx.Err() == nil && g.link.up() {
			next, err := g.deliver(ctx, at)
			if err != nil {
				if ctx.Err() == nil {
					g.logger.Warn("usage could not be delivered; it is kept", "after", at, "err", err)
					g.link.suspect()
				}
				delay = min(2*delay, outboxMax)
				at = g.head().UsageSent // it may be there, and be known to be
				break
			}
			delay = outboxEvery
			if next == at && at < until && time.Since(begun) < journalLag {
				pause(ctx, 20*time.Millisecond) // the journal is a little behind
				continue
			}
			if next == at {
				if failed = nil; at < until {
					failed = ErrUnknown
				}
				break
			}
			at = next
		}
		answerAll(asking, failed)
		asking = nil
	}
}

// deliver sends the usage among the next events and returns the seq it has dealt
// with.
func (g *Gateway) deliver(ctx context.Context, after uint64) (uint64, error) {
	head := g.head()
	events, err := g.log.Journal(ctx, after, outboxRead)
	if err != nil || len(events) == 0 {
		return after, err
	}
	var usage []license.Usage
	for _, e := range events {
		if u, ok := license.UsageOf(e); ok {
			usage = append(usage, u)
		}
	}
	through := events[len(events)-1].Seq
	if len(usage) == 0 && through-head.UsageSent < outboxNote {
		return through, nil
	}
	sent := license.UsageSent{Through: through, After: head.UsageSent}
	if len(usage) > 0 {
		d, err := g.send(ctx, head, usage)
		if err != nil {
			return after, err
		}
		if d.Done < len(usage) { // the others next time
			sent.Through = usage[d.Done-1].Seq
		}
		sent.SetAside, sent.Records, sent.Way = d.SetAside, uint64(d.Done-len(d.SetAside)), d.Way
	}
	out, err := g.log.Propose(ctx, sent)
	switch {
	case err != nil:
		return after, err
	case out.Denial != nil && len(sent.SetAside) > 0 && g.setAside()+len(sent.SetAside) > license.MaxSetAside:
		return after, fmt.Errorf("the cloud has refused more than %d usage records for good, so that they are hardly to blame: %s", license.MaxSetAside, sent.SetAside[0].Why)
	case out.Denial != nil: // an earlier leader's was in time after all
		return after, fmt.Errorf("noting that usage was delivered: refused, %s", out.Denial.Reason)
	}
	if n := len(sent.SetAside); n > 0 {
		g.logger.Error("the cloud refuses usage records for good; they are set aside: sitegate usage refused lists them", "records", n, "why", sent.SetAside[0].Why)
	}
	return sent.Through, nil
}

// send has the cloud deal with usage, and with some of it at least.
func (g *Gateway) send(ctx context.Context, head license.Head, usage []license.Usage) (license.Delivery, error) {
	key := fmt.Sprintf("%s-%d-%d-%d", head.Cluster, head.Epoch, usage[0].Seq, usage[len(usage)-1].Seq)
	d, err := g.cloud.SendUsage(ctx, key, usage)
	if err != nil {
		return d, err
	}
	if d.Done < 1 || d.Done > len(usage) || len(d.SetAside) > d.Done {
		return d, fmt.Errorf("of %d usage records the cloud says to have dealt with %d, and to refuse %d", len(usage), d.Done, len(d.SetAside))
	}
	g.link.heard()
	return d, nil
}

func (g *Gateway) setAside() (n int) {
	g.log.View(func(s *license.State) { n = len(license.AllSetAside(s)) })
	return n
}
