package endpoint

import (
	"context"
	"crypto"
	"maps"
	"slices"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/gateway"
	"sitegate/license"
)

// An issuer's keys come and go one by one. A reading that shares no key with what is known is
// not believed: somebody may stand in the issuer's place. Known is what this node goes by,
// what the site's other nodes do, and what an administrator has accepted; where nothing is
// known, the first reading is believed. What is known does not become unknown with time.

// trustEvery is how often a node that holds keys back looks whether they are known by now.
const trustEvery = 2 * time.Second

// thumbprints are those of keys, in order (RFC 7638).
func thumbprints(keys map[string]jose.JSONWebKey) []license.Digest {
	var list []license.Digest
	for _, k := range keys {
		if b, err := k.Thumbprint(crypto.SHA256); err == nil {
			list = append(list, license.Digest(b))
		}
	}
	return license.SortKeys(list)
}

// share reports whether two lists have a key in common.
func share(a, b []license.Digest) bool {
	return slices.ContainsFunc(a, func(d license.Digest) bool { return slices.Contains(b, d) })
}

// siteKnows are the keys that the site knows by the log.
func (is *issuer) siteKnows() (known []license.Digest) {
	if is.view != nil {
		is.view(func(s *license.State) { known = license.KnownKeys(s, is.cfg.URL) })
	}
	return known
}

// believes reports whether keys may be taken, by what the site knows, and whether they share
// one with this node's own. is.mu is held.
func (is *issuer) believes(keys map[string]jose.JSONWebKey, site []license.Digest) (believed, overlaps bool) {
	now, own := thumbprints(keys), thumbprints(is.keys)
	overlaps = share(now, own)
	return overlaps || share(now, site) || len(own)+len(site) == 0, overlaps
}

// hold keeps in mind what is not believed, and says so once. is.mu is held.
func (is *issuer) hold(keys map[string]jose.JSONWebKey, believed bool) {
	gauge := is.metrics.keysHeld.WithLabelValues(is.cfg.URL)
	if believed {
		if is.held != nil {
			is.log.Info("the issuer lists keys that the site knows: they are taken")
		}
		is.held = nil
		gauge.Set(0)
		return
	}
	gauge.Set(1)
	if now := thumbprints(keys); !slices.Equal(now, thumbprints(is.held)) {
		is.log.Error("the issuer lists other keys only than the site knows: they are not believed, and the keys of before hold for a week after they were last read; see sitegate trust show",
			"set", thumb(license.SetDigest(now)), "keys", thumbs(now), "before", thumbs(thumbprints(is.keys)))
	}
	is.held = keys
}

// awaitSite waits until this node knows what its site does, if it has no keys of its own: a
// node that has just joined, or plays its log again, knows from the others what to believe, and
// what it has applied first says nothing of that. False: ctx has ended.
func (is *issuer) awaitSite(ctx context.Context) bool {
	for ctx.Err() == nil {
		is.mu.Lock()
		known := is.catchUp == nil || len(is.keys) > 0
		is.mu.Unlock()
		if known || is.catchUp(ctx) == nil {
			return true
		}
		timer := time.NewTimer(trustEvery / 2)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return false
}

// rest waits for the next reading, and not longer than until keys that are held back are
// known, if the last one was good: an issuer that does not answer is not asked more often for
// that. False: ctx has ended.
func (is *issuer) rest(ctx context.Context, pause time.Duration, good bool) bool {
	timer, look := time.NewTimer(pause), time.NewTicker(trustEvery)
	defer timer.Stop()
	defer look.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-is.ring:
			return true
		case <-ctx.Done():
			return false
		case <-look.C:
			is.mu.Lock()
			held := is.held
			is.mu.Unlock()
			if good && held != nil && share(thumbprints(held), is.siteKnows()) {
				return true
			}
		}
	}
}

// IssuerKeys are the keys of the issuers of users' and administrators' sign-ins, as this
// node sees them. Of an issuer of both it is what either has.
func (e *Endpoint) IssuerKeys() []gateway.IssuerKeys {
	list := []gateway.IssuerKeys{}
	for _, a := range []*auth{e.auth, e.admins} {
		if a == nil {
			continue
		}
		for _, url := range slices.Sorted(maps.Keys(a.issuers)) {
			is := a.issuers[url]
			is.mu.Lock()
			k := gateway.IssuerKeys{Issuer: url, Taken: thumbprints(is.keys), Held: thumbprints(is.held)}
			is.mu.Unlock()
			i := slices.IndexFunc(list, func(other gateway.IssuerKeys) bool { return other.Issuer == url })
			if i < 0 {
				list = append(list, k)
				continue
			}
			list[i].Taken = license.SortKeys(append(list[i].Taken, k.Taken...))
			if len(list[i].Held) == 0 {
				list[i].Held = k.Held
			}
		}
	}
	return list
}
