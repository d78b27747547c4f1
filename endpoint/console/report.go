package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/report"
)

// reportPeriod is the period that is reported where nobody says which.
const reportPeriod = "week"

// reported is what became of the licenses in a time, to be read and printed. The journal is
// read for it, so that it is not kept up to date.
func reported(v *visit) (*page, error) {
	period := v.choice("period", "report.period", "day", "month")
	from, to := v.dayFilter("from", "report.from"), v.dayFilter("to", "report.to")
	p := &page{Title: v.t("report.title"), Lead: v.t("report.lead"), Still: true, Search: v.searching("report", "", period, from, to)}
	if v.who.May(Operator) {
		p.Search.Filters = append(p.Search.Filters, v.searching("report", "", v.choice("names", "report.names", "true")).Filters...)
	}
	r, err := v.report()
	var f *failed
	if errors.As(err, &f) && f.Status == http.StatusBadRequest { // the days are not such as can be
		p.Sections = []section{{ID: "report", Heading: v.t("report.bad"), Empty: v.t("report.bad.why")}}
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.Search.Count = v.t("report.from-to", stamp(r.From), stamp(r.Until))
	facts := []fact{{v.t("report.site"), cell{Text: clean(r.Site)}}, {v.t("report.since"), cell{At: r.From}}, {v.t("report.until"), cell{At: r.Until}}, {v.t("report.made"), cell{At: r.Made}}}
	p.Sections = []section{{ID: "report", Facts: facts, Actions: []link{{Text: v.t("capped.csv"), Href: at("report.csv") + "?" + v.r.URL.Query().Encode()}}}, v.reportProducts(r.Products), v.reportRefusals(r.Refusals)}
	p.Sections = append(p.Sections, v.reportEnds(r)...)
	p.Sections = append(p.Sections, v.reportLink(r.Link), v.reportAlerts(r.Alerts))
	if named, _ := strconv.ParseBool(v.r.URL.Query().Get("names")); named { // what is neither true nor false is refused by the API
		p.Sections = append(p.Sections, v.reportPeople(r))
	}
	return p, nil
}

// dayFilter is a filter that is a day.
func (v *visit) dayFilter(name, label string) filter {
	return filter{Name: name, Label: v.t(label), Day: true, Value: clean(v.r.URL.Query().Get(name))}
}

// report asks for the report that the page's address names: days, the last of which belongs
// to it, before a period.
func (v *visit) report() (r api.Report, err error) {
	asked := v.r.URL.Query()
	q := url.Values{"lang": {v.lang.String()}}
	from, to := asked.Get("from"), asked.Get("to")
	switch {
	case from == "" && to == "":
		q.Set("period", cmp.Or(asked.Get("period"), reportPeriod))
	case from != "":
		q.Set("from", from)
		fallthrough
	default:
		if day, err := time.Parse(time.DateOnly, to); err == nil {
			to = day.AddDate(0, 0, 1).Format(time.DateOnly)
		}
		if to != "" {
			q.Set("to", to)
		}
	}
	if names := asked.Get("names"); names != "" {
		q.Set("names", names)
	}
	return r, v.get(api.PathReport, q, &r)
}

// reportCSV is the report as a file.
func (c *Console) reportCSV(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	out, err := v.report()
	if err != nil {
		v.trouble(w, "report", err)
		return
	}
	attached(w, "text/csv; charset=utf-8", fmt.Sprintf("sitegate-report-%s-%s.csv", day(out.From), day(out.Until.Add(-time.Second))))
	_ = report.CSV(w, out) // a browser that is gone is nobody's error
}

func (v *visit) reportProducts(products []api.ReportProduct) section {
	t := &table{Caption: v.t("report.products"), Columns: []string{v.t("col.product"), v.t("capped.owned"), v.t("report.peak"), v.t("report.peak-at"), v.t("report.pooled"), v.t("report.refused"),
		v.t("license.unassigned"), v.t("license.never-used"), v.t("report.ending")}}
	for _, x := range products {
		number := func(n int) cell { return cell{Text: v.number(n), Number: true} }
		peak := number(x.Peak)
		if x.Owned > 0 && x.Peak >= x.Owned {
			peak.Tags = []tag{{v.t("report.full"), "warn"}}
		}
		t.Rows = append(t.Rows, row{ID: "product-" + x.Product, Cells: []cell{{Text: clean(cmp.Or(x.Name, x.Product))}, number(x.Owned), peak, {At: x.PeakAt}, number(x.Pooled), number(x.Refused),
			number(x.Unassigned), number(x.NeverUsed), number(x.Ending)}})
	}
	return section{ID: "products", Heading: v.t("report.products"), Note: v.t("report.products.note"), Table: t, Empty: v.t("report.none")}
}

func (v *visit) reportRefusals(refusals []api.ReportRefusal) section {
	t := &table{Caption: v.t("refusals.title"), Columns: []string{v.t("col.why"), v.t("report.times"), v.t("report.observed")}}
	for _, x := range refusals {
		t.Rows = append(t.Rows, row{ID: "refusal-" + x.Reason, Cells: []cell{{Text: sentence(x.Title), Sub: x.Reason}, {Text: v.number(x.Count), Number: true}, {Text: v.number(x.Observed), Number: true}}})
	}
	return section{ID: "refusals", Heading: v.t("refusals.title"), Table: t, Empty: v.t("report.none")}
}

// reportEnds are the licenses and the checkouts that end.
func (v *visit) reportEnds(r api.Report) []section {
	licenses := &table{Caption: v.t("report.licenses-end"), Columns: []string{v.t("col.day"), v.t("col.product"), v.t("col.licenses")}}
	for _, x := range r.LicensesEnd {
		licenses.Rows = append(licenses.Rows, row{ID: "license-" + x.Day + "-" + x.Product, Cells: []cell{{Text: x.Day}, {Text: reportName(r, x.Product)}, {Text: v.number(x.Count), Number: true}}})
	}
	checkouts := &table{Caption: v.t("report.checkouts-end"), Columns: []string{v.t("col.day"), v.t("col.checkouts")}}
	for _, x := range r.CheckoutsEnd {
		checkouts.Rows = append(checkouts.Rows, row{ID: "checkout-" + x.Day, Cells: []cell{{Text: x.Day}, {Text: v.number(x.Count), Number: true}}})
	}
	return []section{{ID: "licenses-end", Heading: v.t("report.licenses-end"), Table: licenses, Empty: v.t("report.none")},
		{ID: "checkouts-end", Heading: v.t("report.checkouts-end"), Table: checkouts, Empty: v.t("report.none")}}
}

// reportName is what a report calls a product.
func reportName(r api.Report, id string) string {
	for _, x := range r.Products {
		if x.Product == id {
			return clean(cmp.Or(x.Name, id))
		}
	}
	return clean(id)
}

func (v *visit) reportLink(l *api.ReportLink) section {
	s := section{ID: "link", Heading: v.t("chip.link")}
	switch {
	case l == nil:
		s.Note = v.t("report.link.none")
	case l.Times == 0:
		s.Note = v.t("report.link.up")
	default:
		s.Note, s.Tone = v.t("report.link.down"), "warn"
		s.Facts = []fact{{v.t("report.times"), cell{Text: v.number(l.Times)}}, {v.t("report.link.in-all"), cell{Text: report.Lasted(l.DownMS)}}, {v.t("report.link.longest"), cell{Text: report.Lasted(l.LongestMS)}}}
	}
	return s
}

func (v *visit) reportAlerts(alerts []api.ReportAlert) section {
	t := &table{Caption: v.t("report.alerts"), Columns: []string{v.t("col.what"), v.t("col.since"), v.t("col.until")}}
	for i, x := range alerts {
		over := cell{At: x.Over}
		if x.Over.IsZero() {
			over.Tags = []tag{{v.t("report.lasts"), "warn"}}
		}
		t.Rows = append(t.Rows, row{ID: "alert-" + strconv.Itoa(i), Cells: []cell{{Text: clean(x.Kind), Code: true, Sub: clean(x.Subject)}, {At: x.Began}, over}})
	}
	return section{ID: "alerts", Heading: v.t("report.alerts"), Table: t, Empty: v.t("report.none")}
}

func (v *visit) reportPeople(r api.Report) section {
	t := &table{Caption: v.t("report.people"), Columns: []string{v.t("col.user"), v.t("col.why"), v.t("col.product"), v.t("col.machine"), v.t("col.until")}}
	for i, x := range r.People {
		t.Rows = append(t.Rows, row{ID: "person-" + strconv.Itoa(i), Cells: []cell{person(x.User, x.Name, ""), {Text: v.t("report.why." + x.Why)}, {Text: reportName(r, x.Product)}, {Text: clean(x.Machine)}, {At: x.Until}}})
	}
	return section{ID: "people", Heading: v.t("report.people"), Table: t, Empty: v.t("report.none")}
}
