// Package portal reads what the vendor's portal exports as CSV, its users and its licenses,
// and tells what they would change in what a site has mirrored.
//
// A file may be as spreadsheets write it: commas, semicolons, tabs or bars between the
// columns, UTF-8, UTF-16 or windows-1252, a byte order mark. What is wrong with it is told with the
// line and the column, and then nothing of it is taken. It is a whole list: what it lacks is
// gone. It may only narrow: it cannot say that a product is not capped.
//
// The package leaves to others: where files come from, and bringing the changes in.
package portal

import (
	"bytes"
	"encoding/csv"
	"regexp"
	"strconv"
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

// The encodings of files that have no byte order mark.
const (
	UTF8        = "utf-8"
	Windows1252 = "windows-1252"
	Guess       = "" // UTF-8, or windows-1252 where it cannot be that
)

// Read reads a file that is in an encoding, unless a byte order mark says otherwise. The
// error is of type Faults.
func Read(name string, data []byte, encoding string) (*File, error) {
	whole := func(line int, column, reason, value, more string) error {
		return Faults{newFault(name, line, column, reason, value, more)}
	}
	if len(data) > MaxBytes {
		return nil, whole(0, "", "file-too-large", "", strconv.Itoa(MaxBytes>>20))
	}
	text, f := decode(data, encoding)
	if f != nil {
		f.File = name
		return nil, Faults{f}
	}
	in, f := header(name, text)
	if f != nil {
		f.File = name
		return nil, Faults{f}
	}
	file := &File{Name: name, Licenses: in.has(colLicense)}
	needed := []column{colUserID, colCountry}
	if file.Licenses {
		needed = []column{colLicense, colProduct, colEnds}
	}
	for _, c := range needed {
		if !in.has(c) {
			return nil, whole(1, c[0], "file-column", "", strings.Join(c[1:], ", "))
		}
	}
	seen, products := map[string]int{}, map[string]int{}
	for in.next() {
		before := len(in.faults)
		var r api.MirrorRecord
		if file.Licenses {
			r = in.license(file, products)
		} else {
			r = in.user()
		}
		first, twice := seen[r.ID]
		switch {
		case len(in.faults) > before:
		case twice:
			in.fault("", "row-again", r.ID, strconv.Itoa(first))
		default:
			seen[r.ID] = in.line
			file.Records, file.lines = append(file.Records, r), append(file.lines, in.line)
		}
	}
	if len(in.faults) > 0 {
		return nil, in.faults
	}
	return file, nil
}

// Text is what a file says, written in an encoding. An error is a *Fault.
func Text(name string, data []byte, encoding string) (string, error) {
	text, f := decode(data, encoding)
	if f != nil {
		f.File = name
		return "", f
	}
	return text, nil
}

// decode makes text of a file.
func decode(data []byte, encoding string) (string, *Fault) {
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}), bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		out, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data)
		if err != nil {
			return "", newFault("", 0, "", "file-not-encoding", "", "UTF-16")
		}
		data = out
	case encoding == Windows1252, encoding == Guess && !utf8.Valid(data):
		out, err := charmap.Windows1252.NewDecoder().Bytes(data)
		if err != nil || bytes.ContainsRune(out, utf8.RuneError) { // not every byte is a letter
			return "", newFault("", 0, "", "file-not-encoding", "", Windows1252)
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
		return "", newFault("", line, "", "file-encoding", "", "")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return "", newFault("", 0, "", "file-no-text", "", "")
	}
	return string(data), nil
}

// header finds what separates the columns, and what they are called. A first line that only
// says what separates them, as some spreadsheets want it, is left out.
func header(name, text string) (*rows, *Fault) {
	known := append(append(column{}, colUserID...), colLicense...)
	skipped := 0
	if first, rest, more := strings.Cut(text, "\n"); more && NamesSeparator(first) {
		text, skipped = rest, 1
	}
	for _, comma := range Separators {
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord = comma, -1
		fields, err := r.Read()
		if err != nil {
			continue
		}
		found := &rows{file: name, csv: r, at: map[string]int{}, skipped: skipped}
		for i, f := range fields {
			s := squeezed(f)
			if _, twice := found.at[s]; twice && s != "" {
				return nil, newFault("", 1+skipped, strings.TrimSpace(f), "file-column-twice", "", "")
			}
			found.at[s] = i
		}
		if found.has(known) {
			return found, nil
		}
	}
	return nil, newFault("", 1+skipped, "", "file-header", "", "")
}

// Separators are what may stand between the columns of a file that a spreadsheet writes.
const Separators = ",;\t|"

var separatorLine = regexp.MustCompile(`^"?sep=[` + Separators + `]"?\r?$`)

// NamesSeparator reports whether a file's first line only says what separates its columns.
func NamesSeparator(line string) bool { return separatorLine.MatchString(line) }
