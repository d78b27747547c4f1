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

// User is a person of the account.
type User struct {
	ID      string   `json:"id"`
	Email   string   `json:"email"`
	Name    string   `json:"name"`
	Country string   `json:"country,omitempty"` // entitlement country, ISO 3166-1 alpha-2; empty: none, so nothing can be assigned (R2)
	Blocked bool     `json:"blocked,omitempty"`
	Roles   []string `json:"roles,omitempty"` // Role constants (R22)
}

// Roles of an account.
const (
	RoleAdministrator         = "administrator"
	RoleCoAdministrator       = "co-administrator"
	RoleVirtuosoAdministrator = "virtuoso-administrator"
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
}

// License kinds.
const (
	LicenseVirtuoso   = "virtuoso" // prepaid, named user; shown to users as Practitioner (R1)
	LicenseCommercial = "commercial"
)

// License is the right to one product, for one named user at a time.
type License struct {
	ID         string     `json:"id"`
	ProductID  string     `json:"product_id"`
	Kind       string     `json:"kind"`
	StartsAt   time.Time  `json:"starts_at"`
	EndsAt     time.Time  `json:"ends_at"`
	AssignedTo string     `json:"assigned_to,omitempty"` // user id; empty: nobody
	AssignedAt *time.Time `json:"assigned_at,omitempty"` // when it was; counts for the move lock (R10)
}

// Account is the customer, and what its contract lets a site do by itself.
type Account struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Autonomy      Autonomy `json:"autonomy"`
	CheckoutMaxMS Millis   `json:"checkout_max_ms"` // longest checkout; zero: the license's own end is the only limit (R14)
	Admins        []Admin  `json:"admins,omitempty"`
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
