package console

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/report"
)

// refusedFirst is how many of the records that the vendor refuses are on the Usage page.
const refusedFirst = 10

// delivery is how the delivery of usage to the vendor stands.
func (v *visit) delivery(s *api.Status) []stat {
	waiting := stat{Label: v.t("usage.waiting"), Value: v.number(int(min(s.Usage.Waiting, 1<<31)))}
	if s.Usage.Backlog != api.BacklogOK {
		waiting.Tone, waiting.Sub = "warn", v.t("backlog."+s.Usage.Backlog)
	}
	oldest := stat{Label: v.t("usage.oldest"), Value: "–"}
	if at := s.Usage.Oldest; !at.IsZero() {
		age := max(0, s.Time.Sub(at))
		oldest.Value, oldest.Sub = report.Lasted(age.Milliseconds()), v.t("usage.oldest.since", stamp(at))
		if age >= longWaited {
			oldest.Tone = "warn"
		}
	}
	refused := stat{Label: v.t("usage.refused"), Value: v.number(int(min(s.Usage.Refused, 1<<31)))}
	if s.Usage.Refused > 0 {
		refused.Tone = "warn"
	}
	return []stat{waiting, oldest, refused}
}

// longWaited is when usage has waited so long that somebody looks: an alert comes a while later.
const longWaited = 2 * time.Hour

// refusedUsage are the records that the vendor refuses.
func (v *visit) refusedUsage() ([]api.RefusedUsage, error) {
	var l api.List[api.RefusedUsage]
	return l.Items, v.get(api.PathRefused, nil, &l)
}

func (v *visit) refusedTable(items []api.RefusedUsage) *table {
	t := &table{Caption: v.t("usage.refused"), Columns: []string{v.t("usage.refused.at"), v.t("col.kind"), v.t("col.user"), v.t("col.machine"), v.t("col.product"), v.t("usage.refused.from"), v.t("col.until"), v.t("usage.refused.why")}}
	for _, x := range items {
		kind := cell{Text: clean(x.Kind)}
		if has("usage.kind." + x.Kind) {
			kind.Text = v.t("usage.kind." + x.Kind)
		}
		t.Rows = append(t.Rows, row{ID: "refused-" + x.Record, Cells: []cell{{At: x.Refused, Ago: true}, kind, {Text: clean(x.User)}, {Text: clean(x.Machine)}, {Text: clean(x.Product)}, {At: x.Started}, {At: x.Ended},
			{Text: sentence(x.Why), Sub: clean(x.Record)}}})
	}
	return t
}

// refusedSection are the first of those records, with what can be done about them.
func (v *visit) refusedSection(items []api.RefusedUsage) section {
	s := section{ID: "refused", Heading: v.t("usage.refused"), Note: v.t("usage.refused.note"), Table: v.refusedTable(items[:min(len(items), refusedFirst)])}
	if len(items) > refusedFirst {
		s.Next = link{Text: v.t("usage.refused.all", v.number(len(items))), Href: at("usage/refused")}
	}
	if v.who.May(Operator) {
		s.Actions = []link{{Text: v.t("act.resend"), Href: at("usage/resend")}}
	}
	return s
}

// allRefused are all records that the vendor refuses, by pages.
func allRefused(v *visit) (*page, error) {
	items, err := v.refusedUsage()
	if err != nil {
		return nil, err
	}
	p := &page{Title: v.t("usage.refused"), Lead: v.t("usage.refused.note"), Actions: []link{{Text: v.t("back"), Href: at("usage")}}}
	if len(items) > 0 && v.who.May(Operator) {
		p.Actions = append(p.Actions, link{Text: v.t("act.resend"), Href: at("usage/resend")})
	}
	from, _ := strconv.Atoi(v.r.URL.Query().Get("after")) // what is no number is the beginning
	from = min(max(from, 0), len(items))
	most, _ := strconv.Atoi(rowsShown)
	to, next := min(from+most, len(items)), ""
	if to < len(items) {
		next = strconv.Itoa(to)
	}
	p.Sections = []section{{ID: "refused", Heading: v.t("count", v.number(len(items))), Table: v.refusedTable(items[from:to]), Empty: v.t("usage.refused.none"), Next: v.more("usage/refused", "after", next)}}
	return p, nil
}

// seeResend says what sending refused records again does.
func seeResend(v *visit) (*subject, error) {
	items, err := v.refusedUsage()
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, &gone{"resend"}
	}
	s := &subject{facts: []fact{{v.t("usage.refused"), cell{Text: v.number(len(items))}}}, does: []string{v.t("resend.does.1"), v.t("resend.does.2"), v.t("resend.does.3")}, note: true, must: true, own: true,
		back: at("usage"), state: "resend"}
	var why []string
	for _, x := range items {
		if text := sentence(x.Why); !slices.Contains(why, text) && len(why) < 5 {
			why = append(why, text)
			s.facts = append(s.facts, fact{v.t("usage.refused.why"), cell{Text: text}})
		}
	}
	return s, nil
}

// doResend shows what has come of it.
func doResend(v *visit, _ *subject) (*page, error) {
	before, err := v.refusedUsage()
	if err != nil {
		return nil, err
	}
	var left api.List[api.RefusedUsage]
	if err := v.post(api.PathRefused+"/resend", api.ResendRequest{By: v.who.Name, Note: v.reason()}, &left); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("act.resend"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("usage")}}}
	if len(left.Items) == 0 {
		p.Done = v.t("resend.all")
		return p, nil
	}
	p.Lead = v.t("resend.some", v.number(max(0, len(before)-len(left.Items))), v.number(len(before)))
	p.Sections = []section{v.refusedSection(left.Items)}
	return p, nil
}

// usageAudit is what was granted, held against what the vendor has acknowledged. The journal is
// read for it, so that it is not kept up to date.
func usageAudit(v *visit) (*page, error) {
	var a api.UsageAudit
	if err := v.get(api.PathAudit, url.Values{}, &a); err != nil {
		return nil, err
	}
	n := func(x uint64) cell { return cell{Text: v.number(int(min(x, 1<<31)))} }
	p := &page{Title: v.t("usage.audit"), Lead: v.t("usage.audit.lead"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("usage")}}}
	facts := []fact{{v.t("usage.audit.events"), cell{Text: v.t("audit.from-to", a.From, a.Through)}}, {v.t("usage.audit.began"), n(a.Began)}, {v.t("usage.audit.before"), n(a.Before)}, {v.t("usage.audit.open"), n(a.Open)},
		{v.t("usage.audit.ended"), n(a.Ended)}, {v.t("usage.audit.acknowledged"), n(a.Acknowledged)}, {v.t("usage.waiting"), n(a.Waiting)}, {v.t("usage.refused"), n(a.Refused)}}
	ways := &table{Caption: v.t("usage.ways"), Columns: []string{v.t("usage.way"), v.t("usage.records"), v.t("col.detail")}}
	for _, w := range a.Ways {
		r := row{ID: "way-" + w.Way, Cells: []cell{{Text: clean(w.Way)}, {Text: v.number(int(min(w.Records, 1<<31))), Number: true}, {Text: v.t("usage.once")}}}
		if has("usage.way." + w.Way) {
			r.Cells[0].Text = v.t("usage.way." + w.Way)
		}
		if !w.Once {
			r.Cells[2] = cell{Text: v.t("usage.at-least-once"), Tags: []tag{{v.t("usage.at-least-once.tag"), "warn"}}}
		}
		ways.Rows = append(ways.Rows, r)
	}
	found := &table{Caption: v.t("usage.gaps"), Columns: []string{v.t("col.what"), v.t("usage.event"), v.t("col.user"), v.t("usage.record"), v.t("col.detail")}}
	for i, x := range a.Findings {
		kind := cell{Text: clean(x.Kind)}
		if has("usage.gap." + x.Kind) {
			kind = cell{Text: v.t("usage.gap." + x.Kind), Sub: x.Kind}
		}
		found.Rows = append(found.Rows, row{ID: "gap-" + strconv.Itoa(i), Cells: []cell{kind, {Text: strconv.FormatUint(x.Seq, 10), Number: true}, {Text: clean(x.User)}, {Text: clean(x.Record), Code: true}, {Text: sentence(x.Detail)}}})
	}
	gaps := section{ID: "gaps", Heading: v.t("usage.gaps"), Table: found, Empty: v.t("usage.gaps.none")}
	if a.More > 0 {
		gaps.Note = v.t("usage.gaps.more", v.number(int(min(a.More, 1<<31))))
	}
	if len(a.Findings) > 0 {
		p.Alert = &alert{Title: v.t("usage.gaps.title", v.number(len(a.Findings)+int(min(a.More, 1<<31)))), Detail: v.t("usage.gaps.next")}
	} else {
		p.Done = v.t("usage.gaps.none")
	}
	p.Sections = []section{gaps, {ID: "books", Heading: v.t("usage.audit.counted"), Facts: facts}, {ID: "ways", Heading: v.t("usage.ways"), Table: ways, Empty: v.t("usage.ways.none")}}
	return p, nil
}
