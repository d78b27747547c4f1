package endpoint

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sitegate/api"
	"sitegate/portal"
)

// The bounds of a bulk checkout.
const (
	maxCSV  = 1 << 20 // bytes of the file
	maxRows = 10_000  // rows, and checkouts
)

// What can be wrong with a row by itself.
const (
	rowQuotes  = "row-quotes"  // a quote in the wrong place
	rowMissing = "row-missing" // nothing in a column that is needed
	rowText    = "row-text"    // too long, or no plain text
)

// csvRow is one row of a file of users and machines. With a reason it is bad.
type csvRow struct {
	line          int // of the file, where the row begins
	user, machine string
	column        string
	reason        string
}

// readCSV reads a file whose first line names its columns, user and machine among
// them. Commas, semicolons, tabs or bars separate; a byte order mark, a first line that
// names the separator (sep=;), quotes and both kinds of line ends are as spreadsheets
// write them. Empty rows are left out. An error is about the file as a whole.
func readCSV(text string) ([]csvRow, error) {
	if len(text) > maxCSV {
		return nil, &trouble{code: api.CodeTooLarge, detail: fmt.Sprintf("csv has more than %d bytes: send it in parts", maxCSV)}
	}
	r, user, machine := csvHeader(strings.TrimPrefix(text, "\ufeff"))
	if r == nil {
		return nil, malformed("the first line of csv must name the columns user and machine, once each, with commas, semicolons, tabs or bars between them")
	}
	var rows []csvRow
	for {
		fields, err := r.Read()
		var fault *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows, nil
		case errors.As(err, &fault):
			rows = append(rows, csvRow{line: fault.StartLine, reason: rowQuotes})
		case err != nil:
			return nil, malformed("csv cannot be read")
		case slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" }):
			row := csvRow{user: field(fields, user), machine: field(fields, machine)}
			row.line, _ = r.FieldPos(0)
			row.check()
			rows = append(rows, row)
		}
		if len(rows) > maxRows {
			return nil, malformed(fmt.Sprintf("csv has more than %d rows: send it in parts", maxRows))
		}
	}
}

// csvHeader finds what separates the columns, and which are the ones that matter.
func csvHeader(text string) (r *csv.Reader, user, machine int) {
	if first, rest, _ := strings.Cut(text, "\n"); portal.NamesSeparator(first) { // a spreadsheet's; its line still counts
		text = "\n" + rest
	}
	for _, comma := range portal.Separators {
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord = comma, -1
		fields, err := r.Read()
		if err != nil {
			continue
		}
		at := map[string][]int{}
		for i, f := range fields {
			name := strings.ToLower(strings.TrimSpace(f))
			at[name] = append(at[name], i)
		}
		if len(at["user"]) == 1 && len(at["machine"]) == 1 {
			return r, at["user"][0], at["machine"][0]
		}
	}
	return nil, 0, 0
}

func field(fields []string, i int) string {
	if i >= len(fields) {
		return ""
	}
	return strings.TrimSpace(fields[i])
}

func (r *csvRow) check() {
	for _, c := range []struct{ column, value string }{{"user", r.user}, {"machine", r.machine}} {
		switch {
		case c.value == "":
			r.column, r.reason = c.column, rowMissing
		case !plain(c.value):
			r.column, r.reason = c.column, rowText
		default:
			continue
		}
		break
	}
	if r.reason == rowText { // not to be shown as it is
		r.user, r.machine = printable(r.user), printable(r.machine)
	}
}
