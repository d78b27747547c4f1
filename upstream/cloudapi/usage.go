package cloudapi

import "time"

// UsageRequest posts usage. The answer to a repeated Idempotency-Key is the first one's.
type UsageRequest struct {
	Records []UsageRecord `json:"records"`
}

// UsageRecord is one piece of use, from start to end. Its ID makes it count once, however often and in whichever posting it comes.
type UsageRecord struct {
	ID             string    `json:"id"`
	UserID         string    `json:"user_id"`
	ProductID      string    `json:"product_id"`
	LicenseID      string    `json:"license_id"`
	LicenseType    string    `json:"license_type"` // as shown to the user: Practitioner, Commercial, …
	MachineID      string    `json:"machine_id"`
	MachineName    string    `json:"machine_name"`
	ProductVersion string    `json:"product_version,omitempty"`
	Country        string    `json:"country,omitempty"`
	SessionID      string    `json:"session_id"` // the session's or checkout's id
	Kind           HoldKind  `json:"kind"`
	StartedAt      time.Time `json:"started_at"`
	EndedAt        time.Time `json:"ended_at"`
	Provisional    bool      `json:"provisional,omitempty"` // granted by the site without the cloud
	// Posting is what a vendor's client has posted, as it came, with KindPosting; it says itself what was used. Only in files that somebody carries:
	// otherwise it goes to the posting service.
	Posting string `json:"posting,omitempty"`
}

// KindPosting is the kind of a record that is a posting of the vendor's own client, which the site has taken over.
const KindPosting HoldKind = "posting"

// UsageReceipt acknowledges the posting of that Idempotency-Key: all its records are kept, Duplicates of them were so before. A posting with a
// record that cannot be taken is refused as a whole, with 400 and ReasonInvalid, and nothing of it is kept.
type UsageReceipt struct {
	Key        string `json:"key"`
	Accepted   int    `json:"accepted"`
	Duplicates int    `json:"duplicates"`
}
