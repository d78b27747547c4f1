package endpoint

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sitegate/license"
)

// denials gathers who was not let in, for the audit trail: a record for each network and
// reason every few minutes, however many there were. Under a flood from everywhere the
// busiest networks have records of their own, and one counts all others.
type denials struct {
	mu      sync.Mutex
	counts  map[turnedAway]uint64
	beyond  uint64        // of networks that had no room
	pending chan struct{} // holds one where there is something
}

type turnedAway struct{ what, why, from string }

// The bounds of what is gathered, and of what becomes records at once.
const (
	denialPeriod  = 5 * time.Minute
	denialSources = 4096
	denialRecords = 8
)

func newDenials() *denials {
	return &denials{counts: map[turnedAway]uint64{}, pending: make(chan struct{}, 1)}
}

// note counts one; remote is the address it came from. It never blocks.
func (d *denials) note(what, why, remote string) {
	key := turnedAway{what, why, network(remote)}
	d.mu.Lock()
	if _, there := d.counts[key]; there || len(d.counts) < denialSources {
		d.counts[key]++
	} else {
		d.beyond++
	}
	d.mu.Unlock()
	select {
	case d.pending <- struct{}{}:
	default:
	}
}

// network is that of an address, coarse enough not to be a person's; empty where it has
// none.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return ""
	}
	_, network := networksOf(addr)
	return network.String()
}

// take empties it: the records to be written, most first.
func (d *denials) take() []license.NoteAct {
	d.mu.Lock()
	counts, beyond := d.counts, d.beyond
	d.counts, d.beyond = map[turnedAway]uint64{}, 0
	d.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b turnedAway) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.what, b.what), cmp.Compare(a.why, b.why), cmp.Compare(a.from, b.from))
	})
	var acts []license.NoteAct
	for i, k := range keys {
		if i >= denialRecords {
			beyond += counts[k]
			continue
		}
		acts = append(acts, license.NoteAct{What: k.what, About: k.why, From: k.from, Count: counts[k]})
	}
	if beyond > 0 {
		acts = append(acts, license.NoteAct{What: "sign-in-denied", About: "from other networks", Count: beyond})
	}
	return acts
}

// run hands on what was gathered until ctx ends: the first at once, so that it is not
// lost with the node, and then what comes in each period.
func (d *denials) run(ctx context.Context, pass func(context.Context, []license.NoteAct)) {
	for {
		select {
		case <-d.pending:
		case <-ctx.Done():
			return
		}
		pass(ctx, d.take())
		timer := time.NewTimer(denialPeriod)
		select {
		case <-timer.C:
		case <-ctx.Done(): // what is gathered goes before the node does
			timer.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			pass(last, d.take())
			cancel()
			return
		}
	}
}

// noteDenied writes records; what cannot be written is at least in the node's log.
func (e *Endpoint) noteDenied(ctx context.Context, acts []license.NoteAct) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, a := range acts {
		if err := e.gw.NoteAct(ctx, a); err != nil {
			e.log.WarnContext(ctx, "sign-ins were denied, which the audit trail does not have", "reason", a.About, "network", a.From, "count", a.Count, "err", err)
		}
	}
}
