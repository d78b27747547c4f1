package api

import "time"

// The paths of what who administers the site looks at.
const (
	PathOpen         = "/v1/site/open"
	PathProducts     = "/v1/site/products"
	PathRefusals     = "/v1/site/refusals"
	PathObserved     = "/v1/site/refusals/observed"
	PathHistory      = "/v1/site/history"
	PathSiteUsers    = "/v1/site/users"
	PathSiteLicenses = "/v1/site/licenses"
	PathSettings     = "/v1/site/settings"
	PathReport       = "/v1/site/report"
	PathSiteEvents   = "/v1/site/events"
	PathTrend        = "/v1/site/trend"
	PathLearned      = "/v1/site/learned"
)

// HeaderUnattended is the header of what a page of the console asks for by itself: nobody
// has done anything.
const HeaderUnattended = "Sitegate-Unattended"

// Open is a session that runs, or a checkout that is out.
type Open struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"` // session or checkout
	User        string    `json:"user"`
	Name        string    `json:"name,omitempty"` // of the user
	Email       string    `json:"email,omitempty"`
	Product     string    `json:"product"`
	ProductName string    `json:"product_name,omitempty"`
	Capped      string    `json:"capped"` // yes, no, unknown (R9)
	License     string    `json:"license,omitempty"`
	LicenseType string    `json:"license_type"`
	Machine     Machine   `json:"machine"`
	Version     string    `json:"version,omitempty"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until,omitzero"` // of a checkout: when it is over; of a session that was closed: when that was
	Provisional bool      `json:"provisional"`    // the cloud has not agreed yet
	Under       string    `json:"under,omitempty"`
	Relayed     bool      `json:"relayed,omitempty"` // by the vendor's own client
	Ending      *Ending   `json:"ending,omitempty"`
	By          string    `json:"by,omitempty"` // the administrator who made the checkout
	Note        string    `json:"note,omitempty"`
	WrittenOff  *WriteOff `json:"written_off,omitempty"`
	// Flagged: the right to the checkout is gone, since then.
	Flagged time.Time `json:"flagged,omitzero"`
	// Closed: it has ended; capped usage stays listed for three minutes.
	Closed bool `json:"closed,omitempty"`
}

// OpenList is a page of them, newest first.
type OpenList struct {
	Items []Open `json:"items"`
	Next  string `json:"next,omitempty"`
	Total int    `json:"total"` // that fit what was asked for, on all pages
	All   int    `json:"all"`   // that there are
	// At is when it was so, by the site's time.
	At time.Time `json:"at"`
}

// ProductUse is how much of a product the account owns, and how much is in use.
type ProductUse struct {
	Product   string `json:"product"`
	Name      string `json:"name,omitempty"`
	Capped    string `json:"capped"`
	Owned     int    `json:"owned"`     // named-user licenses whose term is now
	InUse     int    `json:"in_use"`    // licenses with a session or a checkout
	Sessions  int    `json:"sessions"`  // that run
	Checkouts int    `json:"checkouts"` // that are out
}

// SiteRefusal is a start or a checkout that was refused, or would have been where the
// rules are only observed.
type SiteRefusal struct {
	Seq         uint64    `json:"seq"`
	At          time.Time `json:"at"`
	User        string    `json:"user"`
	Name        string    `json:"name,omitempty"`
	Email       string    `json:"email,omitempty"`
	Machine     Machine   `json:"machine"`
	Product     string    `json:"product,omitempty"`
	ProductName string    `json:"product_name,omitempty"`
	Reason      string    `json:"reason"`
	Title       string    `json:"title"`
	Detail      string    `json:"detail"` // the sentence of the reason
	Next        []string  `json:"next"`   // what goes with it for the user to do
	// Told is what the user was told: Detail, but for what was only observed and for the
	// vendor's own client. Remedy is what IT can do about it.
	Told   string `json:"told"`
	Remedy string `json:"remedy"`
	// Other is the machine that is active, where that is the reason, and Open its session
	// or checkout as long as there is one.
	Other    *Machine `json:"other,omitempty"`
	Open     string   `json:"open,omitempty"`
	OpenKind string   `json:"open_kind,omitempty"` // session or checkout
	// Observed: nothing was refused; the mode for it only observes.
	Observed bool `json:"observed,omitempty"`
	Relayed  bool `json:"relayed,omitempty"` // of the vendor's own client
	// CannotHold: by what the vendor has signed, the client may work offline, so that this
	// refusal cannot keep it from starting.
	CannotHold bool   `json:"cannot_hold,omitempty"`
	Client     string `json:"client,omitempty"`
	Address    string `json:"address,omitempty"` // of what was observed
}

// SiteRefusalList is a page of refusals, newest first. With Next there may be more, even
// where a page is short: it ends where enough of the journal was looked through.
type SiteRefusalList struct {
	Items []SiteRefusal `json:"items"`
	Next  string        `json:"next,omitempty"`
}

// HistoryItem is something that happened to a user or on a machine.
type HistoryItem struct {
	Seq         uint64    `json:"seq"`
	At          time.Time `json:"at"`
	Kind        string    `json:"kind"` // of a notice, refused or would-refuse
	Text        string    `json:"text"` // a sentence about the user; what they were told is quoted
	User        string    `json:"user,omitempty"`
	Name        string    `json:"name,omitempty"`
	Machine     *Machine  `json:"machine,omitempty"`
	Product     string    `json:"product,omitempty"`
	ProductName string    `json:"product_name,omitempty"`
	By          string    `json:"by,omitempty"`
	Note        string    `json:"note,omitempty"`
}

// HistoryList is a page of them, newest first, like SiteRefusalList.
type HistoryList struct {
	Items []HistoryItem `json:"items"`
	Next  string        `json:"next,omitempty"`
}

// SiteUser is a user of the account.
type SiteUser struct {
	ID           string   `json:"id"`
	Name         string   `json:"name,omitempty"`
	Email        string   `json:"email,omitempty"`
	Country      string   `json:"country,omitempty"`
	Known        bool     `json:"known"`             // in the account
	Blocked      bool     `json:"blocked,omitempty"` // by the vendor
	OtherAccount bool     `json:"other_account,omitempty"`
	BlockedHere  *Block   `json:"blocked_here,omitempty"` // by IT
	Licenses     int      `json:"licenses"`
	Sessions     int      `json:"sessions"`
	Checkouts    int      `json:"checkouts"`
	Machines     []string `json:"machines"` // names, of what is open
}

// SiteUserList is a page of users, by name.
type SiteUserList struct {
	Items []SiteUser `json:"items"`
	Next  string     `json:"next,omitempty"`
	Total int        `json:"total"`
}

// SiteLicense is a license of the account.
type SiteLicense struct {
	ID          string    `json:"id"`
	Product     string    `json:"product"`
	ProductName string    `json:"product_name,omitempty"`
	Capped      string    `json:"capped"`
	Type        string    `json:"type"` // virtuoso, commercial or trial
	Assignee    string    `json:"assignee,omitempty"`
	Name        string    `json:"name,omitempty"` // of the assignee
	Email       string    `json:"email,omitempty"`
	NotFound    bool      `json:"not_found,omitempty"` // the assignee is not in the account (R11)
	AssignedAt  time.Time `json:"assigned_at,omitzero"`
	LockedUntil time.Time `json:"locked_until,omitzero"` // it can be moved from then on (R10)
	Starts      time.Time `json:"starts,omitzero"`
	Ends        time.Time `json:"ends,omitzero"`
	Ended       bool      `json:"ended,omitempty"`
	LastUsed    time.Time `json:"last_used,omitzero"` // to the day
	Source      string    `json:"source,omitempty"`   // feed or file
	// Requests are those to the vendor, one of which mends it, where the assignee is not in
	// the account (R11).
	Requests []RequestToVendor `json:"service_requests,omitempty"`
}

// RequestToVendor is a service request to the vendor, for IT to send.
type RequestToVendor struct {
	Category string `json:"category"` // the vendor's word
	Title    string `json:"title"`
	When     string `json:"when"` // when it is this one, and what to add
	Text     string `json:"text"` // in English, to be copied
}

// SiteLicenseList is a page of licenses, by product.
type SiteLicenseList struct {
	Items []SiteLicense `json:"items"`
	Next  string        `json:"next,omitempty"`
	Total int           `json:"total"`
}

// SiteSettings are the rules' settings that are in effect at the site.
type SiteSettings struct {
	Items []SiteSetting `json:"items"`
	Modes []SiteMode    `json:"modes"` // of relayed traffic; the most specific counts
}

// SiteSetting is one of them, as it is written in a configuration.
type SiteSetting struct {
	Name  string `json:"name"`
	About string `json:"about"` // what it is, in a few words
	Value string `json:"value"`
	// Set: the site has it set; otherwise it is the default.
	Set bool `json:"set"`
}

// ObservedCounts are how often relayed traffic would have been refused where the rules are
// only observed, by product and network, the most first. What a user's machine would have been
// refused for one reason again and again counts once a minute.
type ObservedCounts struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Whole: the journal of the node that is asked goes back to From; else there may have been more.
	Whole bool            `json:"whole"`
	Items []ObservedCount `json:"items"`
}

// ObservedCount is one line of ObservedCounts.
type ObservedCount struct {
	Product  string    `json:"product,omitempty"` // empty: of no product
	Name     string    `json:"name,omitempty"`    // of the product
	Network  string    `json:"network,omitempty"` // of the site's modes, the longest that the client is in; empty: in none
	Refusals int       `json:"refusals"`
	Users    int       `json:"users"` // different ones
	Last     time.Time `json:"last"`
}

// SiteMode is how the rules are enforced for relayed traffic.
type SiteMode struct {
	Product string `json:"product,omitempty"` // empty: every product
	Network string `json:"network,omitempty"` // empty: every address
	Mode    string `json:"mode"`              // on or observe
}

// TrendMark is how much was open at one of the ten-minute marks of the last day, as the
// node that is asked has counted it.
type TrendMark struct {
	At        time.Time `json:"at"`
	Sessions  int       `json:"sessions"`
	Checkouts int       `json:"checkouts"`
}

// LearnedUse is a user's use of a product that the vendor's own clients told of, on their
// way through: of an assignment that the mirror may not have. It decides nothing.
type LearnedUse struct {
	User        string `json:"user"`
	Name        string `json:"name,omitempty"`
	Email       string `json:"email,omitempty"`
	Product     string `json:"product"`
	ProductName string `json:"product_name,omitempty"`
	Feature     string `json:"feature,omitempty"`
	Country     string `json:"country,omitempty"` // that the use is counted in
	First       string `json:"first"`             // day, GMT
	Last        string `json:"last"`
	Known       bool   `json:"known"` // the mirror has the user
}
