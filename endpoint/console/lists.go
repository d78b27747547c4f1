package console

import (
	"net/url"
	"strconv"
	"strings"

	"sitegate/api"
)

// rowsShown is how many rows a page of the console has.
const rowsShown = "50"

// query is what a list of the API's is asked for with: what the page was asked for with, as
// far as the API knows it.
func (v *visit) query(names ...string) url.Values {
	q := url.Values{"limit": {rowsShown}}
	asked := v.r.URL.Query()
	for _, name := range append(names, "q") {
		if value := asked.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// searching is the form that narrows a list: by words, where there is a label for them, and
// by filters.
func (v *visit) searching(path, label string, filters ...filter) *search {
	s := &search{Action: at(path), Filters: filters}
	if label != "" {
		s.Label, s.Value = v.t(label), clean(v.r.URL.Query().Get("q"))
	}
	for i := range s.Filters {
		chosen := v.r.URL.Query().Get(s.Filters[i].Name)
		for j := range s.Filters[i].Options {
			s.Filters[i].Options[j].Chosen = s.Filters[i].Options[j].Value == chosen
		}
	}
	return s
}

// choice is a filter whose options are texts of the console: key.value, and key.any.
func (v *visit) choice(name, key string, values ...string) filter {
	f := filter{Name: name, Label: v.t(key), Options: []option{{Value: "", Label: v.t(key + ".any")}}}
	for _, value := range values {
		f.Options = append(f.Options, option{Value: value, Label: v.t(key + "." + value)})
	}
	return f
}

// more leads to the page that follows.
func (v *visit) more(path, name, next string) link {
	if next == "" {
		return link{}
	}
	q := v.r.URL.Query()
	q.Del("done")
	q.Set(name, next)
	text := v.t("more")
	if path == "users" || path == "licenses" || path == "usage/pooled" || path == "usage/refused" || path == "products" { // in the order of names
		text = v.t("more.next")
	}
	return link{Text: text, Href: at(path) + "?" + q.Encode()}
}

// count says how many there are, and how many are found.
func (v *visit) count(found, all int) string {
	if found == all {
		return v.t("count", v.number(all))
	}
	return v.t("count.found", v.number(found), v.number(all))
}

// number writes a number with its thousands apart.
func (v *visit) number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:] // as all three languages may
	}
	return s
}

// person is a user, as a cell.
func person(id, name, email string) cell {
	c := cell{Text: clean(name), Href: userPage(id)}
	if c.Text == "" {
		c.Text = clean(id)
	}
	if email != name {
		c.Sub = clean(email)
	}
	return c
}

// onMachine is a machine, as a cell.
func onMachine(m api.Machine) cell {
	if m == (api.Machine{}) {
		return cell{}
	}
	name := clean(m.Name)
	if name == "" {
		name = clean(m.ID)
	}
	return cell{Text: name, Href: machinePage(m)}
}

// openColumns and openRow show a session or a checkout.
func (v *visit) openColumns() []string {
	return []string{v.t("col.user"), v.t("col.machine"), v.t("col.product"), v.t("col.since"), v.t("col.state"), v.t("col.act")}
}

func (v *visit) openRow(x api.Open) row {
	r := row{ID: x.ID, Faint: x.Closed, Cells: []cell{person(x.User, x.Name, x.Email), onMachine(x.Machine),
		{Text: clean(x.ProductName), Sub: x.Version}, {At: x.Since, Ago: true}, {Tags: v.tags(x)}, {}}}
	acts := &r.Cells[5]
	if x.Closed {
		r.ID += "-over"
		r.Cells[4].At = x.Until
		return r
	}
	if x.Kind == "checkout" {
		r.Cells[4].At = x.Until
	}
	if !v.who.May(Operator) {
		return r
	}
	switch {
	case x.Kind == "checkout" && x.WrittenOff == nil:
		acts.Links = []link{{Text: v.t("act.write-off"), Href: at("checkouts/" + x.ID + "/write-off"), Tone: "danger", Label: v.t("act.write-off.of", clean(x.Name), clean(x.Machine.Name))}}
	case x.Kind == "session" && (x.Ending == nil || x.Ending.Reason != "released"):
		acts.Links = []link{{Text: v.t("act.free"), Href: at("sessions/" + x.ID + "/free"), Label: v.t("act.free.of", clean(x.Machine.Name), clean(x.Name))}}
	}
	return r
}

// tags say how it is with something open.
func (v *visit) tags(x api.Open) []tag {
	var tags []tag
	add := func(key, tone string) { tags = append(tags, tag{v.t(key), tone}) }
	switch {
	case x.Closed:
		add("tag.closed", "")
		return tags
	case x.Kind == "checkout":
		add("tag.checkout", "info")
	default:
		add("tag.session", "")
	}
	switch {
	case x.Kind == "checkout":
	case x.Provisional:
		add("tag.provisional", "warn")
	case x.Capped == "no":
	default:
		add("tag.confirmed", "good")
	}
	if x.LicenseType != "Practitioner" {
		tags = append(tags, tag{x.LicenseType, "warn"})
	}
	if x.Ending != nil {
		tags = append(tags, tag{v.t("tag.ending") + " " + v.t("ending."+x.Ending.Reason), "warn"})
	}
	if x.WrittenOff != nil {
		add("tag.written-off", "warn")
	}
	if !x.Flagged.IsZero() {
		add("tag.flagged", "bad")
	}
	if x.Relayed {
		add("tag.relayed", "")
	}
	return tags
}

// history is what happened, as a section of a page, for who says why they look at it. A page
// whose address has a reason is not kept up to date: that would be looking at it again and
// again, or for the first time, for a reason that somebody else gave.
func (v *visit) history(p *page, q url.Values) (section, error) {
	asked := v.r.URL.Query()
	reason := strings.TrimSpace(asked.Get("reason"))
	p.Still = reason != ""
	if reason == "" || !takes(reason) || fromElsewhere(v.r) || v.r.Header.Get(api.HeaderUnattended) != "" { // neither a link of somebody's nor a page by itself gives a reason
		a := &ask{Action: v.r.URL.EscapedPath(), Hidden: map[string]string{}, Label: v.t("form.reason"), Help: v.t("history.why"), Value: reason, Submit: v.t("history.show")}
		for _, name := range []string{"id", "name"} {
			if value := asked.Get(name); value != "" {
				a.Hidden[name] = value
			}
		}
		s := section{ID: "history", Heading: v.t("history.title"), Ask: a}
		if !takes(reason) {
			a.Value, s.Note, s.Tone = strings.ToValidUTF8(reason, "?"), v.t("form.reason.bad"), "bad"
		}
		return s, nil
	}
	q.Set("reason", reason)
	if before := asked.Get("before"); before != "" {
		q.Set("before", before)
	}
	q.Set("limit", rowsShown)
	var l api.HistoryList
	if err := v.get(api.PathHistory, q, &l); err != nil {
		return section{}, err
	}
	t := &table{Caption: v.t("history.title"), Columns: []string{v.t("col.when"), v.t("col.what"), v.t("col.user"), v.t("col.machine"), v.t("col.by")}}
	for _, x := range l.Items {
		r := row{ID: strconv.FormatUint(x.Seq, 10), Cells: []cell{{At: x.At}, {Text: sentence(x.Text)}, person(x.User, x.Name, ""), {}, {Text: clean(x.By), Sub: clean(x.Note)}}}
		if x.Machine != nil {
			r.Cells[3] = onMachine(*x.Machine)
		}
		t.Rows = append(t.Rows, r)
	}
	s := section{ID: "history", Heading: v.t("history.title"), Table: t, Empty: v.t("history.empty"), Next: v.more(strings.TrimPrefix(v.r.URL.EscapedPath(), Base), "before", l.Next)}
	if l.Next != "" {
		s.Next.Text = v.t("history.more")
	}
	return s, nil
}
