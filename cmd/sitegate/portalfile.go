package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"sitegate/api"
)

// The bounds of a file from the vendor's portal.
const (
	maxPortalBytes = 64 << 20
	maxPortalRows  = 500_000
	maxPortalText  = 256 // bytes of a value
)

// portalFile is a file exported from the vendor's portal: its users, or its licenses
// and the products that these are of. It is a whole list: what it lacks is gone.
type portalFile struct {
	name     string
	licenses bool
	records  []api.MirrorRecord // with the assignee of a license as the file has it
	lines    []int              // where each record is in the file
	noCap    int                // rows that say that a product is not capped, which a file cannot
}

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

// fileError is what is wrong with a file, and where.
type fileError struct {
	file   string
	line   int
	column string
	what   string
}

func (e *fileError) Error() string {
	switch {
	case e.line == 0:
		return fmt.Sprintf("%s: %s", e.file, e.what)
	case e.column == "":
		return fmt.Sprintf("%s, line %d: %s", e.file, e.line, e.what)
	}
	return fmt.Sprintf("%s, line %d, column %q: %s", e.file, e.line, e.column, e.what)
}

// portalRows reads the rows of a file.
type portalRows struct {
	file   string
	csv    *csv.Reader
	at     map[string]int // columns by their squeezed names
	fields []string
	line   int
	err    *fileError // the first
}

// readPortal reads a file that is in an encoding: utf-8 or windows-1252. A byte order
// mark says otherwise.
func readPortal(name string, data []byte, encoding string) (*portalFile, error) {
	if len(data) > maxPortalBytes {
		return nil, &fileError{file: name, what: fmt.Sprintf("it has more than %d MB", maxPortalBytes>>20)}
	}
	text, err := portalText(name, data, encoding)
	if err != nil {
		return nil, err
	}
	rows, err := portalHeader(name, text)
	if err != nil {
		return nil, err
	}
	f := &portalFile{name: name, licenses: rows.has(colLicense)}
	needed := []column{colUserID, colCountry}
	if f.licenses {
		needed = []column{colLicense, colProduct, colEnds}
	}
	for _, c := range needed {
		if !rows.has(c) {
			return nil, &fileError{file: name, line: 1, what: fmt.Sprintf("the column %q is missing (or %s); a file of licenses has %q, one of users has not",
				c[0], strings.Join(c[1:], ", "), colLicense[0])}
		}
	}
	seen, products := map[string]int{}, map[string]int{}
	for rows.next() {
		var r api.MirrorRecord
		if f.licenses {
			r = rows.license(f, products)
		} else {
			r = rows.user()
		}
		if rows.err != nil {
			return nil, rows.err
		}
		if first, twice := seen[r.ID]; twice {
			return nil, &fileError{name, rows.line, "", fmt.Sprintf("%s %q is in line %d already", r.Kind, r.ID, first)}
		}
		seen[r.ID] = rows.line
		f.records, f.lines = append(f.records, r), append(f.lines, rows.line)
	}
	if rows.err != nil {
		return nil, rows.err
	}
	return f, nil
}

// portalText decodes the file.
func portalText(name string, data []byte, encoding string) (string, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		out, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data)
		if err != nil {
			return "", &fileError{file: name, what: "it begins as UTF-16 and does not go on so"}
		}
		data = out
	case encoding == "windows-1252":
		out, err := charmap.Windows1252.NewDecoder().Bytes(data)
		if err != nil {
			return "", &fileError{file: name, what: "it is not in windows-1252"}
		}
		data = out
	}
	if !utf8.Valid(data) {
		line := 1
		for part := range bytes.SplitAfterSeq(data, []byte("\n")) {
			if !utf8.Valid(part) {
				break
			}
			line++
		}
		return "", &fileError{name, line, "", "this is not UTF-8; where it was saved by an older spreadsheet, say --encoding windows-1252"}
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return "", &fileError{file: name, what: "it is no text file: save it as CSV"}
	}
	return string(data), nil
}

// portalHeader finds what separates the columns, and what they are called.
func portalHeader(name, text string) (*portalRows, error) {
	known := append(append(column{}, colUserID...), colLicense...)
	for _, comma := range []rune{',', ';', '\t'} {
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord = comma, -1
		fields, err := r.Read()
		if err != nil {
			continue
		}
		rows := &portalRows{file: name, csv: r, at: map[string]int{}}
		for i, f := range fields {
			s := squeezed(f)
			if _, twice := rows.at[s]; twice && s != "" {
				return nil, &fileError{name, 1, strings.TrimSpace(f), "this column is there twice"}
			}
			rows.at[s] = i
		}
		if rows.has(known) {
			return rows, nil
		}
	}
	return nil, &fileError{name, 1, "", fmt.Sprintf("the first line names neither %q nor %q; commas, semicolons or tabs separate columns", colUserID[0], colLicense[0])}
}

// squeezed is a column's name without what does not count.
func squeezed(s string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "", "\u00a0", "").Replace(strings.TrimSpace(s)))
}

func (r *portalRows) index(c column) int {
	for _, name := range c {
		if i, ok := r.at[squeezed(name)]; ok {
			return i
		}
	}
	return -1
}

func (r *portalRows) has(c column) bool { return r.index(c) >= 0 }

// next reads the next row that is not empty.
func (r *portalRows) next() bool {
	for n := 0; r.err == nil; n++ {
		fields, err := r.csv.Read()
		var fault *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return false
		case errors.As(err, &fault):
			r.err = &fileError{r.file, fault.Line, "", "a quotation mark is in the wrong place: " + fault.Err.Error()}
			return false
		case err != nil:
			r.err = &fileError{file: r.file, what: err.Error()}
			return false
		}
		r.line, _ = r.csv.FieldPos(0)
		if r.line > maxPortalRows {
			r.err = &fileError{r.file, r.line, "", fmt.Sprintf("the file has more than %d rows", maxPortalRows)}
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
func (r *portalRows) bad(c column, what string) {
	if r.err == nil {
		name := c[0]
		for _, alias := range c {
			if _, ok := r.at[squeezed(alias)]; ok {
				name = alias
				break
			}
		}
		r.err = &fileError{r.file, r.line, name, what}
	}
}

// text is the value of a column; "" where there is none.
func (r *portalRows) text(c column) string {
	i := r.index(c)
	if i < 0 || i >= len(r.fields) {
		return ""
	}
	s := strings.TrimSpace(r.fields[i])
	if len(s) > maxPortalText {
		r.bad(c, fmt.Sprintf("this is longer than %d bytes", maxPortalText))
		return ""
	}
	if strings.ContainsFunc(s, func(x rune) bool { return x < ' ' || x == 0x7f }) {
		r.bad(c, "this has control characters")
		return ""
	}
	return s
}

// must is text that has to be there.
func (r *portalRows) must(c column) string {
	s := r.text(c)
	if s == "" {
		r.bad(c, "this is empty")
	}
	return s
}

func (r *portalRows) yes(c column) bool {
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
func (r *portalRows) date(c column) (t time.Time, day bool) {
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

func (r *portalRows) user() api.MirrorRecord {
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
func (r *portalRows) license(f *portalFile, products map[string]int) api.MirrorRecord {
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
		f.noCap++ // a file may only narrow
	}
	if i, known := products[p.ID]; !known {
		products[p.ID] = len(f.records)
		f.records, f.lines = append(f.records, p), append(f.lines, r.line)
	} else if f.records[i].Capped == "unknown" {
		f.records[i].Capped = p.Capped
	}
	return l
}
