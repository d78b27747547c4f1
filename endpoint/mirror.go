package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// acceptShrink is POST /v1/mirror/accept on the operator's socket.
func (e *Endpoint) acceptShrink(c *call, in api.ReleaseRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	a, err := decided(e.gw.AcceptShrink(c.ctx, license.AcceptShrink{By: in.By, Note: in.Note}))
	if err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "accept", "kind", "mirror", "by", in.By, "repeat", a.Outcome.Repeat)
	return reply{status: http.StatusOK, body: held(*a.Outcome.Held)}, nil
}

// held is a mirror that is held back; nil: it is not.
func held(h license.Held) *api.HeldMirror {
	if h.Since == 0 {
		return nil
	}
	sizes := func(n license.Sizes) api.MirrorSizes {
		return api.MirrorSizes{Users: n.Users, Licenses: n.Licenses, Assignments: n.Assignments}
	}
	return &api.HeldMirror{Since: h.Since.Std(), Losing: sizes(h.Losing), Of: sizes(h.Of), Until: h.Until.Std(), By: h.By, Note: h.Note}
}

// malformed is GET /v1/mirror/malformed on the operator's socket.
func (e *Endpoint) malformed(*call) (reply, error) {
	list := api.List[api.MalformedRecord]{Items: []api.MalformedRecord{}}
	e.gw.View(func(s *license.State) {
		for _, q := range s.Quarantined() {
			list.Items = append(list.Items, api.MalformedRecord{Kind: recordKind(q.Kind), ID: q.ID, Why: q.Why, Since: q.Since.Std()})
		}
	})
	return reply{status: http.StatusOK, body: list}, nil
}

// recordKind is the API's word for a table of the mirror.
func recordKind(k license.KeyKind) string {
	switch k {
	case license.KeyUser:
		return "user"
	case license.KeyProduct:
		return "product"
	case license.KeyLicense:
		return "license"
	}
	return "account"
}

// cloudOffers is what the cloud offers.
func cloudOffers(c license.Capabilities) api.CloudOffers {
	offer := func(x license.Capability) *api.Offer {
		if x.Offered == license.OfferUnknown {
			return nil
		}
		return &api.Offer{Offered: x.Offered == license.OfferYes, Since: x.Since.Std()}
	}
	out := api.CloudOffers{Feed: offer(c.Feed), Holds: offer(c.Holds), Moves: offer(c.Moves), Books: offer(c.Books)}
	if c.UsageHow != 0 {
		out.UsageWay, out.UsageSince = c.Usage.String(), c.UsageHow.Std()
	}
	return out
}

// link is the state of the link to the cloud.
func link(l license.LinkState) api.LinkState {
	return api.LinkState{Up: l.Up, State: l.Condition(), Since: l.Since.Std(), Contact: l.Contact.Std()}
}
