package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/phrase"
)

// CSV writes a report as a table of its numbers: each in a row of its own, so that rows can
// be added in later versions without moving any.
func CSV(to io.Writer, r api.Report) error {
	w := csv.NewWriter(to)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = phrase.NoFormula(cells[i])
		}
		_ = w.Write(cells) // Flush keeps the error
	}
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	row("section", "item", "name", "measure", "value")
	row("report", r.Site, "", "from", stamp(r.From))
	row("report", r.Site, "", "until", stamp(r.Until))
	for _, p := range r.Products {
		number := func(measure string, n int) { row("product", p.Product, p.Name, measure, strconv.Itoa(n)) }
		number("owned", p.Owned)
		number("peak", p.Peak)
		row("product", p.Product, p.Name, "peak_at", stamp(p.PeakAt))
		number("pooled", p.Pooled)
		number("refused", p.Refused)
		number("unassigned", p.Unassigned)
		number("never_used", p.NeverUsed)
		number("ending", p.Ending)
	}
	for _, x := range r.Refusals {
		row("refusal", x.Reason, x.Title, "count", strconv.Itoa(x.Count))
		row("refusal", x.Reason, x.Title, "observed", strconv.Itoa(x.Observed))
	}
	for _, x := range r.LicensesEnd {
		row("licenses_end", x.Day, x.Product, "count", strconv.Itoa(x.Count))
	}
	for _, x := range r.CheckoutsEnd {
		row("checkouts_end", x.Day, "", "count", strconv.Itoa(x.Count))
	}
	if l := r.Link; l != nil {
		row("link", "", "", "down_ms", strconv.FormatInt(l.DownMS, 10))
		row("link", "", "", "times", strconv.Itoa(l.Times))
		row("link", "", "", "longest_ms", strconv.FormatInt(l.LongestMS, 10))
	}
	for _, x := range r.Alerts {
		row("alert", x.Kind, x.Subject, "began", stamp(x.Began))
		row("alert", x.Kind, x.Subject, "over", stamp(x.Over))
	}
	for _, x := range r.People {
		row("person", x.User, x.Name, x.Why, strings.Join([]string{x.Product, x.License, x.Machine, stamp(x.Until)}, " "))
	}
	w.Flush()
	return w.Error()
}
