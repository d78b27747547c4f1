package emulator

import (
	"cmp"
	"fmt"
	"net/http"
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

// shortName is a machine's name without case and domain, in either notation.
func shortName(name string) string {
	host, _, _ := strings.Cut(name[strings.LastIndexByte(name, '\\')+1:], ".")
	return strings.ToLower(host)
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
func excludes(a, b cloudapi.Hold) bool {
	if a.Kind == cloudapi.HoldSession && b.Kind == cloudapi.HoldSession {
		return true
	}
	return a.LicenseID == b.LicenseID
}

// capped says whether the product is under the rule; what the cloud does not know is. The caller holds the lock.
func (e *Emulator) capped(product string) bool {
	return e.products[product].Capped != cloudapi.CappedNo
}

// rival finds the live hold of another machine that excludes h, the oldest of several. The caller holds the lock.
func (e *Emulator) rival(h cloudapi.Hold, now time.Time) *hold {
	if !e.capped(h.ProductID) {
		return nil
	}
	var first *hold
	for _, o := range e.holds.byUser[h.UserID] {
		if o.live(now) && !sameMachine(o.Hold, h) && (o.site == "" || e.capped(o.ProductID)) && excludes(o.Hold, h) &&
			(first == nil || o.Since.Before(first.Since)) {
			first = o
		}
	}
	return first
}

// right says why the user may not hold the license; empty: may. The caller holds the lock.
func (e *Emulator) right(h cloudapi.Hold, now time.Time) (reason, detail string) {
	u, known := e.users[h.UserID]
	l, there := e.licenses[h.LicenseID]
	switch {
	case !known:
		return cloudapi.ReasonUnknown, "no such user"
	case u.Blocked:
		return cloudapi.ReasonUserBlocked, "the user is blocked"
	case !there || l.ProductID != h.ProductID:
		return cloudapi.ReasonUnknown, "no such license of this product"
	case l.AssignedTo != h.UserID:
		return cloudapi.ReasonNotAssigned, "the license is not assigned to this user"
	case now.Before(l.StartsAt) || !now.Before(l.EndsAt):
		return cloudapi.ReasonLicenseEnded, "the license is valid from " + l.StartsAt.Format(time.RFC3339) + " to " + l.EndsAt.Format(time.RFC3339)
	case h.Kind != cloudapi.HoldCheckout:
		return "", ""
	case h.Until.After(l.EndsAt):
		return cloudapi.ReasonTooLong, "the license ends at " + l.EndsAt.Format(time.RFC3339)
	case e.account != nil && e.account.CheckoutMaxMS > 0 && h.Until.After(now.Add(e.account.CheckoutMaxMS.Duration()+time.Minute)):
		return cloudapi.ReasonTooLong, "the account's longest checkout is " + e.account.CheckoutMaxMS.Duration().String()
	}
	return "", ""
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
	id := idOf(site, h)
	since := now
	if old := t.byID[id]; old != nil {
		if old.live(now) {
			since = old.Since
		}
		e.forget(id)
	}
	kept := &hold{cloudapi.HoldState{Hold: h, Since: since, LeaseUntil: now.Add(e.lease())}, site, asked}
	t.byID[id] = kept
	if t.byUser[h.UserID] == nil {
		t.byUser[h.UserID] = map[holdID]*hold{}
	}
	t.byUser[h.UserID][id] = kept
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
	if reason, detail := e.right(req.Hold, now); reason != "" {
		refuse(w, http.StatusConflict, reason, detail)
		return
	}
	if o := e.rival(req.Hold, now); o != nil {
		answer(w, http.StatusConflict, cloudapi.Problem{Reason: cloudapi.ReasonMachineActive, Detail: "another machine of this user is active",
			MachineName: o.MachineName, Since: &o.Since, LicenseID: o.LicenseID, Kind: o.Kind})
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
	type keyed struct{ key, machine string }
	exact, listed := map[holdID]bool{}, map[keyed]bool{}
	for _, h := range req.Holds {
		exact[idOf(site, h)] = true
		listed[keyed{h.Key, machineOf(h.MachineID, h.MachineName)}] = true
	}
	for id, h := range e.holds.byID {
		switch {
		case id.site != site:
		case !listed[keyed{id.key, id.machine}]:
			if h.asked.Before(req.Fence) {
				e.forget(id)
			}
		case !exact[id]: // another reference of a listed hold goes with it
			req.Holds = append(req.Holds, h.Hold)
		}
	}
	got := cloudapi.RenewAnswer{LeaseMS: cloudapi.MillisOf(e.lease()), Conflicts: []cloudapi.Conflict{}}
	for _, h := range req.Holds {
		id := idOf(site, h)
		conflict := cloudapi.Conflict{Key: h.Key, MachineID: h.MachineID, Ref: h.Ref}
		reason, _ := e.right(h, now)
		old := e.holds.byID[id]
		switch {
		case reason == cloudapi.ReasonTooLong && old != nil: // agreed to before the terms were shortened
		case reason != "":
			conflict.Reason = reason
		case old == nil || !old.live(now):
			if o := e.rival(h, now); o != nil {
				conflict.Reason, conflict.MachineName, conflict.Since = cloudapi.ReasonMachineActive, o.MachineName, &o.Since
			}
		}
		if conflict.Reason != "" {
			e.forget(id)
			if exact[id] {
				got.Conflicts = append(got.Conflicts, conflict)
			}
			continue
		}
		e.keep(site, h, req.Fence, now)
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
	e.forget(holdID{site, req.Key, machineOf(req.MachineID, req.MachineName), req.Ref})
	w.WriteHeader(http.StatusNoContent)
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
