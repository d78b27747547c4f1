package api

import "time"

// Report is what became of a site's licenses in a time: what IT reads every week. It names
// nobody, but in People.
type Report struct {
	Site  string    `json:"site"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	Made  time.Time `json:"made"`
	// Products are those that are owned, were used or were refused, by name.
	Products []ReportProduct `json:"products"`
	// Refusals are by reason, the most frequent first. Who tries again within a minute
	// counts once.
	Refusals []ReportRefusal `json:"refusals"`
	// LicensesEnd and CheckoutsEnd are what ends within 60 and 14 days of when it was made,
	// by day.
	LicensesEnd  []ReportEnd   `json:"licenses_end"`
	CheckoutsEnd []ReportEnd   `json:"checkouts_end"`
	Link         *ReportLink   `json:"link,omitempty"` // to the vendor's cloud; absent: the site has none
	Alerts       []ReportAlert `json:"alerts"`         // that lasted in the time, the first first
	// People are who has never used a license, and whose checkouts end; only where names
	// were asked for.
	People []ReportPerson `json:"people,omitempty"`
}

// ReportProduct is a product in a report.
type ReportProduct struct {
	Product string `json:"product"`
	Name    string `json:"name,omitempty"`
	Capped  string `json:"capped"` // yes, no or unknown
	// Owned are licenses for named users that run when the report is made; Unassigned,
	// NeverUsed (for two weeks and more) and Ending (within 60 days) are some of them.
	Owned      int `json:"owned"`
	Unassigned int `json:"unassigned"`
	NeverUsed  int `json:"never_used"`
	Ending     int `json:"ending"`
	// Peak is the most machines in one interval of ten minutes, GMT, at PeakAt; Pooled what
	// of use counted against the account's pool at its own peak.
	Peak    int       `json:"peak"`
	PeakAt  time.Time `json:"peak_at,omitzero"`
	Pooled  int       `json:"pooled"`
	Refused int       `json:"refused"`
}

// ReportRefusal is how often something was refused for a reason.
type ReportRefusal struct {
	Reason   string `json:"reason"`
	Title    string `json:"title"`
	Count    int    `json:"count"`
	Observed int    `json:"observed"` // of those: let through, since the mode was observe
}

// ReportEnd is how much ends on a day (GMT).
type ReportEnd struct {
	Day     string `json:"day"`               // 2026-11-30
	Product string `json:"product,omitempty"` // of licenses
	Count   int    `json:"count"`
}

// ReportLink is for how long the vendor's cloud could not be asked.
type ReportLink struct {
	DownMS    int64 `json:"down_ms"`
	Times     int   `json:"times"`
	LongestMS int64 `json:"longest_ms"`
}

// ReportAlert is an alert that lasted.
type ReportAlert struct {
	Kind    string    `json:"kind"`
	Subject string    `json:"subject,omitempty"`
	Began   time.Time `json:"began"`
	Over    time.Time `json:"over,omitzero"` // zero: it lasts
}

// ReportPerson is somebody to speak to.
type ReportPerson struct {
	Why     string    `json:"why"` // never-used or checkout-ends
	User    string    `json:"user"`
	Name    string    `json:"name"`
	Product string    `json:"product,omitempty"`
	License string    `json:"license,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}
