package emulator

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
)

// holds is who is active where, on all sites.
type holds struct {
	byID   map[holdID]*hold
	byUser map[string]map[holdID]*hold
	fences map[string]cloudapi.Fence // newest one that each site has shown
}

// holdID names a hold. Several sessions of one machine share a key, each with its own reference.
type holdID struct{ site, key, machine, ref string }

func idOf(site string, h cloudapi.Hold) holdID {
	return holdID{site, h.Key, machineOf(h.MachineID, h.MachineName), h.Ref}
}

type hold struct {
	cloudapi.HoldState
	site  string         // empty: elsewhere, on a machine of no site
	asked cloudapi.Fence // when its site last asked for it or renewed it
	// under is the Virtuoso license it counts under; empty: none, and it excludes nothing.
	under string
}

// live says whether h still counts at now: a session while its lease is renewed, a checkout to its end.
func (h *hold) live(now time.Time) bool {
	if h.Kind == cloudapi.HoldCheckout {
		return h.Until == nil || now.Before(*h.Until)
	}
	return h.site == "" || now.Before(h.LeaseUntil)
}

// sameMachine compares ids, and names (without case and domain) only where one side has no id.
func sameMachine(a, b cloudapi.Hold) bool {
	if a.MachineID != "" && b.MachineID != "" {
		return a.MachineID == b.MachineID
	}
	return shortName(a.MachineName) == shortName(b.MachineName)
}

// shortName is a machine's name without case and domain, in either notation. An address is its own name.
func shortName(name string) string {
	name = name[strings.LastIndexAny(name, `\/`)+1:]
	if _, err := netip.ParseAddr(name); err != nil {
		if dot := strings.IndexByte(name, '.'); dot > 0 {
			name = name[:dot]
		}
	}
	return strings.ToLower(name)
}

// machineOf names a machine in a holdID: by its id, or else by its name; empty: it has neither.
func machineOf(id, name string) string {
	if name = shortName(name); id == "" && name != "" {
		return "name " + name
	}
	return id
}

// excludes is the single-machine rule: sessions of capped products exclude each other for a user, a checkout excludes both
// for its license. The caller has made sure that user and products are such, and that the machines differ.
func excludes(a, b cloudapi.HoldKind, sameLicense bool) bool {
	return sameLicense || a == cloudapi.HoldSession && b == cloudapi.HoldSession
}

// capped says whether the product is under the rule; what the cloud does not know is. The caller holds the lock.
func (e *Emulator) capped(product string) bool {
	return e.products[product].Capped != cloudapi.CappedNo
}

// rival finds the live hold of another machine that excludes h, the oldest of several. The caller holds the lock.
func (e *Emulator) rival(h cloudapi.Hold, now time.Time) *hold {
	under := e.underVirtuoso(h, now)
	if h.ProductID != "" && (under == "" || !e.capped(h.ProductID)) { // without a product it is elsewhere
		return nil
	}
	var first *hold
	for _, o := range e.holds.byUser[h.UserID] {
		if o.live(now) && !sameMachine(o.Hold, h) && (o.site == "" || e.capped(o.ProductID) && o.under != "") && excludes(o.Kind, h.Kind, o.under == under) &&
			(first == nil || o.Since.Before(first.Since)) {
			first = o
		}
	}
	return first
}

// sound says what is wrong with the request itself; empty: nothing.
func sound(h cloudapi.Hold) string {
	for _, s := range []string{h.UserID, h.LicenseID, h.ProductID, h.Ref} {
		if s == "" || len(s) > cloudapi.MaxID {
			return fmt.Sprintf("user, license, product and ref are 1 to %d bytes each", cloudapi.MaxID)
		}
	}
	switch {
	case h.Key == "" || len(h.Key) > cloudapi.MaxKey:
		return fmt.Sprintf("key is 1 to %d bytes", cloudapi.MaxKey)
	case machineOf(h.MachineID, h.MachineName) == "" || len(h.MachineID) > cloudapi.MaxID || len(h.MachineName) > cloudapi.MaxName:
		return fmt.Sprintf("a machine has an id of at most %d bytes or a name of at most %d", cloudapi.MaxID, cloudapi.MaxName)
	case h.Kind != cloudapi.HoldSession && h.Kind != cloudapi.HoldCheckout:
		return fmt.Sprintf("kind is %q or %q", cloudapi.HoldSession, cloudapi.HoldCheckout)
	case len(h.Feature) > cloudapi.MaxName || h.Feature != "" && h.Kind != cloudapi.HoldSession:
		return fmt.Sprintf("only a session has a feature level, of at most %d bytes", cloudapi.MaxName)
	case h.WrittenOff && h.Kind != cloudapi.HoldCheckout:
		return "only a checkout is written off"
	case (h.Kind == cloudapi.HoldCheckout) != (h.Until != nil):
		return "a checkout, and only a checkout, says until when"
	}
	return ""
}

// fenced takes a site's fence; false: a newer one was seen, and it has answered. The caller holds the lock.
func (e *Emulator) fenced(w http.ResponseWriter, site string, f cloudapi.Fence) bool {
	seen := e.holds.fences[site]
	if f.Older(seen) {
		refuse(w, http.StatusConflict, cloudapi.ReasonStaleFence,
			fmt.Sprintf("epoch %d term %d was overtaken by epoch %d term %d", f.Epoch, f.Term, seen.Epoch, seen.Term))
		return false
	}
	put(&e.holds.fences, site, f)
	return true
}

// keep writes a hold down, or renews it. The caller holds the lock.
func (e *Emulator) keep(site string, h cloudapi.Hold, asked cloudapi.Fence, now time.Time) {
	t := &e.holds
	if t.byID == nil {
		t.byID, t.byUser = map[holdID]*hold{}, map[string]map[holdID]*hold{}
	}
	since := now
	if id, old := e.find(site, h); old != nil {
		if old.live(now) {
			since = old.Since
		}
		e.forget(id)
	}
	kept := &hold{cloudapi.HoldState{Hold: h, Since: since, LeaseUntil: now.Add(e.lease())}, site, asked, e.underVirtuoso(h, now)}
	id := idOf(site, h)
	t.byID[id] = kept
	if t.byUser[h.UserID] == nil {
		t.byUser[h.UserID] = map[holdID]*hold{}
	}
	t.byUser[h.UserID][id] = kept
}

// find is what a site holds with the key and reference of h on its machine, which may have given its id at one time and only its name at another. The
// caller holds the lock.
func (e *Emulator) find(site string, h cloudapi.Hold) (holdID, *hold) {
	for id, o := range e.holds.byUser[h.UserID] {
		if id.site == site && id.key == h.Key && id.ref == h.Ref && sameMachine(o.Hold, h) {
			return id, o
		}
	}
	return holdID{}, nil
}

// forget drops a hold, if it is there. The caller holds the lock.
func (e *Emulator) forget(id holdID) {
	if h := e.holds.byID[id]; h != nil {
		delete(e.holds.byID, id)
		delete(e.holds.byUser[h.UserID], id)
		if len(e.holds.byUser[h.UserID]) == 0 {
			delete(e.holds.byUser, h.UserID)
		}
	}
}

func (e *Emulator) lease() time.Duration { return cmp.Or(e.Lease, DefaultLease) }

// refusal is why a hold is not given; nil: it is. The caller holds the lock.
func (e *Emulator) refusal(h cloudapi.Hold, now time.Time) *cloudapi.Problem {
	if no := e.right(h, now); no != nil {
		return no
	}
	switch {
	case h.Kind == cloudapi.HoldCheckout:
		if no := e.mayCheckOut(h, now); no != nil {
			return no
		}
	case h.Feature == "" && e.products[h.ProductID].NeedsFeature:
		return &cloudapi.Problem{Reason: cloudapi.ReasonFeatureLevel, Detail: "the product comes in feature levels, and none was chosen", LicenseID: h.LicenseID}
	}
	if o := e.rival(h, now); o != nil {
		return &cloudapi.Problem{Reason: cloudapi.ReasonMachineActive, Detail: "another machine of this user is active",
			MachineName: o.MachineName, Since: &o.Since, LicenseID: o.LicenseID, Kind: o.Kind}
	}
	return nil
}

// putHold answers PUT PathHolds.
func (e *Emulator) putHold(w http.ResponseWriter, r *http.Request, site string) {
	var req cloudapi.HoldRequest
	if !read(w, r, &req) {
		return
	}
	if wrong := sound(req.Hold); wrong != "" {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, wrong)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.fenced(w, site, req.Fence) {
		return
	}
	now := e.now()
	if no := e.refusal(req.Hold, now); no != nil {
		answer(w, http.StatusConflict, *no)
		return
	}
	e.keep(site, req.Hold, req.Fence, now)
	answer(w, http.StatusOK, cloudapi.HoldGrant{LeaseMS: cloudapi.MillisOf(e.lease())})
}

// renewHolds answers POST PathHoldsRenew. What is already held and live is renewed; the rest has to pass as a new hold does.
func (e *Emulator) renewHolds(w http.ResponseWriter, r *http.Request, site string) {
	var req cloudapi.RenewRequest
	if !read(w, r, &req) {
		return
	}
	if len(req.Holds) > cloudapi.MaxHolds {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("a site has at most %d holds", cloudapi.MaxHolds))
		return
	}
	for _, h := range req.Holds {
		if wrong := sound(h); wrong != "" {
			refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, wrong)
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.fenced(w, site, req.Fence) {
		return
	}
	now := e.now()
	listed := map[holdID]bool{}
	for _, h := range req.Holds {
		if id, old := e.find(site, h); old != nil {
			listed[id] = true
		}
	}
	for id, h := range e.holds.byID {
		if id.site == site && !listed[id] && h.asked.Before(req.Fence) {
			e.forget(id)
		}
	}
	got := cloudapi.RenewAnswer{LeaseMS: cloudapi.MillisOf(e.lease()), Conflicts: []cloudapi.Conflict{}}
	for _, h := range req.Holds {
		id, old := e.find(site, h)
		kept := old != nil && old.live(now)
		no := e.right(h, now)
		switch {
		case h.WrittenOff && !kept:
			no = &cloudapi.Problem{Reason: cloudapi.ReasonCheckedIn}
		case no == nil && !kept: // what was agreed to stays so, though the terms were shortened or another could not have it now
			no = e.refusal(h, now)
		}
		if no == nil || kept && h.Kind == cloudapi.HoldCheckout { // which cannot be recalled
			e.keep(site, h, req.Fence, now)
		} else {
			e.forget(id)
		}
		if no != nil {
			conflict := cloudapi.Conflict{Key: h.Key, MachineID: h.MachineID, Ref: h.Ref, Reason: no.Reason}
			if no.Reason == cloudapi.ReasonMachineActive {
				conflict.MachineName, conflict.Since = no.MachineName, no.Since
			}
			got.Conflicts = append(got.Conflicts, conflict)
		}
	}
	answer(w, http.StatusOK, got)
}

// releaseHold answers POST PathHoldsRelease.
func (e *Emulator) releaseHold(w http.ResponseWriter, r *http.Request, site string) {
	var req cloudapi.ReleaseRequest
	if !read(w, r, &req) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.fenced(w, site, req.Fence) {
		return
	}
	given := cloudapi.Hold{Key: req.Key, MachineID: req.MachineID, MachineName: req.MachineName, Ref: req.Ref}
	if id := idOf(site, given); e.holds.byID[id] != nil {
		e.forget(id)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	for id, h := range e.holds.byID {
		if id.site == site && id.key == req.Key && id.ref == req.Ref && sameMachine(h.Hold, given) {
			e.forget(id)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// CheckIn ends a checkout in the cloud's books by its reference, as the vendor's service does for a machine that is lost; false: there is
// none.
func (e *Emulator) CheckIn(ref string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, h := range e.holds.byID {
		if id.ref == ref && h.Kind == cloudapi.HoldCheckout && h.live(e.now()) {
			e.forget(id)
			return true
		}
	}
	return false
}

// listHolds answers GET PathHolds.
func (e *Emulator) listHolds(w http.ResponseWriter, _ *http.Request, site string) {
	answer(w, http.StatusOK, cloudapi.HoldList{Holds: e.Holds(site)})
}

// Holds is what a site holds now, ordered by key, machine and reference; for the empty site, what is held elsewhere.
func (e *Emulator) Holds(site string) []cloudapi.HoldState {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, list := e.now(), []cloudapi.HoldState{}
	for id, h := range e.holds.byID {
		if id.site == site && h.live(now) {
			list = append(list, h.HoldState)
		}
	}
	slices.SortFunc(list, func(a, b cloudapi.HoldState) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.MachineID, b.MachineID), cmp.Compare(a.Ref, b.Ref))
	})
	return list
}

// Active names the machines on which a user holds a license now, on any site and elsewhere, in order and each once. More than one is what the rule
// forbids, except for products that are not capped and for checkouts of other licenses.
func (e *Emulator) Active(userID string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, names := e.now(), []string{}
	for _, h := range e.holds.byUser[userID] {
		if h.live(now) {
			names = append(names, h.MachineName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// HoldElsewhere makes a user active on a machine that belongs to no site, until ReleaseElsewhere. The cloud's rule holds for that machine, too: it is
// an error while the user is active on another one.
func (e *Emulator) HoldElsewhere(userID, machineName string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := cloudapi.Hold{Key: "elsewhere", UserID: userID, MachineName: machineName, Kind: cloudapi.HoldSession, Ref: userID}
	now := e.now()
	if o := e.rival(h, now); o != nil {
		return fmt.Errorf("user %s is active on %s", userID, o.MachineName)
	}
	e.keep("", h, cloudapi.Fence{}, now)
	return nil
}

// ReleaseElsewhere ends what HoldElsewhere began.
func (e *Emulator) ReleaseElsewhere(userID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.holds.byUser[userID] {
		if id.site == "" {
			e.forget(id)
		}
	}
}
