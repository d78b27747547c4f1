package endpoint

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/gateway"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// What clients post of their use is relayed as it came. Where the vendor takes it, or the
// site has taken it over, it is the heartbeat of the sessions that it is of.

// postingRoutes are those of use that is posted as it happens.
func (rl *relay) postingRoutes() []*relayed {
	posting := rl.services[1]
	route := func(below string, list bool) *relayed {
		return &relayed{method: "POST", path: posting.path + below, to: posting.to.JoinPath(below), signedIn: true, media: mediaJSON, most: cloudapi.MaxPosting,
			ask: func(x *exchange) (bool, error) { return false, x.readRuns(list) }, judge: rl.judgePosting,
			instead: func(x *exchange, why error) bool { return rl.takeOver(x, list, why) },
			silence: &silence{}, spare: func(*exchange) bool { l := rl.link(); return !l.Up && l.Since != 0 }}
	}
	return []*relayed{route("", false), route(cloudapi.PostingFeatureLog, true)}
}

func (x *exchange) readRuns(list bool) (err error) {
	if x.runs, err = cloudapi.ReadRuns(x.body, list); err != nil {
		return malformed(err.Error())
	}
	return nil
}

// judgePosting passes the vendor's answer on. One that says nothing of the posting is as
// no answer at all.
func (rl *relay) judgePosting(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode >= 500 {
		return nil, &relayError{code: relayBadAnswer, detail: resp.Status, status: resp.StatusCode}
	}
	var a cloudapi.VendorAnswer
	if resp.StatusCode/100 == 2 && json.Unmarshal(body, &a) == nil && strings.EqualFold(a.Status, cloudapi.VendorSuccess) {
		if x.desk.proof != nil && x.desk.user != "" {
			now := time.Now()
			rl.proofs.keep(*x.desk.proof, x.desk.user, now, now.Add(proofLife))
		}
		rl.heard(x.ctx, x)
	}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		rl.notTaken(x)
	}
	return body, nil
}

// How much of a user's is taken over: more than any client posts, and too little for one to
// fill the site's room.
const (
	takenOverPerSecond = 0.1
	takenOverBurst     = 120
)

// takeOver keeps a posting that the vendor did not hear of, while the site's link is down, and
// answers as the vendor does; false: its client is to keep it. Only a posting of a user that is
// known is kept, since it costs room.
func (rl *relay) takeOver(x *exchange, list bool, why error) bool {
	if x.desk.user == "" || len(x.body) > license.MaxPosted || len(x.runs) == 0 || answered(why) || rl.unasked(x, why) || !x.ownRuns() {
		return false
	}
	if _, ok := rl.takenOver.take(x.desk.user); !ok {
		return false
	}
	// What the vendor's silence has taken of the time does not count.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), gateway.Patience)
	defer cancel()
	c := license.KeepPosting{User: x.desk.user, Body: x.body, Listed: list}
	m, product, ok := ofRun(x.runs[0])
	id, err := license.ParseID(newID())
	if !ok || err != nil {
		return false
	}
	c.ID, c.Machine, c.Product = id, m, product
	a, err := rl.e.gw.KeepPosting(ctx, c)
	if err != nil || a.Outcome.Denial != nil {
		return false
	}
	x.w.more = append(x.w.more, slog.String("taken_over", why.Error()))
	rl.heard(ctx, x)
	body, err := json.Marshal(cloudapi.VendorAnswer{Status: cloudapi.VendorSuccess, Time: time.Now().UTC().Format("2006-01-02T15:04:05Z"), RequestID: x.id})
	if err != nil {
		return false
	}
	h := x.w.Header()
	h.Set("Content-Type", mediaJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusOK)
	x.w.Write(body)
	return true
}

// ownRuns reports whether all that is posted is of whose token it came with, or says nothing of
// whom it is of. The vendor would judge that; taken over, it goes with the site's own token.
func (x *exchange) ownRuns() bool {
	return !slices.ContainsFunc(x.runs, func(r cloudapi.Run) bool { return r.IMSID != "" && !strings.EqualFold(r.IMSID, string(x.desk.user)) })
}

// ofRun is the machine and the product that a run is of; false: it names none.
func ofRun(r cloudapi.Run) (license.Machine, license.ProductID, bool) {
	m := license.Machine{Name: strings.TrimSpace(r.Host)}
	product := license.ProductID(r.ProductID)
	return m, product, m.Is(m) && plain(m.Name) && product != "" && plain(string(product))
}

// maxHeard is how many sessions one posting renews.
const maxHeard = 16

// heard counts a posting as the heartbeat of its sessions, or as their end: of those of the
// user whose token it came with, on the machine that its run is of. What fails is in the log;
// the next posting comes soon.
//
// A SAML token may have been proven at another node, or before this one was started. What the
// vendor takes with one is about who it says it is about, as far as it renews, and comes from
// the address that the session was granted to: that keeps it where it is. Nothing ends by it.
func (rl *relay) heard(ctx context.Context, x *exchange) {
	done := map[string]bool{}
	for _, r := range x.runs {
		key := string(r.ProductID) + "\n" + r.Host + "\n" + r.CorrelationID + "\n" + strconv.FormatBool(r.Ends())
		if r.Source != cloudapi.SourceRealtime || done[key] || len(done) >= maxHeard {
			continue
		}
		done[key] = true
		if err := rl.heardOf(ctx, x, r); err != nil {
			x.w.more = append(x.w.more, slog.Any("not_renewed", err))
			return
		}
	}
}

func (rl *relay) heardOf(ctx context.Context, x *exchange, r cloudapi.Run) error {
	m, product, ok := ofRun(r)
	if !ok || r.CorrelationID == "" || !plain(r.CorrelationID) {
		return nil
	}
	if x.desk.user == "" {
		if r.Ends() {
			return nil
		}
		return rl.renewFrom(ctx, addressOf(x), rl.mirrored(license.UserID(r.IMSID)), m, product)
	}
	c := license.Report{User: x.desk.user, Machine: m, Run: r.CorrelationID, Ends: r.Ends(), From: addressOf(x).String()}
	held, known, observe := false, false, false
	rl.e.gw.View(func(s *license.State) {
		p := s.Product(product)
		held = p != nil && p.Capped == license.CappedYes
		observe = held && license.ModeOf(s, rl.e.gw.Now(), product, addressOf(x)).Observe
		if y := license.RelayedSession(s, c.User, m, product); y != nil {
			held, c.Session, known = true, y.ID, y.KeptBy(r.CorrelationID)
		}
	})
	if observe && c.Session.IsZero() {
		id, _ := license.ParseID(newID()) // which is one
		rl.e.gw.NoteObserved(gateway.Observation{Start: license.Start{ID: id, User: c.User, Machine: m, Product: product}, Address: addressOf(x).String(), Run: c.Run, Ends: c.Ends})
		return nil
	}
	if !held {
		return nil
	}
	// This node may be a moment behind the leader, who knows of the session, or of the run,
	// what this one does not yet.
	if c.Ends || !known {
		a, err := rl.e.gw.Report(ctx, c, product)
		if err != nil || c.Ends || a.Outcome.Denial != nil || c.Session.IsZero() {
			return err
		}
	}
	_, err := rl.renew(ctx, c.Session, c.User, m)
	return err
}

// renewFrom renews the session of a user whom no token here is known to be of, if it was granted
// to the address that its use is told from: another's client cannot keep it.
func (rl *relay) renewFrom(ctx context.Context, from netip.Addr, user license.UserID, m license.Machine, product license.ProductID) error {
	var there license.ID
	rl.e.gw.View(func(s *license.State) {
		if y := license.RelayedSession(s, user, m, product); y != nil && y.From == from.String() {
			there = y.ID
		}
	})
	if there.IsZero() {
		return nil
	}
	_, err := rl.renew(ctx, there, user, m)
	return err
}
