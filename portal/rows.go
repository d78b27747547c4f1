package portal

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
)

// column is what a column of the portal is called; the first is how it is spoken of.
type column []string

// The columns. The vendor's portal has had several names for some; letter case,
// spaces, hyphens and underscores do not count.
var (
	colUserID  = column{"User ID", "IMS ID", "User GUID"}
	colEmail   = column{"Email", "E-mail", "Email address", "User email"}
	colName    = column{"Name", "User name", "Full name", "Display name"}
	colFirst   = column{"First name", "Given name"}
	colLast    = column{"Last name", "Surname", "Family name"}
	colCountry = column{"Country", "Entitlement country", "Usage country", "Country ISO"}
	colBlocked = column{"Blocked", "Access blocked"}

	colLicense  = column{"License ID", "Licence ID", "Virtuoso ID", "Practitioner ID"}
	colProduct  = column{"Product ID", "Product number", "Application ID"}
	colApp      = column{"Application", "Product", "Product name", "Application name"}
	colStarts   = column{"Start date", "Starts", "Valid from"}
	colEnds     = column{"End date", "Expiration date", "Expiry date", "Ends", "Valid to"}
	colAssignee = column{"Assigned user", "Assigned to", "Assignee", "User"}
	colAssigned = column{"Assigned on", "Assignment date", "Assigned date"}
	colCapped   = column{"Capped"}
)

// rows reads the rows of a file.
type rows struct {
	file    string
	csv     *csv.Reader
	at      map[string]int // columns by their squeezed names
	skipped int            // lines before the header
	fields  []string
	line    int
	faults  Faults
}

// squeezed is a column's name without what does not count.
func squeezed(s string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "", "\u00a0", "").Replace(strings.TrimSpace(s)))
}

func (r *rows) index(c column) int {
	for _, name := range c {
		if i, ok := r.at[squeezed(name)]; ok {
			return i
		}
	}
	return -1
}

func (r *rows) has(c column) bool { return r.index(c) >= 0 }

// next reads the next row that is not empty.
func (r *rows) next() bool {
	for !r.faults.full() {
		fields, err := r.csv.Read()
		var fault *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return false
		case errors.As(err, &fault):
			r.line = fault.Line + r.skipped
			r.fault("", "row-quotes", "", "")
			continue
		case err != nil:
			r.fault("", "file-no-text", "", "")
			return false
		}
		r.line, _ = r.csv.FieldPos(0)
		if r.line += r.skipped; r.line > maxRows {
			r.fault("", "file-rows", "", strconv.Itoa(maxRows))
			return false
		}
		if slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" }) {
			r.fields = fields
			return true
		}
	}
	return false
}

// fault notes what is wrong in this row, once of a column.
func (r *rows) fault(column, reason, value, more string) {
	for _, f := range r.faults {
		if f.Line == r.line && f.Column == column {
			return
		}
	}
	r.faults.add(newFault(r.file, r.line, column, reason, value, more))
}

// bad notes what is wrong in a column of this row.
func (r *rows) bad(c column, reason, value string) { r.fault(r.called(c), reason, value, "") }

// called is what the file calls a column.
func (r *rows) called(c column) string {
	for _, alias := range c {
		if _, ok := r.at[squeezed(alias)]; ok {
			return alias
		}
	}
	return c[0]
}

// text is the value of a column; "" where there is none.
func (r *rows) text(c column) string {
	i := r.index(c)
	if i < 0 || i >= len(r.fields) {
		return ""
	}
	s := strings.TrimSpace(r.fields[i])
	if len(s) > maxText {
		r.bad(c, "row-text", "")
		return ""
	}
	if strings.ContainsFunc(s, func(x rune) bool { return x < ' ' || x == 0x7f }) {
		r.bad(c, "row-text", "")
		return ""
	}
	return s
}

// must is text that has to be there.
func (r *rows) must(c column) string {
	before := len(r.faults)
	s := r.text(c)
	if s == "" && len(r.faults) == before {
		r.bad(c, "row-missing", "")
	}
	return s
}

func (r *rows) yes(c column) bool {
	switch s := r.text(c); strings.ToLower(s) {
	case "", "no", "false", "0", "n":
		return false
	case "yes", "true", "1", "y":
		return true
	default:
		r.bad(c, "row-yes-no", s)
		return false
	}
}

// dates are the ways to write a date that can be read one way only.
var dates = []string{"2006-01-02", time.RFC3339, "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2-Jan-2006", "2 Jan 2006", "2 January 2006", "Jan 2, 2006", "January 2, 2006"}

// date is the value of a column; of a day without a time, its beginning in UTC.
func (r *rows) date(c column) (t time.Time, day bool) {
	s := r.text(c)
	if s == "" {
		return time.Time{}, false
	}
	for _, layout := range dates {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1990 && t.Year() < 2200 {
			return t.UTC(), !strings.Contains(layout, "15")
		}
	}
	r.bad(c, "row-date", s)
	return time.Time{}, false
}

func (r *rows) user() api.MirrorRecord {
	u := api.MirrorRecord{Kind: "user", ID: r.must(colUserID), Email: r.text(colEmail), Name: r.text(colName), Blocked: r.yes(colBlocked)}
	if u.Name == "" {
		if u.Name = strings.TrimSpace(r.text(colFirst) + " " + r.text(colLast)); len(u.Name) > maxText {
			r.bad(colLast, "row-text", "")
		}
	}
	if u.Country = strings.ToUpper(r.text(colCountry)); u.Country != "" && len(u.Country) != 2 {
		r.bad(colCountry, "row-country", u.Country)
	}
	return u
}

// license reads a row of a file of licenses, and the product that it is of.
func (r *rows) license(f *File, products map[string]int) api.MirrorRecord {
	l := api.MirrorRecord{Kind: "license", ID: r.must(colLicense), Product: r.must(colProduct), Type: "virtuoso"}
	l.Assignee = r.text(colUserID)
	for _, c := range []column{colEmail, colAssignee} {
		if l.Assignee == "" {
			l.Assignee = r.text(c)
		}
	}
	l.Starts, _ = r.date(colStarts)
	before := len(r.faults)
	ends, day := r.date(colEnds)
	if day {
		ends = ends.AddDate(0, 0, 1) // it is good on its last day
	}
	switch l.Ends = ends; {
	case len(r.faults) > before:
	case ends.IsZero():
		r.bad(colEnds, "row-missing", "")
	case !ends.After(l.Starts):
		r.bad(colEnds, "row-term", "")
	}
	l.AssignedAt, _ = r.date(colAssigned)
	p := api.MirrorRecord{Kind: "product", ID: l.Product, Name: r.text(colApp), Capped: "unknown"}
	switch {
	case r.text(colCapped) == "":
	case r.yes(colCapped):
		p.Capped = "yes"
	default:
		f.Uncapped++ // a file may only narrow
	}
	if i, known := products[p.ID]; !known {
		products[p.ID] = len(f.Records)
		f.Records, f.lines = append(f.Records, p), append(f.lines, r.line)
	} else if f.Records[i].Capped == "unknown" {
		f.Records[i].Capped = p.Capped
	}
	return l
}
