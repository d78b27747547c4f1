package license

import "time"

// UserID, ProductID and LicenseID are the cloud's own ids.
type (
	UserID    string
	ProductID string
	LicenseID string
)

// Capped says whether a product's licenses may be active on one machine at a
// time only (R5). The zero value is Unknown, which our own API treats as capped.
type Capped uint8

// The three answers the mirror can give.
const (
	CappedUnknown Capped = iota
	CappedYes
	CappedNo
)

// String is "yes", "no" or "unknown".
func (c Capped) String() string {
	switch c {
	case CappedYes:
		return "yes"
	case CappedNo:
		return "no"
	default:
		return "unknown"
	}
}

// User is a person of the account, as the cloud knows them.
type User struct {
	ID      UserID `cbor:"1,keyasint"`
	Email   string `cbor:"2,keyasint,omitempty"`
	Name    string `cbor:"3,keyasint,omitempty"`
	Country string `cbor:"4,keyasint,omitempty"` // ISO 3166 entitlement country (R2); empty is "missing"
	Blocked bool   `cbor:"5,keyasint,omitempty"`
	Roles   Roles  `cbor:"40,keyasint,omitempty"` // in the account (R22)
	// OtherAccount: claimed by another account, and cannot be assigned anything here
	// until removed there (R19).
	OtherAccount bool   `cbor:"41,keyasint,omitempty"`
	Source       Source `cbor:"150,keyasint,omitempty"`
}

// Product is an application that can be licensed.
type Product struct {
	ID     ProductID `cbor:"1,keyasint"`
	Name   string    `cbor:"2,keyasint,omitempty"`
	Capped Capped    `cbor:"3,keyasint,omitempty"`
	V8i    bool      `cbor:"4,keyasint,omitempty"` // pre-SES generation, cannot use Virtuoso (R17)
	// NeedsFeature: a start must name a feature level (KB0019240).
	NeedsFeature bool   `cbor:"20,keyasint,omitempty"`
	Source       Source `cbor:"150,keyasint,omitempty"`
}

// Single reports whether starting p needs a hold: capped, or not known not to be.
func (p *Product) Single() bool { return p.Capped != CappedNo }

// Kind is what sort of license it is. The zero value is Virtuoso.
type Kind uint8

// The kinds the mirror knows.
const (
	Virtuoso   Kind = iota // named user, prepaid (R1, R2); clients show "Practitioner" (R21)
	Commercial             // perpetual or SELECT (R4); an unassigned one covers the product for the whole account (R3)
	Trial                  // of its user, or unassigned of everyone, until they have a license (R18)
)

// License is one named-user (Virtuoso = Practitioner) license and who it is
// assigned to. Its term runs from purchase whether or not it is assigned (R1).
type License struct {
	ID         LicenseID `cbor:"1,keyasint"`
	Product    ProductID `cbor:"2,keyasint"`
	Starts     Time      `cbor:"3,keyasint,omitempty"`
	Ends       Time      `cbor:"4,keyasint,omitempty"` // first moment it is over; zero is "open"
	Assignee   UserID    `cbor:"5,keyasint,omitempty"` // empty is "unassigned"
	AssignedAt Time      `cbor:"6,keyasint,omitempty"`
	Kind       Kind      `cbor:"7,keyasint,omitempty"`
	Source     Source    `cbor:"150,keyasint,omitempty"`
	// Told is how much has been said of the license's end; the rules keep it, see
	// RemindTerm. (It stands with the other small fields: there are many licenses.)
	Told uint8 `cbor:"20,keyasint,omitempty"`
	// LastUsed is when its assignee last began to use it, to the day. It is the
	// site's own: what the feed says of it does not count.
	LastUsed Time `cbor:"40,keyasint,omitempty"`
	// Countries are those whose users may use it (ISO 3166); none: all.
	Countries []string `cbor:"21,keyasint,omitempty"`
}

// Runs reports whether the license's term covers at.
func (l *License) Runs(at Time) bool {
	return at >= l.Starts && (l.Ends == 0 || at < l.Ends)
}

// Administrator is whom a refused user is told to ask (R23).
type Administrator struct {
	Name  string `cbor:"1,keyasint,omitempty"`
	Email string `cbor:"2,keyasint,omitempty"`
}

// Account is what the cloud says of the site's account as a whole. The zero
// value grants the site nothing to decide alone.
type Account struct {
	ID   string `cbor:"1,keyasint,omitempty"`
	Name string `cbor:"2,keyasint,omitempty"`
	// AutonomyCapped and AutonomyUncapped are how long after the last contact
	// with the cloud the site may still grant starts by itself. Zero: not at all.
	AutonomyCapped   time.Duration   `cbor:"3,keyasint,omitempty"`
	AutonomyUncapped time.Duration   `cbor:"4,keyasint,omitempty"`
	CheckoutMax      time.Duration   `cbor:"5,keyasint,omitempty"` // zero: the license's term only (R14)
	Administrators   []Administrator `cbor:"6,keyasint,omitempty"`
	// FulfillmentContact gets the notices of new and changed licenses (R22).
	FulfillmentContact Administrator `cbor:"40,keyasint,omitempty"`
	// CountryPolicies are what holds for the users of a country, at most one each.
	CountryPolicies []CountryPolicy `cbor:"30,keyasint,omitempty"`
}
