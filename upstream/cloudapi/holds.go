package cloudapi

import "time"

// HoldKind says what a hold stands for.
type HoldKind string

// Hold kinds. Only holds of Virtuoso licenses exclude others, and those of a product that is not capped do not either; what is held
// under another license while the user has a Virtuoso one of the product counts under that one (R4), so that no other kind gets around a
// refusal. Under the cloud's rule a session of a capped product excludes the user's sessions on other machines and other
// machines' checkouts of the same license; a checkout excludes the user's sessions and checkouts of the same license on other machines.
const (
	HoldSession  HoldKind = "session"
	HoldCheckout HoldKind = "checkout"
)

// Fence orders what the leaders of one site say: by epoch (grows with each restore), then by term (grows with each
// election). Once the cloud has seen one it refuses every older one with ReasonStaleFence, so that nothing a dead leader still
// had on its way undoes what its successor said.
//
// Order counts the requests of one leader. A renewal speaks only of what was asked for before it: a hold of a larger order is not dropped for
// missing from its list.
type Fence struct {
	Epoch uint64 `json:"epoch"`
	Term  uint64 `json:"term"`
	Order uint64 `json:"order,omitempty"`
}

// Before says whether f was said earlier than g, by whichever leader.
func (f Fence) Before(g Fence) bool {
	return f.Older(g) || f.Epoch == g.Epoch && f.Term == g.Term && f.Order < g.Order
}

// Older says whether f was overtaken by g.
func (f Fence) Older(g Fence) bool {
	return f.Epoch < g.Epoch || f.Epoch == g.Epoch && f.Term < g.Term
}

// Hold is a machine's right to a user's licenses, as a site asks the cloud for it.
type Hold struct {
	Key         string   `json:"key"` // the site's hold key; opaque to the cloud, which finds conflicts by user, license and machine
	UserID      string   `json:"user_id"`
	LicenseID   string   `json:"license_id"`
	ProductID   string   `json:"product_id"`
	MachineID   string   `json:"machine_id,omitempty"` // a machine is its id; without one it is its name, without case and domain
	MachineName string   `json:"machine_name,omitempty"`
	Kind        HoldKind `json:"kind"`
	Ref         string   `json:"ref"` // the session's or checkout's id; several may share a key on one machine

	// Feature is the feature level that a session is started with. A product that needs one is not given a new hold without
	// (Product.NeedsFeature); a renewal is not asked for it.
	Feature string `json:"feature,omitempty"`
	// Until ends a checkout, whether it is renewed or not. Checkouts only.
	Until *time.Time `json:"until,omitempty"`
	// WrittenOff: the site has given the checkout up, as its machine is lost. It stays in the cloud's books until the vendor's service
	// has checked it in or it ends; once it is not there it is not made anew but is a conflict, with ReasonCheckedIn. In renewals only.
	WrittenOff bool `json:"written_off,omitempty"`
	// Provisional: the site granted it without asking, while the cloud could not be reached.
	Provisional bool `json:"provisional,omitempty"`
}

// HoldRequest asks for one hold. A hold is one key on one machine; it is idempotent for these. Each reference that asks for it keeps it
// for itself, until it is released.
type HoldRequest struct {
	Fence Fence `json:"fence"`
	Hold  Hold  `json:"hold"`
}

// HoldGrant is the cloud's yes: the hold is kept for LeaseMS from now, and longer when it is renewed.
type HoldGrant struct {
	LeaseMS Millis `json:"lease_ms"`
}

// RenewRequest gives all holds that the site has, sessions and checkouts, those still being asked for included. The cloud drops
// this site's holds of an earlier fence that are not in the list, each with its own reference: what a dead leader had asked for and never
// committed is no one's, and what was freed while the cloud could not be told keeps nobody out.
// A site that has lost state (restored from a backup) therefore reads PathHolds before it renews.
type RenewRequest struct {
	Fence Fence  `json:"fence"`
	Holds []Hold `json:"holds"`
}

// RenewAnswer renews everything but the conflicts.
type RenewAnswer struct {
	LeaseMS   Millis     `json:"lease_ms"`
	Conflicts []Conflict `json:"conflicts,omitempty"`
}

// Conflict is a hold in the list that the cloud does not give, because of another machine or because the right is gone: the license was
// moved or has ended (ReasonLicenseEnded), the user is gone, blocked or in another country. A session's hold is over with that. A checkout cannot be
// recalled: in the cloud's books it lasts until it is released or ends.
type Conflict struct {
	Key         string     `json:"key"`
	MachineID   string     `json:"machine_id,omitempty"` // of the refused hold
	Ref         string     `json:"ref"`                  // of the refused hold
	Reason      string     `json:"reason"`
	MachineName string     `json:"machine_name,omitempty"` // who has it instead
	Since       *time.Time `json:"since,omitempty"`        // since when
}

// ReleaseRequest gives one reference's hold back; the last one frees the key. It is idempotent: what is not held is released already.
type ReleaseRequest struct {
	Fence       Fence  `json:"fence"`
	Key         string `json:"key"`
	MachineID   string `json:"machine_id,omitempty"`
	MachineName string `json:"machine_name,omitempty"` // counts without an id
	Ref         string `json:"ref"`
}

// HoldState is a hold as the cloud has it.
type HoldState struct {
	Hold
	Since      time.Time `json:"since"`       // first asked for
	LeaseUntil time.Time `json:"lease_until"` // free after this without a renewal; a checkout lives to Until
}

// HoldList is what this site holds, ordered by key, machine and reference.
type HoldList struct {
	Holds []HoldState `json:"holds"`
}

// BatchRequest asks for several things at once, in this order; each is answered as if it had come by itself.
type BatchRequest struct {
	Operations []Operation `json:"operations"`
}

// Operation is a hold or a release: exactly one is set.
type Operation struct {
	Hold    *HoldRequest    `json:"hold,omitempty"`
	Release *ReleaseRequest `json:"release,omitempty"`
}

// BatchAnswer has a result for each operation, in their order.
type BatchAnswer struct {
	Results []OperationResult `json:"results"`
}

// OperationResult is what became of an operation: with a Problem it was refused, with the status that it would have had by itself.
type OperationResult struct {
	LeaseMS Millis   `json:"lease_ms,omitempty"` // of a hold that is given
	Status  int      `json:"status,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}
