package console

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"sitegate/api"
)

// lastDay is the line of what was open in the last 24 hours; nil: this node does not know.
func (v *visit) lastDay() (*line, error) {
	var l api.List[api.TrendMark]
	if err := v.get(api.PathTrend, nil, &l); err != nil {
		return nil, err
	}
	if len(l.Items) < 2 {
		return nil, nil
	}
	most := slices.MaxFunc(l.Items, func(a, b api.TrendMark) int { return a.Sessions - b.Sessions })
	caption := v.t("trend.caption", v.number(most.Sessions), most.At.UTC().Format("15:04"), v.number(l.Items[len(l.Items)-1].Sessions))
	return &line{Caption: caption, Drawn: drawn(v.t("trend.label"), l.Items)}, nil
}

// dayHigh is how high the line of a day is, in units of its drawing.
const dayHigh = 120

// drawn draws sessions as a line with its ground, and checkouts as a broken one. What they
// were at the most, and are, is in the words beside it.
func drawn(label string, marks []api.TrendMark) template.HTML {
	top := 1
	for _, m := range marks {
		top = max(top, m.Sessions, m.Checkouts)
	}
	last := marks[len(marks)-1].At
	first := last.Add(-24 * time.Hour)
	x := func(at time.Time) float64 {
		return chartLeft + float64(chartWide-chartLeft-2)*max(0, float64(at.Sub(first))/float64(24*time.Hour))
	}
	y := func(n int) float64 {
		return float64(dayHigh-chartFoot) - float64(n)/float64(top)*float64(dayHigh-chartFoot-10)
	}
	var sessions, checkouts strings.Builder
	out := false
	for i, m := range marks {
		to := "L"
		if i == 0 {
			to = "M"
		}
		fmt.Fprintf(&sessions, "%s%.1f %.1f", to, x(m.At), y(m.Sessions))
		fmt.Fprintf(&checkouts, "%s%.1f %.1f", to, x(m.At), y(m.Checkouts))
		out = out || m.Checkouts > 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWide, dayHigh, template.HTMLEscapeString(label))
	for _, n := range []int{0, top} {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`, chartLeft, chartWide, y(n), y(n), chartLeft-6, y(n)+4, n)
	}
	fmt.Fprintf(&b, `<path class="under" d="%sL%.1f %.1fL%.1f %.1fZ"/><path class="now" d="%s"/>`, sessions.String(), x(last), y(0), x(marks[0].At), y(0), sessions.String())
	if out {
		fmt.Fprintf(&b, `<path class="out" d="%s"/>`, checkouts.String())
	}
	for at := first.Truncate(6 * time.Hour).Add(6 * time.Hour); at.Before(last); at = at.Add(6 * time.Hour) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, min(max(x(at), chartLeft+16), chartWide-16), dayHigh-6, at.UTC().Format("15:04"))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // of numbers and times, and an escaped label
}
