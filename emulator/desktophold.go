package emulator

import (
	"time"

	"sitegate/upstream/cloudapi"
)

// desktops hold in the name of a site that no gateway can be: it has a character that client ids do not have.
const desktopSite = "desktop clients\n"

// desktopHold is what a client that comes by itself holds with its session.
func desktopHold(user, machine, ref string, l cloudapi.License) cloudapi.Hold {
	return cloudapi.Hold{Key: "desktop " + user, UserID: user, LicenseID: l.ID, ProductID: l.ProductID, MachineName: machine, Kind: cloudapi.HoldSession, Ref: ref}
}

// desktopActive makes a machine active for a lease, if the product is capped, the license such and no other machine is. The caller holds the lock.
func (e *Emulator) desktopActive(user, machine, ref string, l cloudapi.License, now time.Time) {
	h := desktopHold(user, machine, ref, l)
	if e.capped(l.ProductID) && e.underVirtuoso(h, now) != "" && e.rival(h, now) == nil {
		e.keep(desktopSite, h, cloudapi.Fence{}, now)
	}
}

// desktopStopped ends what a client's session holds. The caller holds the lock.
func (e *Emulator) desktopStopped(user, ref string) {
	for id, h := range e.holds.byUser[user] {
		if h.site == desktopSite && (h.Ref == ref || h.Ref == "policy") && h.Kind == cloudapi.HoldSession {
			e.forget(id)
		}
	}
}

// DesktopHolds is what clients that came by themselves hold now: their sessions and the checkouts that were made for them.
func (e *Emulator) DesktopHolds() []cloudapi.HoldState { return e.Holds(desktopSite) }
