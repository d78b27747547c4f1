package api

import "time"

// Peak is the most machines that used a product in one ten-minute interval of a day.
// Days and intervals are in GMT; a machine counts once, whoever works on it.
type Peak struct {
	Day      time.Time `json:"day"`
	Product  string    `json:"product"`
	Name     string    `json:"name,omitempty"` // of the product
	Machines int       `json:"machines"`
	At       time.Time `json:"at"`     // when the first interval with so many begins
	Pooled   int       `json:"pooled"` // of what counts against the account's pool: all but Practitioner use
	PooledAt time.Time `json:"pooled_at,omitzero"`
}

// RefusedUsage is a usage record that the cloud has refused for good. It is kept
// apart, and sent again now and then.
type RefusedUsage struct {
	Record  string    `json:"record"` // its id in the cloud's books
	Kind    string    `json:"kind"`   // session, checkout or posting (of the vendor's own client, taken over)
	Session string    `json:"session"`
	User    string    `json:"user"`
	Machine string    `json:"machine"`
	Product string    `json:"product"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Refused time.Time `json:"refused"` // when
	Why     string    `json:"why"`     // what the cloud said
}

// ResendRequest is the body of POST /v1/usage/refused/resend on the operator's socket.
type ResendRequest struct {
	By   string `json:"by,omitempty"`
	Note string `json:"note,omitempty"` // why; it may be left out
}

// UsageAudit is what was granted, held against what the cloud has acknowledged.
type UsageAudit struct {
	From         uint64         `json:"from"`    // the first event that was looked at
	Through      uint64         `json:"through"` // the last
	Began        uint64         `json:"began"`
	Before       uint64         `json:"before"` // that ended in them and began before
	Ended        uint64         `json:"ended"`  // usage records
	Open         uint64         `json:"open"`   // that run now
	Acknowledged uint64         `json:"acknowledged"`
	Waiting      uint64         `json:"waiting"`
	Refused      uint64         `json:"refused"` // by the cloud, and not taken since
	Ways         []UsageWay     `json:"ways"`
	Findings     []UsageFinding `json:"findings"`
	More         uint64         `json:"more,omitempty"` // findings that are not listed
}

// UsageWay is how many records went one way.
type UsageWay struct {
	Way     string `json:"way"` // site, realtime, csv or carried
	Records uint64 `json:"records"`
	// Once: what goes this way counts once, however often it is sent. Otherwise what is
	// sent again after a lost answer may be there twice, with the same ids.
	Once bool `json:"once"`
}

// UsageFinding is a gap, or something that is there twice.
type UsageFinding struct {
	Kind   string `json:"kind"` // events-missing, no-record, twice or miscounted
	Seq    uint64 `json:"seq"`  // of the event it was found at
	Record string `json:"record,omitempty"`
	User   string `json:"user,omitempty"`
	Detail string `json:"detail"`
}
