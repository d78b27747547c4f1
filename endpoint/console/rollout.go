package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"sitegate/api"
)

// rollout is what is enforced of the vendor's own client's traffic, and what would be.
func rollout(v *visit) (*page, error) {
	status, err := v.status()
	if err != nil {
		return nil, err
	}
	var s api.SiteSettings
	if err := v.get(api.PathSettings, nil, &s); err != nil {
		return nil, err
	}
	q := v.query("before")
	q.Set("kind", "observed")
	var l api.SiteRefusalList
	if err := v.get(api.PathRefusals, q, &l); err != nil {
		return nil, err
	}
	t := &table{Caption: v.t("rollout.modes"), Columns: []string{v.t("col.product"), v.t("col.network"), v.t("col.mode")}}
	for i, m := range s.Modes {
		t.Rows = append(t.Rows, row{ID: fmt.Sprint("mode-", i), Cells: []cell{{Text: clean(cmp.Or(m.Product, v.t("product.any")))}, {Text: clean(cmp.Or(m.Network, v.t("rollout.any-network")))}, {Tags: []tag{{v.t("mode." + m.Mode), map[string]string{"observe": "warn", "on": "good"}[m.Mode]}}}}})
	}
	would := v.refusalTable("rollout", l)
	would.Heading, would.Empty = v.t("rollout.would"), v.t("rollout.would.none")
	would.Actions = []link{{Text: v.t("observed.link"), Href: at("rollout/counts")}}
	return &page{Title: v.t("rollout.title"), Lead: v.t("rollout.lead"), Sections: []section{v.bypass(status.Bypass), {ID: "modes", Heading: v.t("rollout.modes"), Note: v.t("rollout.order"), Table: t, Empty: v.t("rollout.all-on")}, v.modesInFile(s.Modes), would}}, nil
}

// modesInFile is what the configuration says of the modes that hold, to be changed there, and
// the way to the reload.
func (v *visit) modesInFile(modes []api.SiteMode) section {
	lines := []string{"rules:", "  modes:"}
	for _, m := range modes {
		var parts []string
		if m.Product != "" {
			parts = append(parts, "product: "+quoted(m.Product))
		}
		if m.Network != "" {
			parts = append(parts, "network: "+quoted(m.Network))
		}
		lines = append(lines, "    - {"+strings.Join(append(parts, "mode: "+m.Mode), ", ")+"}")
	}
	note := "rollout.file.note"
	if len(modes) == 0 {
		note, lines = "rollout.file.none", append(lines, "    - {mode: observe}")
	}
	s := section{ID: "file", Heading: v.t("rollout.file"), Note: v.t(note), Copy: strings.Join(lines, "\n")}
	if v.who.May(Admin) {
		s.Actions = []link{{Text: v.t("act.reload"), Href: at("settings/reload")}}
	}
	return s
}

// quoted is a text as YAML takes it, in a line: a JSON string is one.
func quoted(s string) string {
	b, _ := json.Marshal(cleanTo(s, maxShown)) // a string always can be
	return string(b)
}

// bypass is the one that lasts, or what one would be.
func (v *visit) bypass(b *api.Bypass) section {
	s := section{ID: "bypass", Heading: v.t("bypass.title"), Note: v.t("bypass.none")}
	if b != nil {
		s.Note, s.Facts = v.t("bypass.lasts"), v.bypassFacts(b)
	}
	if !v.who.May(Operator) {
		return s
	}
	begin := link{Text: v.t("act.bypass"), Href: at("rollout/bypass"), Tone: "danger"}
	if b == nil {
		s.Actions = []link{begin}
		return s
	}
	begin.Tone = ""
	s.Actions = []link{{Text: v.t("act.bypass-over"), Href: at("rollout/bypass/over"), Tone: "primary"}, begin}
	return s
}

func (v *visit) bypassFacts(b *api.Bypass) []fact {
	return []fact{{v.t("col.since"), cell{At: b.Since, Ago: true}}, {v.t("col.until"), cell{At: b.Until}}, {v.t("col.by"), cell{Text: clean(b.By), Sub: clean(b.Note)}}}
}

// seeBypass says what beginning a bypass does, or ending one.
func seeBypass(over bool) func(*visit) (*subject, error) {
	return func(v *visit) (*subject, error) {
		status, err := v.status()
		if err != nil {
			return nil, err
		}
		b := status.Bypass
		s := &subject{title: v.t("bypass.title"), note: true, must: true, own: true, back: at("rollout"), done: "bypass", danger: true, state: "none",
			does: []string{v.t("bypass.does.1"), v.t("bypass.does.2"), v.t("bypass.does.3"), v.t("bypass.does.4")}}
		if b != nil {
			s.facts, s.state = v.bypassFacts(b), rfc(b.Since)
		}
		if !over {
			return s, nil
		}
		if b == nil {
			return nil, &gone{"bypass"}
		}
		s.does, s.done, s.danger = []string{v.t("bypass-over.does")}, "bypass-over", false
		return s, nil
	}
}

// observedDays are how far back refusals that would have been are counted.
var observedDays = map[string]int{"": 7, "1": 1, "30": 30, "90": 90}

// observedCounts are how often somebody would have been refused, by product and network. The
// journal is read for it, so that it is not kept up to date.
func observedCounts(v *visit) (*page, error) {
	days, known := observedDays[v.r.URL.Query().Get("days")]
	if !known {
		days = observedDays[""]
	}
	status, err := v.status()
	if err != nil {
		return nil, err
	}
	var x api.ObservedCounts
	if err := v.get(api.PathObserved, url.Values{"from": {rfc(cmp.Or(status.Time, time.Now()).AddDate(0, 0, -days))}}, &x); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("observed.title"), Lead: v.t("observed.lead"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("rollout")}},
		Search: v.searching("rollout/counts", "", filter{Name: "days", Label: v.t("usage.days"), Options: []option{{Value: "1", Label: v.t("observed.days.1")}, {Value: "", Label: v.t("usage.days.7")}, {Value: "30", Label: v.t("usage.days.30")}, {Value: "90", Label: v.t("usage.days.90")}}})}
	t := &table{Caption: v.t("observed.title"), Columns: []string{v.t("col.product"), v.t("col.network"), v.t("observed.refusals"), v.t("users.title"), v.t("observed.last")}}
	all := 0
	for _, n := range x.Items {
		all += n.Refusals
		t.Rows = append(t.Rows, row{ID: "observed-" + n.Product + " " + n.Network, Cells: []cell{{Text: clean(cmp.Or(n.Name, n.Product, "–"))}, {Text: clean(cmp.Or(n.Network, v.t("observed.no-network")))},
			{Text: v.number(n.Refusals), Number: true}, {Text: v.number(n.Users), Number: true}, {At: n.Last, Ago: true}}})
	}
	p.Search.Count = v.t("observed.count", v.number(all), stamp(x.From))
	s := section{ID: "observed", Heading: v.t("observed.title"), Table: t, Empty: v.t("rollout.would.none")}
	if !x.Whole {
		s.Note = v.t("observed.part")
	}
	p.Sections = []section{s}
	return p, nil
}
