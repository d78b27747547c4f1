package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sitegate/api"
)

// audit is what administrators did, and denied sign-ins, newest first.
func audit(v *visit) (*page, error) {
	var l api.SiteAuditList
	if err := v.get(api.PathSiteAudit, v.query("before"), &l); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("audit.title"), Lead: v.t("audit.lead"), Search: v.searching("audit", "audit.search"),
		Actions: []link{{Text: v.t("audit.verify"), Href: at("audit/verify")}, {Text: v.t("audit.csv"), Href: at("audit.csv")}}}
	t := &table{Caption: v.t("audit.title"), Columns: []string{v.t("col.when"), v.t("col.what"), v.t("col.by"), v.t("audit.about"), v.t("col.why"), v.t("audit.number")}}
	for _, x := range l.Items {
		about := cell{Text: clean(cmp.Or(x.UserName, x.User)), Sub: clean(strings.TrimSpace(cmp.Or(x.MachineName, x.Machine) + " " + x.About))}
		if x.Count > 0 {
			about.Tags = []tag{{"× " + strconv.FormatUint(x.Count, 10), ""}}
		}
		t.Rows = append(t.Rows, row{ID: fmt.Sprint("audit-", x.Number), Cells: []cell{{At: x.At}, {Text: clean(x.What), Code: true},
			{Text: clean(cmp.Or(x.ByName, x.By)), Sub: clean(strings.TrimSpace(x.Via + " " + x.From))}, about, {Text: clean(cmp.Or(x.NoteText, x.Note))}, {Text: strconv.FormatUint(x.Number, 10), Number: true}}})
	}
	p.Sections = []section{{ID: "acts", Heading: v.t("audit.heading"), Table: t, Empty: v.t("audit.empty"), Next: v.more("audit", "before", l.Next)}, v.trail(l.Trail)}
	if l.Next != "" && len(l.Items) == 0 {
		p.Sections[0].Empty, p.Sections[0].Next.Text = v.t("nothing-found"), v.t("history.more")
	}
	if !v.who.May(Operator) {
		p.Sections[0].Note = v.t("audit.bare")
	}
	return p, nil
}

// trail is how much there is.
func (v *visit) trail(x api.AuditTrail) section {
	return section{ID: "trail", Heading: v.t("audit.trail"), Note: v.t("audit.export.note"), Facts: []fact{
		{v.t("audit.kept"), cell{Text: v.t("audit.from-to", x.After+1, x.Number)}}, {v.t("col.since"), cell{At: x.Since}},
		{v.t("audit.exported"), cell{Text: strconv.FormatUint(x.Exported, 10)}}, {v.t("audit.hash"), cell{Text: x.Hash, Code: true}}}}
}

// verified reads the whole trail on this node, and says whether it holds.
func verified(v *visit) (*page, error) {
	var x api.AuditVerified
	if err := v.get(api.PathTrail+"/verify", nil, &x); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("audit.verify"), Lead: v.t("audit.verify.lead"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("audit")}}}
	facts := []fact{{v.t("audit.kept"), cell{Text: v.t("audit.from-to", x.First, x.Number)}}, {v.t("audit.hash"), cell{Text: x.Hash, Code: true}}}
	if x.Holds {
		p.Done = v.t("audit.holds")
	} else {
		p.Alert = &alert{Title: v.t("audit.broken", x.Broken), Detail: sentence(x.Why), Next: []string{v.t("audit.broken.next")}}
	}
	p.Sections = []section{{ID: "verified", Facts: facts}}
	return p, nil
}

// auditCSV is all of the trail that is kept, as a file, oldest first.
func (c *Console) auditCSV(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	names := v.who.May(Operator)
	q := url.Values{"names": {strconv.FormatBool(names)}}
	var l api.AuditPage
	if err := v.get(api.PathTrail, q, &l); err != nil {
		v.trouble(w, "audit", err)
		return
	}
	out := newSheet(w, "audit.csv", "number", "at", "what", "by", "via", "user", "machine", "about", "note", "count", "from", "seq", "hash", "by_name", "user_name", "machine_name", "note_text")
	for len(l.Items) > 0 {
		for _, x := range l.Items {
			out.line(strconv.FormatUint(x.Number, 10), moment(x.At), x.What, x.By, x.Via, x.User, x.Machine, x.About, x.Note, strconv.FormatUint(x.Count, 10), x.From,
				strconv.FormatUint(x.Seq, 10), x.Hash, x.ByName, x.UserName, x.MachineName, x.NoteText)
		}
		last := l.Items[len(l.Items)-1].Number
		if last >= l.Trail.Number {
			break
		}
		q.Set("after", strconv.FormatUint(last, 10))
		l = api.AuditPage{}
		if err := v.get(api.PathTrail, q, &l); err != nil {
			c.cutShort(err)
		}
	}
	out.to.Flush()
}
