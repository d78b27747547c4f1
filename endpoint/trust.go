package endpoint

import (
	"encoding/base64"
	"net/http"
	"slices"

	"sitegate/api"
	"sitegate/license"
)

// thumb is how a thumbprint or the digest of a set is written (RFC 7638).
func thumb(d license.Digest) string { return base64.RawURLEncoding.EncodeToString(d[:]) }

func thumbs(list []license.Digest) []string {
	out := make([]string, len(list))
	for i, d := range list {
		out[i] = thumb(d)
	}
	return out
}

// parseThumb reads what thumb writes.
func parseThumb(text string) (d license.Digest, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(d) {
		return d, false
	}
	copy(d[:], b)
	return d, true
}

// trusted is how the nodes see the keys of issuers, in the order of issuers.
func trusted(s *license.State) []api.TrustedIssuer {
	list := []api.TrustedIssuer{}
	for _, v := range s.Head().KeyViews {
		if len(list) == 0 || list[len(list)-1].Issuer != v.Issuer {
			list = append(list, api.TrustedIssuer{Issuer: v.Issuer, Keys: thumbs(license.KnownKeys(s, v.Issuer)), Nodes: []string{}})
		}
		t := &list[len(list)-1]
		if len(v.Taken) > 0 {
			t.Nodes = append(t.Nodes, v.Node)
		}
		if len(v.Held) == 0 {
			continue
		}
		set := thumb(license.SetDigest(v.Held))
		i := slices.IndexFunc(t.Held, func(h api.HeldKeys) bool { return h.Set == set })
		if i < 0 {
			i = len(t.Held)
			accepted := slices.ContainsFunc(s.Head().KeysAccepted, func(a license.AcceptedKeys) bool { return a.Issuer == v.Issuer && slices.Equal(a.Keys, v.Held) })
			t.Held = append(t.Held, api.HeldKeys{Set: set, Keys: thumbs(v.Held), Since: v.Since.Std(), Accepted: accepted})
		}
		t.Held[i].Nodes = append(t.Held[i].Nodes, v.Node)
	}
	return list
}

// trust is GET /v1/trust.
func (e *Endpoint) trust(*call) (reply, error) {
	var out api.List[api.TrustedIssuer]
	e.gw.View(func(s *license.State) { out.Items = trusted(s) })
	return reply{status: http.StatusOK, body: out}, nil
}

// acceptKeys is POST /v1/trust/accept.
func (e *Endpoint) acceptKeys(c *call, in api.AcceptKeysRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	set, ok := parseThumb(in.Set)
	if !ok || in.Issuer == "" || !plain(in.Issuer) {
		return reply{}, malformed("issuer or set is missing, or not as GET " + api.PathTrust + " shows it")
	}
	a, err := decided(e.gw.AcceptKeys(c.ctx, license.AcceptKeys{Issuer: in.Issuer, Set: set, By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "accept", "kind", "issuer keys", "issuer", in.Issuer, "set", in.Set, "by", in.By, "repeat", a.Outcome.Repeat)
	return e.trust(c)
}
