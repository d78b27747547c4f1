package console

import (
	"encoding/csv"
	"mime"
	"net/http"
	"time"

	"sitegate/phrase"
)

// attached says that an answer is a file to be kept under a name.
func attached(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

// sheet is a file for spreadsheets, in which they find nothing to run.
type sheet struct{ to *csv.Writer }

func newSheet(w http.ResponseWriter, name string, columns ...string) sheet {
	attached(w, "text/csv; charset=utf-8", name)
	s := sheet{csv.NewWriter(w)}
	s.line(columns...)
	return s
}

func (s sheet) line(fields ...string) {
	for i := range fields {
		fields[i] = harmless(fields[i])
	}
	_ = s.to.Write(fields) // a browser that is gone is nobody's error
}

// cutShort ends a file that could not be written to its end: it must not look whole.
func (c *Console) cutShort(err error) {
	c.cfg.Logger.Warn("a report could not be written to its end", "err", err)
	panic(http.ErrAbortHandler)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return rfc(t)
}

// harmless is a field in which a spreadsheet finds no formula.
func harmless(s string) string { return phrase.NoFormula(clean(s)) }
