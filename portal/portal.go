// Package portal reads what the vendor's portal exports as CSV, its users and its licenses,
// and tells what they would change in what a site has mirrored.
//
// A file may be as spreadsheets write it: commas, semicolons or tabs between the columns,
// UTF-8, UTF-16 or windows-1252, a byte order mark. What is wrong with it is told with the
// line and the column, and then nothing of it is taken. It is a whole list: what it lacks is
// gone. It may only narrow: it cannot say that a product is not capped.
//
// The package leaves to others: where files come from, and bringing the changes in.
package portal

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"sitegate/api"
)

// MaxBytes is how large a file may be.
const MaxBytes = 64 << 20

const (
	maxRows = 500_000
	maxText = 256 // bytes of a value
)

// File is a file exported from the vendor's portal: its users, or its licenses and the
// products that these are of.
type File struct {
	Name     string
	Licenses bool // not users
	// Records are those of the file; the assignee of a license is as the file has it.
	Records []api.MirrorRecord
	// Uncapped is how many rows say that a product is not capped, which a file cannot.
	Uncapped int

	lines []int // where each record is in the file
}

// Fault is what is wrong with a file, and where.
type Fault struct {
	file   string
	line   int
	column string
	what   string
}

func (e *Fault) Error() string {
	switch {
	case e.line == 0:
		return fmt.Sprintf("%s: %s", e.file, e.what)
	case e.column == "":
		return fmt.Sprintf("%s, line %d: %s", e.file, e.line, e.what)
	}
	return fmt.Sprintf("%s, line %d, column %q: %s", e.file, e.line, e.column, e.what)
}

// Read reads a file that is in an encoding: utf-8 or windows-1252. A byte order
// mark says otherwise.
func Read(name string, data []byte, encoding string) (*File, error) {
	if len(data) > MaxBytes {
		return nil, &Fault{file: name, what: fmt.Sprintf("it has more than %d MB", MaxBytes>>20)}
	}
	decoded, err := text(name, data, encoding)
	if err != nil {
		return nil, err
	}
	read, err := header(name, decoded)
	if err != nil {
		return nil, err
	}
	f := &File{Name: name, Licenses: read.has(colLicense)}
	needed := []column{colUserID, colCountry}
	if f.Licenses {
		needed = []column{colLicense, colProduct, colEnds}
	}
	for _, c := range needed {
		if !read.has(c) {
			return nil, &Fault{file: name, line: 1, what: fmt.Sprintf("the column %q is missing (or %s); a file of licenses has %q, one of users has not",
				c[0], strings.Join(c[1:], ", "), colLicense[0])}
		}
	}
	seen, products := map[string]int{}, map[string]int{}
	for read.next() {
		var r api.MirrorRecord
		if f.Licenses {
			r = read.license(f, products)
		} else {
			r = read.user()
		}
		if read.err != nil {
			return nil, read.err
		}
		if first, twice := seen[r.ID]; twice {
			return nil, &Fault{name, read.line, "", fmt.Sprintf("%s %q is in line %d already", r.Kind, r.ID, first)}
		}
		seen[r.ID] = read.line
		f.Records, f.lines = append(f.Records, r), append(f.lines, read.line)
	}
	if read.err != nil {
		return nil, read.err
	}
	return f, nil
}

// text decodes the file.
func text(name string, data []byte, encoding string) (string, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		out, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data)
		if err != nil {
			return "", &Fault{file: name, what: "it begins as UTF-16 and does not go on so"}
		}
		data = out
	case encoding == "windows-1252":
		out, err := charmap.Windows1252.NewDecoder().Bytes(data)
		if err != nil {
			return "", &Fault{file: name, what: "it is not in windows-1252"}
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
		return "", &Fault{name, line, "", "this is not UTF-8; where it was saved by an older spreadsheet, say --encoding windows-1252"}
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return "", &Fault{file: name, what: "it is no text file: save it as CSV"}
	}
	return string(data), nil
}

// header finds what separates the columns, and what they are called.
func header(name, text string) (*rows, error) {
	known := append(append(column{}, colUserID...), colLicense...)
	for _, comma := range []rune{',', ';', '\t'} {
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord = comma, -1
		fields, err := r.Read()
		if err != nil {
			continue
		}
		found := &rows{file: name, csv: r, at: map[string]int{}}
		for i, f := range fields {
			s := squeezed(f)
			if _, twice := found.at[s]; twice && s != "" {
				return nil, &Fault{name, 1, strings.TrimSpace(f), "this column is there twice"}
			}
			found.at[s] = i
		}
		if found.has(known) {
			return found, nil
		}
	}
	return nil, &Fault{name, 1, "", fmt.Sprintf("the first line names neither %q nor %q; commas, semicolons or tabs separate columns", colUserID[0], colLicense[0])}
}
