package portal

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
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
	file   string
	csv    *csv.Reader
	at     map[string]int // columns by their squeezed names
	fields []string
	line   int
	err    *Fault // the first
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
	for n := 0; r.err == nil; n++ {
		fields, err := r.csv.Read()
		var fault *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return false
		case errors.As(err, &fault):
			r.err = &Fault{r.file, fault.Line, "", "a quotation mark is in the wrong place: " + fault.Err.Error()}
			return false
		case err != nil:
			r.err = &Fault{file: r.file, what: err.Error()}
			return false
		}
		r.line, _ = r.csv.FieldPos(0)
		if r.line > maxRows {
			r.err = &Fault{r.file, r.line, "", fmt.Sprintf("the file has more than %d rows", maxRows)}
			return false
		}
		if slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" }) {
			r.fields = fields
			return true
		}
	}
	return false
}

// bad notes what is wrong in a column of this row, unless something is already.
func (r *rows) bad(c column, what string) {
	if r.err == nil {
		name := c[0]
		for _, alias := range c {
			if _, ok := r.at[squeezed(alias)]; ok {
				name = alias
				break
			}
		}
		r.err = &Fault{r.file, r.line, name, what}
	}
}

// text is the value of a column; "" where there is none.
func (r *rows) text(c column) string {
	i := r.index(c)
	if i < 0 || i >= len(r.fields) {
		return ""
	}
	s := strings.TrimSpace(r.fields[i])
	if len(s) > maxText {
		r.bad(c, fmt.Sprintf("this is longer than %d bytes", maxText))
		return ""
	}
	if strings.ContainsFunc(s, func(x rune) bool { return x < ' ' || x == 0x7f }) {
		r.bad(c, "this has control characters")
		return ""
	}
	return s
}

// must is text that has to be there.
func (r *rows) must(c column) string {
	s := r.text(c)
	if s == "" {
		r.bad(c, "this is empty")
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
		r.bad(c, fmt.Sprintf("%q is neither yes nor no", s))
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
	r.bad(c, fmt.Sprintf("%q is no date; write it as 2026-11-30", s))
	return time.Time{}, false
}

func (r *rows) user() api.MirrorRecord {
	u := api.MirrorRecord{Kind: "user", ID: r.must(colUserID), Email: r.text(colEmail), Name: r.text(colName), Blocked: r.yes(colBlocked)}
	if u.Name == "" {
		u.Name = strings.TrimSpace(r.text(colFirst) + " " + r.text(colLast))
	}
	if u.Country = strings.ToUpper(r.text(colCountry)); u.Country != "" && len(u.Country) != 2 {
		r.bad(colCountry, fmt.Sprintf("%q is no country's code of two letters, like DE", u.Country))
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
	ends, day := r.date(colEnds)
	if day {
		ends = ends.AddDate(0, 0, 1) // it is good on its last day
	}
	if l.Ends = ends; ends.IsZero() {
		r.bad(colEnds, "this is empty")
	} else if !ends.After(l.Starts) {
		r.bad(colEnds, "it ends before it starts")
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
