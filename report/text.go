package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
	"sitegate/phrase"
)

// Text writes a report for people, in a language.
func Text(to io.Writer, r api.Report, lang phrase.Lang) error {
	t := &telling{w: tabwriter.NewWriter(to, 0, 0, 2, ' ', 0), words: wordsOf(lang)}
	t.say("heading", stamp(r.From), stamp(r.Until))
	t.say("site", oneLine(r.Site), stamp(r.Made))
	t.products(r.Products)
	t.section("refusals", len(r.Refusals))
	for _, x := range r.Refusals {
		observed := ""
		if x.Observed > 0 {
			observed = t.word("observed", x.Observed)
		}
		t.line("  %d\t%s (%s)\t%s", x.Count, oneLine(x.Title), x.Reason, observed)
	}
	t.section("licenses-end", len(r.LicensesEnd))
	for _, x := range r.LicensesEnd {
		t.line("  %s\t%d\t%s", x.Day, x.Count, oneLine(nameOf(r.Products, x.Product)))
	}
	t.section("checkouts-end", len(r.CheckoutsEnd))
	for _, x := range r.CheckoutsEnd {
		t.line("  %s\t%d", x.Day, x.Count)
	}
	if l := r.Link; l != nil {
		t.line("")
		if l.Times == 0 {
			t.say("link-up")
		} else {
			t.say("link-down", l.Times, Lasted(l.DownMS), Lasted(l.LongestMS))
		}
	}
	t.section("alerts", len(r.Alerts))
	for _, x := range r.Alerts {
		over := t.word("lasts")
		if !x.Over.IsZero() {
			over = stamp(x.Over)
		}
		t.line("  %s\t%s\t%s\t%s", x.Kind, oneLine(x.Subject), stamp(x.Began), over)
	}
	if len(r.People) > 0 {
		t.section("people", len(r.People))
		for _, x := range r.People {
			until := ""
			if !x.Until.IsZero() {
				until = stamp(x.Until)
			}
			t.line("  %s\t%s\t%s\t%s\t%s", t.word("why-"+x.Why), oneLine(x.Name), oneLine(nameOf(r.Products, x.Product)), oneLine(x.Machine), until)
		}
	}
	return t.w.Flush()
}

// telling writes lines in the words of a language.
type telling struct {
	w     *tabwriter.Writer
	words map[string]string
}

func (t *telling) word(key string, args ...any) string { return fmt.Sprintf(t.words[key], args...) }
func (t *telling) say(key string, args ...any)         { fmt.Fprintln(t.w, t.word(key, args...)) }

func (t *telling) line(format string, args ...any) {
	fmt.Fprintln(t.w, strings.TrimRight(fmt.Sprintf(format, args...), "\t "))
}

// section begins one; where there is nothing in it, that is said in its line.
func (t *telling) section(key string, n int) {
	t.line("")
	if n == 0 {
		t.line("%s: %s", t.words[key], t.words["none"])
		return
	}
	t.line("%s", t.words[key])
}

func (t *telling) products(list []api.ReportProduct) {
	t.section("products", len(list))
	if len(list) == 0 {
		return
	}
	t.line("  %s", t.words["columns"])
	for _, p := range list {
		at := "-"
		if !p.PeakAt.IsZero() {
			at = stamp(p.PeakAt)
		}
		mark := ""
		if p.Owned > 0 && p.Peak >= p.Owned {
			mark = " !"
		}
		t.line("  %s\t%d\t%d%s\t%s\t%d\t%d\t%d\t%d\t%d", oneLine(cmp.Or(p.Name, p.Product)), p.Owned, p.Peak, mark, at, p.Pooled, p.Refused, p.Unassigned, p.NeverUsed, p.Ending)
	}
	t.say("columns-note")
}

func nameOf(list []api.ReportProduct, id string) string {
	for i := range list {
		if list[i].Product == id {
			return cmp.Or(list[i].Name, id)
		}
	}
	return id
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// Lasted is how long something lasted, in milliseconds, as people say it: in hours and
// minutes.
func Lasted(ms int64) string {
	d := (time.Duration(ms) * time.Millisecond).Round(time.Minute)
	if d < time.Minute {
		return "< 1 min"
	}
	if h := int(d / time.Hour); h > 0 {
		return fmt.Sprintf("%d h %d min", h, int(d%time.Hour/time.Minute))
	}
	return fmt.Sprintf("%d min", int(d/time.Minute))
}

// oneLine is a text that others have written, in a line and a cell.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
