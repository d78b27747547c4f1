package api

import "time"

// CheckoutForRequest is the body of POST /v1/users/{id}/checkouts: an administrator
// checks a license out to a user's machine, known by its id or its name.
type CheckoutForRequest struct {
	ID      string  `json:"id"`
	Product string  `json:"product"`
	Version string  `json:"version,omitempty"`
	Machine Machine `json:"machine"`
	// Until is left out for the site's default.
	Until time.Time `json:"until,omitzero"`
	By    string    `json:"by,omitempty"`
	Note  string    `json:"note"`
}

// WriteOff is who gave a checkout up for lost, why and when. It still blocks.
type WriteOff struct {
	By   string    `json:"by"`
	Note string    `json:"note"`
	At   time.Time `json:"at"`
}

// BulkCheckoutRequest is the body of POST /v1/checkouts/bulk: the same products
// until the same date for all users and machines of a CSV file. Its first line
// names the columns, of which user (an id or e-mail address) and machine are read;
// commas, semicolons, tabs or bars separate them. Nothing is done if any row is bad.
type BulkCheckoutRequest struct {
	// ID makes the request repeatable: what a first one has made is made once.
	ID       string        `json:"id"`
	CSV      string        `json:"csv"` // at most 1 MiB and 10,000 rows
	Products []BulkProduct `json:"products"`
	Until    time.Time     `json:"until,omitzero"`
	By       string        `json:"by,omitempty"`
	Note     string        `json:"note"`
	DryRun   bool          `json:"dry_run,omitempty"` // only say what would come of it
}

// CheckoutImportRequest is the body of POST /v1/checkouts/import on the operator's socket: a checkout file of the vendor's.
type CheckoutImportRequest struct {
	File    []byte `json:"file"`              // as it is, in base64
	Machine string `json:"machine,omitempty"` // that it is to be for; empty: whichever it names
	By      string `json:"by,omitempty"`
	Note    string `json:"note"`
}

// BulkProduct is a product that each of the machines gets.
type BulkProduct struct {
	Product string `json:"product"`
	Version string `json:"version,omitempty"`
}

// BulkReport is what came of a bulk checkout. With a bad row in the file it lists
// the bad rows only, and nothing was done.
type BulkReport struct {
	Rows   int       `json:"rows"` // read
	Made   int       `json:"made"` // checkouts there are now
	Bad    int       `json:"bad"`  // items with a reason
	DryRun bool      `json:"dry_run"`
	Items  []BulkRow `json:"items"`
}

// BulkRow is one product of a row, or what is wrong with the row.
type BulkRow struct {
	Row      int       `json:"row"`              // the line of the file; the header is 1
	Column   string    `json:"column,omitempty"` // user, machine, product or until
	User     string    `json:"user,omitempty"`   // as the file has it
	Machine  string    `json:"machine,omitempty"`
	Product  string    `json:"product,omitempty"`
	Version  string    `json:"version,omitempty"`
	Checkout string    `json:"checkout,omitempty"` // its id
	Until    time.Time `json:"until,omitzero"`
	Reason   string    `json:"reason,omitempty"` // empty: it is, or would be, made
	Text     string    `json:"text,omitempty"`   // the reason as a sentence
}
