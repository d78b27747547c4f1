package cloudapi

import "time"

// Op says what a change does.
type Op string

// Ops.
const (
	OpPut    Op = "put"    // the object is now as given
	OpDelete Op = "delete" // the object with Change.ID is gone
)

// Kind says what a change is about.
type Kind string

// Kinds.
const (
	KindUser    Kind = "user"
	KindProduct Kind = "product"
	KindLicense Kind = "license"
	KindAccount Kind = "account"
)

// Changes is one page of the change feed.
//
// Without a cursor the feed starts at the beginning: every object as it is now, page by page. Objects come in the order of their
// last change, so a license may come before the user it is assigned to. With More the next page is there at once; without, a
// request with WaitMS waits for the next change. Cursor is where to go on, also when there are no changes.
//
// A page may come compressed (Content-Encoding: gzip) where that is asked for. An answer that nothing follows a cursor may have an ETag; the
// same question with it in If-None-Match is answered with 304 and no body for as long as that is so.
//
// Reset is on the first page of a fill that answers a cursor the cloud no longer knows: everything follows from the beginning, and what
// has not come again by the first page without More is gone.
type Changes struct {
	Cursor  string   `json:"cursor"`
	More    bool     `json:"more"`
	Reset   bool     `json:"reset,omitempty"`
	Changes []Change `json:"changes"`
}

// Change is one object as it is now, or its end. Exactly the field that Kind names is set, and none for OpDelete.
type Change struct {
	Op      Op       `json:"op"`
	Kind    Kind     `json:"kind"`
	ID      string   `json:"id"`
	User    *User    `json:"user,omitempty"`
	Product *Product `json:"product,omitempty"`
	License *License `json:"license,omitempty"`
	Account *Account `json:"account,omitempty"`
}

// User is a person of the account. The id stays when the e-mail address changes, and so do assignments and holds (R11).
type User struct {
	ID      string   `json:"id"`
	Email   string   `json:"email"`
	Name    string   `json:"name"`
	Country string   `json:"country,omitempty"` // entitlement country, ISO 3166-1 alpha-2; empty: none, so nothing can be assigned or held (R2)
	Blocked bool     `json:"blocked,omitempty"`
	Roles   []string `json:"roles,omitempty"` // Role constants (R22)
	// OtherAccount: another account has claimed this person; nothing can be assigned until they are removed there (R19).
	OtherAccount bool `json:"other_account,omitempty"`
}

// Roles of an account.
const (
	RoleAdministrator         = "administrator"
	RoleCoAdministrator       = "co-administrator"
	RoleVirtuosoAdministrator = "virtuoso-administrator"
	RoleFulfillmentContact    = "fulfillment-contact" // see Account.FulfillmentContact, who need not be a user
)

// Capped says whether a product may be active on one machine at a time only (R5).
type Capped string

// Capped values. Unknown means that the cloud does not say.
const (
	CappedYes     Capped = "yes"
	CappedNo      Capped = "no"
	CappedUnknown Capped = "unknown"
)

// Product is an application.
type Product struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Capped Capped `json:"capped"`
	V8i    bool   `json:"v8i,omitempty"` // of the generation that cannot use Virtuoso licenses (R17)
	// NeedsFeature: a start has to choose a feature level, or it asks for an invalid license (KB0019240).
	NeedsFeature bool `json:"needs_feature,omitempty"`
}

// License kinds, in the order in which they are used for a product (R4).
const (
	// LicenseVirtuoso is prepaid, for one named user; shown to users as Practitioner (R1). Unassigned, it is nobody's.
	LicenseVirtuoso = "virtuoso"
	// LicenseCommercial is perpetual or covered by SELECT. Assigned, it is that user's; unassigned, it covers the product for the whole
	// account, and use under it is pooled (R3). It may be used on several machines: a hold of it excludes nothing.
	LicenseCommercial = "commercial"
	// LicenseTrial lets a product be tried (R18), by its user or, unassigned, by everyone. Like a commercial one it excludes nothing.
	LicenseTrial = "trial"
)

// License is the right to one product, for one named user at a time or, if it is of such a kind, for everyone of the account.
//
// A license of a user who was deleted stays assigned to the id that no one has any more ("Not Found User", R11): it can be neither used nor
// moved until the vendor's service has repaired it.
type License struct {
	ID         string     `json:"id"`
	ProductID  string     `json:"product_id"`
	Kind       string     `json:"kind"`
	StartsAt   time.Time  `json:"starts_at"`
	EndsAt     time.Time  `json:"ends_at"`
	AssignedTo string     `json:"assigned_to,omitempty"` // user id; empty: nobody
	AssignedAt *time.Time `json:"assigned_at,omitempty"` // when it was; see MoveFree
	Countries  []string   `json:"countries,omitempty"`   // entitlement countries it is for, ISO 3166-1 alpha-2; none: everywhere
}

// The move lock (R10): an assigned license may be moved for MoveFree from its assignment, then not for MoveLock, then again. Each move is
// an assignment, and starts both anew.
const (
	MoveFree = 24 * time.Hour
	MoveLock = 30 * 24 * time.Hour
)

// MoveRequest assigns a license to another user. A move to the user who has it already is done, and starts nothing anew: a request of
// which the answer was lost may be repeated.
type MoveRequest struct {
	ToUserID string `json:"to_user_id"`
	By       string `json:"by"`             // who asks for it, for the vendor's books
	Note     string `json:"note,omitempty"` // why
}

// Moved is the license as it is after a move. It comes in the change feed, too.
type Moved struct {
	License License `json:"license"`
}

// Account is the customer, and what its contract lets a site do by itself.
type Account struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Autonomy      Autonomy `json:"autonomy"`
	CheckoutMaxMS Millis   `json:"checkout_max_ms"` // longest checkout; zero: the license's own end is the only limit (R14)
	Admins        []Admin  `json:"admins,omitempty"`
	// CountryPolicies say what is otherwise in a country, at most one for each; a user's is that of their entitlement country.
	CountryPolicies []CountryPolicy `json:"country_policies,omitempty"`
	// FulfillmentContact is told of new and changed licenses; it need not be an administrator (R22).
	FulfillmentContact *Admin `json:"fulfillment_contact,omitempty"`
}

// CountryPolicy limits checkouts in one country (KB0019243). It concerns what is asked for from now on: checkouts there are stay, and may
// be shortened.
type CountryPolicy struct {
	Country       string `json:"country"` // ISO 3166-1 alpha-2
	NoCheckouts   bool   `json:"no_checkouts,omitempty"`
	CheckoutMaxMS Millis `json:"checkout_max_ms,omitempty"` // longest checkout; zero: the account's. The shorter of the two counts
}

// Autonomy is how long after its last contact with the cloud a site may still grant starts by itself. Zero: not at all (R6).
type Autonomy struct {
	CappedMS   Millis `json:"capped_ms"`
	UncappedMS Millis `json:"uncapped_ms"`
}

// Admin is whom a user can turn to (R23).
type Admin struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}
