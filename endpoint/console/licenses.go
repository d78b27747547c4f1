package console

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
)

// licenses are the account's licenses and to whom they are assigned.
func licenses(v *visit) (*page, error) {
	var l api.SiteLicenseList
	if err := v.get(api.PathSiteLicenses, v.query("state", "product", "after"), &l); err != nil {
		return nil, err
	}
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &products); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("licenses.title"), Lead: v.t("licenses.lead"), Search: v.searching("licenses", "licenses.search",
		v.choice("state", "license", "unassigned", "not-found", "never-used", "ending", "ended"), v.productFilter(products.Items))}
	p.Search.Count = v.t("count", v.number(l.Total))
	if v.who.May(Admin) {
		if follows, err := v.followsFeed(); err != nil {
			return nil, err
		} else if !follows {
			p.Actions = []link{{Text: v.t("import.title"), Href: at(importPath)}}
		}
	}
	s := section{ID: "licenses", Heading: v.t("licenses.heading"), Table: v.licenseTable(l.Items), Empty: v.t("licenses.empty"), Next: v.more("licenses", "after", l.Next)}
	if state := v.r.URL.Query().Get("state"); has("licenses.note." + state) {
		s.Note = v.t("licenses.note." + state)
	}
	p.Sections = []section{s}
	return p, nil
}

func (v *visit) licenseTable(items []api.SiteLicense) *table {
	t := &table{Caption: v.t("licenses.title"), Columns: []string{v.t("col.product"), v.t("col.assignee"), v.t("col.term"), v.t("col.move"), v.t("col.last-used")}}
	for _, x := range items {
		name := cell{Text: clean(x.ProductName), Href: of("licenses", x.ID, ""), Sub: clean(x.ID), Tags: v.licenseTags(x)}
		whom := cell{Text: v.t("license.unassigned.short")}
		if x.Assignee != "" {
			whom = person(x.Assignee, x.Name, x.Email)
		}
		if x.NotFound {
			whom.Tags = append(whom.Tags, tag{v.t("tag.not-found"), "bad"})
		}
		term := cell{At: x.Ends}
		if x.Ends.IsZero() {
			term.Text = v.t("license.open-end")
		}
		t.Rows = append(t.Rows, row{ID: x.ID, Faint: x.Ended, Cells: []cell{name, whom, term, v.moveCell(x), v.usedCell(x)}})
	}
	return t
}

func (v *visit) licenseTags(x api.SiteLicense) []tag {
	var tags []tag
	switch x.Capped {
	case "yes":
		tags = append(tags, tag{v.t("tag.capped"), "info"})
	case "unknown":
		tags = append(tags, tag{v.t("tag.capped-unknown"), "warn"})
	}
	if x.Type != "virtuoso" {
		tags = append(tags, tag{v.t("type." + x.Type), ""})
	}
	if x.Ended {
		tags = append(tags, tag{v.t("tag.ended"), "bad"})
	}
	return tags
}

// moveCell is whether a license can be moved, and since or until when (R10).
func (v *visit) moveCell(x api.SiteLicense) cell {
	switch {
	case x.Type != "virtuoso", x.Ended:
		return cell{}
	case x.NotFound:
		return cell{Text: v.t("move.vendor")}
	case !x.LockedUntil.IsZero():
		return cell{Text: v.t("move.locked"), At: x.LockedUntil}
	}
	c := cell{Text: v.t("move.now")}
	if x.Assignee == "" {
		c.Text = v.t("move.assign")
	}
	if portal := v.portal(); portal != "" {
		return cell{Links: []link{{Text: v.t("move.portal"), Href: portal, Label: v.t("move.portal") + ": " + clean(x.ProductName) + " " + clean(x.ID)}}}
	}
	if v.who.May(Operator) {
		c = cell{Links: []link{{Text: c.Text, Href: of("licenses", x.ID, "/move"), Label: c.Text + ": " + clean(x.ProductName) + " " + clean(x.ID)}}}
	}
	return c
}

// portal is where licenses are moved if it is known that the cloud takes no moves from here;
// empty: here, or nobody has said where.
func (v *visit) portal() string {
	s, err := v.status()
	if err != nil || s.Cloud.Moves == nil || s.Cloud.Moves.Offered || !strings.HasPrefix(s.Cloud.Portal, "https://") {
		return ""
	}
	return s.Cloud.Portal
}

func (v *visit) usedCell(x api.SiteLicense) cell {
	switch {
	case !x.LastUsed.IsZero():
		return cell{At: x.LastUsed}
	case x.Assignee != "":
		return cell{Tags: []tag{{v.t("tag.never-used"), "warn"}}}
	}
	return cell{}
}

// oneLicense is a license and, where it is lost with its user, what to send to the vendor.
func oneLicense(v *visit) (*page, error) {
	var x api.SiteLicense
	if err := v.get(api.Of(api.PathSiteLicenses, v.id(), ""), nil, &x); err != nil {
		return nil, err
	}
	p := &page{Title: clean(x.ProductName), Lead: v.t("license.lead", clean(x.ID))}
	if v.who.May(Operator) && x.LockedUntil.IsZero() && !x.NotFound && !x.Ended && x.Type == "virtuoso" {
		p.Actions = []link{{Text: v.t("act.move"), Href: of("licenses", x.ID, "/move"), Tone: "primary"}}
		if portal := v.portal(); portal != "" {
			p.Actions[0] = link{Text: v.t("move.portal"), Href: portal, Tone: "primary"}
		}
	}
	p.Sections = []section{{ID: "license", Facts: append(v.licenseFacts(x), fact{v.t("col.move"), v.moveCell(x)}, fact{v.t("col.last-used"), v.usedCell(x)})}}
	for id, r := range x.Requests {
		p.Sections = append(p.Sections, section{ID: "request-" + strconv.Itoa(id), Heading: sentence(r.Title), Note: sentence(r.When), Copy: lines(r.Text)})
	}
	return p, nil
}

func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(time.DateOnly)
}

func (v *visit) licenseFacts(x api.SiteLicense) []fact {
	whom := cell{Text: v.t("license.unassigned.short")}
	if x.Assignee != "" {
		whom = person(x.Assignee, x.Name, x.Email)
		whom.At = x.AssignedAt
	}
	return []fact{{v.t("col.product"), cell{Text: clean(x.ProductName), Tags: v.licenseTags(x)}}, {v.t("col.id"), cell{Text: clean(x.ID), Code: true}},
		{v.t("col.assignee"), whom}, {v.t("col.starts"), cell{At: x.Starts}}, {v.t("col.ends"), cell{At: x.Ends}}}
}

// capped is the vendor's report Realtime Capped Virtuoso Usage (KB0018624) of this site:
// what has ended stays in it for three minutes.
func capped(v *visit) (*page, error) {
	l, err := v.cappedUse()
	if err != nil {
		return nil, err
	}
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &products); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("capped.title"), Lead: v.t("capped.lead"), Search: v.searching("capped", "now.search", v.choice("kind", "capped.kind", "checkout", "session"), v.productFilter(onlyCapped(products.Items)))}
	p.Search.Count = v.t("count", v.number(l.Total))
	p.Actions = []link{{Text: v.t("capped.csv"), Href: at("capped.csv") + "?" + v.r.URL.Query().Encode()}}
	owned, used := 0, 0
	for _, x := range onlyCapped(products.Items) {
		owned += x.Owned
		used += x.InUse
	}
	p.Stats = []stat{{Label: v.t("capped.used"), Value: v.number(used), Sub: v.t("stat.of", v.number(owned)), Part: used, Whole: owned}}
	t := &table{Caption: v.t("capped.title"), Columns: []string{v.t("col.product"), v.t("col.virtuoso"), v.t("col.user"), v.t("col.email"), v.t("col.machine"), v.t("col.state")}}
	for _, x := range l.Items {
		r := row{ID: x.ID, Faint: x.Closed, Cells: []cell{{Text: clean(x.ProductName)}, {Text: clean(x.License), Code: true}, person(x.User, x.Name, ""), {Text: clean(x.Email)}, onMachine(x.Machine), {Tags: v.tags(x)}}}
		if x.Closed {
			r.ID += "-over"
			r.Cells[5].At = x.Until
		}
		t.Rows = append(t.Rows, r)
	}
	use := &table{Caption: v.t("capped.by-product"), Columns: []string{v.t("col.product"), v.t("capped.used"), v.t("capped.owned"), v.t("stat.sessions"), v.t("stat.checkouts")}}
	for _, x := range onlyCapped(products.Items) {
		if x.Owned > 0 || x.InUse > 0 {
			use.Rows = append(use.Rows, row{ID: "p-" + x.Product, Cells: []cell{{Text: clean(x.Name)}, {Text: v.number(x.InUse), Number: true}, {Text: v.number(x.Owned), Number: true}, {Text: v.number(x.Sessions), Number: true}, {Text: v.number(x.Checkouts), Number: true}}})
		}
	}
	p.Sections = []section{{ID: "refreshed", Facts: []fact{{v.t("capped.refreshed"), cell{At: l.At, Second: true}}}}, {ID: "capped", Heading: v.t("capped.heading"), Table: t, Empty: v.t("now.empty"), Next: v.more("capped", "after", l.Next)},
		{ID: "products", Heading: v.t("capped.by-product"), Table: use, Empty: v.t("capped.none")}}
	return p, nil
}

func (v *visit) cappedUse() (l api.OpenList, err error) {
	q := v.query("kind", "product", "after")
	q.Set("capped", "yes")
	return l, v.get(api.PathOpen, q, &l)
}

func onlyCapped(all []api.ProductUse) []api.ProductUse {
	var out []api.ProductUse
	for _, x := range all {
		if x.Capped == "yes" {
			out = append(out, x)
		}
	}
	return out
}

// cappedCSV is the whole report as a file.
func (c *Console) cappedCSV(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	q := v.query("kind", "product")
	q.Set("capped", "yes")
	q.Set("limit", "500")
	var l api.OpenList
	if err := v.get(api.PathOpen, q, &l); err != nil {
		v.trouble(w, "capped", err)
		return
	}
	out := newSheet(w, "capped-usage-"+l.At.UTC().Format("20060102T150405Z")+".csv", "application", "virtuoso_id", "user", "email", "machine", "kind", "since", "until")
	for {
		for _, x := range l.Items {
			kind := x.Kind
			if x.Closed {
				kind += " closed"
			}
			out.line(cmp.Or(x.ProductName, x.Product), x.License, cmp.Or(x.Name, x.User), x.Email, x.Machine.Name, kind, moment(x.Since), moment(x.Until))
		}
		if l.Next == "" {
			break
		}
		q.Set("after", l.Next)
		l = api.OpenList{}
		if err := v.get(api.PathOpen, q, &l); err != nil {
			c.cutShort(err)
		}
	}
	out.to.Flush()
}
