package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
)

// spans are how long a time the charts of usage may show.
var spans = map[string]time.Duration{"": 7 * 24 * time.Hour, "30": 30 * 24 * time.Hour, "90": 90 * 24 * time.Hour}

// mostCharts bounds how many products are drawn: the most used of them.
const mostCharts = 12

// usage are the peaks of each product, drawn, and how delivery to the vendor stands.
func usage(v *visit) (*page, error) {
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	x, err := v.peaks(s.Time)
	if err != nil {
		return nil, err
	}
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &products); err != nil {
		return nil, err
	}
	days := filter{Name: "days", Label: v.t("usage.days"), Options: []option{{Value: "", Label: v.t("usage.days.7")}, {Value: "30", Label: v.t("usage.days.30")}, {Value: "90", Label: v.t("usage.days.90")}}}
	p := &page{Title: v.t("usage.title"), Lead: v.t("usage.lead"), Search: v.searching("usage", "", days, v.productFilter(products.Items))}
	p.Stats = v.delivery(s)
	kept := url.Values{}
	for _, name := range []string{"days", "product"} {
		if value := v.r.URL.Query().Get(name); value != "" {
			kept.Set(name, value)
		}
	}
	p.Actions = []link{{Text: v.t("usage.csv"), Href: at("usage.csv") + "?" + kept.Encode()}, {Text: v.t("usage.json"), Href: at("usage.json") + "?" + kept.Encode()},
		{Text: v.t("pooled.link"), Href: at("usage/pooled")}, {Text: v.t("usage.audit.link"), Href: at("usage/audit")}}
	p.Sections = v.charts(x.Items, x.From, x.days)
	p.Search.Count = v.t("usage.count", len(p.Sections))
	if len(p.Sections) == 0 {
		p.Sections = []section{{ID: "none", Empty: v.t("usage.empty")}}
	}
	if s.Usage.Refused > 0 {
		items, err := v.refusedUsage()
		if err != nil {
			return nil, err
		}
		if len(items) > 0 { // they may have been taken since
			p.Sections = append([]section{v.refusedSection(items)}, p.Sections...)
		}
	}
	return p, nil
}

// used are the peaks of a time.
type used struct {
	From  time.Time  `json:"from"`
	To    time.Time  `json:"to"`
	Items []api.Peak `json:"items"`
	days  int
}

// peaks are those that the page's address asks for: of how many days, and of which product.
func (v *visit) peaks(now time.Time) (used, error) {
	span, known := spans[v.r.URL.Query().Get("days")]
	if !known {
		span = spans[""]
	}
	if now.IsZero() {
		now = time.Now()
	}
	x := used{To: now.UTC().Truncate(time.Second), Items: []api.Peak{}, days: int(span / (24 * time.Hour))}
	x.From = x.To.Truncate(24 * time.Hour).Add(24*time.Hour - span)
	q := url.Values{"from": {rfc(x.From)}, "to": {rfc(x.To)}}
	if product := v.r.URL.Query().Get("product"); product != "" {
		q.Set("product", product)
	}
	for {
		var l api.List[api.Peak]
		if err := v.get(api.PathPeaks, q, &l); err != nil {
			return x, err
		}
		x.Items = append(x.Items, l.Items...)
		if l.Next == "" {
			return x, nil
		}
		q.Set("after", l.Next)
	}
}

// usageCSV and usageJSON are the peaks as files.
func (c *Console) usageCSV(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	x, err := v.peaksNow()
	if err != nil {
		v.trouble(w, "usage", err)
		return
	}
	out := newSheet(w, "usage.csv", "day", "product", "name", "machines", "at", "pooled", "pooled_at")
	for _, p := range x.Items {
		out.line(p.Day.UTC().Format(time.DateOnly), p.Product, p.Name, strconv.Itoa(p.Machines), moment(p.At), strconv.Itoa(p.Pooled), moment(p.PooledAt))
	}
	out.to.Flush()
}

func (c *Console) usageJSON(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	x, err := v.peaksNow()
	if err != nil {
		v.trouble(w, "usage", err)
		return
	}
	attached(w, "application/json", "usage.json")
	_ = json.NewEncoder(w).Encode(x) // a browser that is gone is nobody's error
}

// peaksNow are the peaks by the site's own time.
func (v *visit) peaksNow() (used, error) {
	s, err := v.status()
	if err != nil {
		return used{}, err
	}
	return v.peaks(s.Time)
}

// charts are a chart and a table for each product, the most used first.
func (v *visit) charts(peaks []api.Peak, from time.Time, days int) []section {
	of := map[string][]api.Peak{}
	most := map[string]int{}
	for _, x := range peaks {
		of[x.Product] = append(of[x.Product], x)
		most[x.Product] = max(most[x.Product], x.Machines)
	}
	var ids []string
	for id := range of {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(most[b], most[a]), cmp.Compare(a, b)) })
	var out []section
	for i, id := range ids[:min(len(ids), mostCharts)] {
		name := clean(cmp.Or(of[id][0].Name, id))
		t := &table{Caption: name, Columns: []string{v.t("col.day"), v.t("usage.machines"), v.t("col.when"), v.t("usage.pooled")}}
		for _, x := range slices.Backward(of[id]) {
			t.Rows = append(t.Rows, row{ID: fmt.Sprintf("u%d-%s", i, x.Day.UTC().Format(time.DateOnly)), Cells: []cell{{Text: x.Day.UTC().Format(time.DateOnly)}, {Text: v.number(x.Machines), Number: true}, {At: x.At}, {Text: v.number(x.Pooled), Number: true}}})
		}
		out = append(out, section{ID: fmt.Sprint("usage-", i), Heading: name, Chart: bars(v.t("usage.chart", name, most[id]), of[id], from, days), Table: t})
	}
	return out
}

// The measures of a chart, in units of its drawing.
const (
	chartWide, chartHigh = 720, 200
	chartLeft, chartFoot = 40, 24
)

// bars draws the peaks of each day. Their numbers are in the table beside it, so that a
// reader of screens is told only what it is.
func bars(label string, peaks []api.Peak, from time.Time, days int) template.HTML {
	top := 1
	for _, x := range peaks {
		top = max(top, x.Machines)
	}
	step := float64(chartWide-chartLeft) / float64(days)
	y := func(n int) float64 {
		return float64(chartHigh-chartFoot) - float64(n)/float64(top)*float64(chartHigh-chartFoot-10)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWide, chartHigh, template.HTMLEscapeString(label))
	for _, n := range slices.Compact([]int{0, top / 2, top}) {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`, chartLeft, chartWide, y(n), y(n), chartLeft-6, y(n)+4, n)
	}
	for _, x := range peaks {
		i := int(x.Day.Sub(from) / (24 * time.Hour))
		if i < 0 || i >= days {
			continue
		}
		left := chartLeft + float64(i)*step + step*0.15
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s: %d</title></rect>`, left, y(x.Machines), step*0.7, max(0, y(0)-y(x.Machines)), x.Day.UTC().Format(time.DateOnly), x.Machines)
		if x.Pooled > 0 {
			fmt.Fprintf(&b, `<rect class="pool" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>`, left, y(x.Pooled), step*0.35, y(0)-y(x.Pooled))
		}
	}
	for i := 0; i < days; i += max(1, days/7) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, chartLeft+(float64(i)+0.5)*step, chartHigh-6, from.Add(time.Duration(i)*24*time.Hour).UTC().Format("01-02"))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // of numbers and dates, and an escaped label
}
