package console

import (
	"fmt"
	"strings"

	"sitegate/api"
)

// now is who is active on which machine with what.
func now(v *visit) (*page, error) {
	var l api.OpenList
	if err := v.get(api.PathOpen, v.query("kind", "product", "after"), &l); err != nil {
		return nil, err
	}
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &products); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("now.title"), Lead: v.t("now.lead"), Search: v.searching("", "now.search", v.choice("kind", "kind", "session", "checkout"), v.productFilter(products.Items))}
	p.Search.Count = v.count(l.Total, l.All)
	p.Stats = v.useOf(products.Items)
	var err error
	if p.Line, err = v.lastDay(); err != nil {
		return nil, err
	}
	t := &table{Caption: v.t("now.title"), Columns: v.openColumns()}
	for _, x := range l.Items {
		t.Rows = append(t.Rows, v.openRow(x))
	}
	empty := v.t("now.empty")
	if l.All > 0 {
		empty = v.t("nothing-found")
	}
	p.Sections = []section{{ID: "open", Heading: v.t("now.heading"), Table: t, Empty: empty, Next: v.more("", "after", l.Next)}, v.productSection(products.Items)}
	return p, nil
}

// productFilter is a choice among the products that are in use or owned.
func (v *visit) productFilter(products []api.ProductUse) filter {
	f := filter{Name: "product", Label: v.t("col.product"), Options: []option{{Label: v.t("product.any")}}}
	chosen := v.r.URL.Query().Get("product")
	for _, x := range products {
		if x.Owned > 0 || x.Sessions > 0 || x.Checkouts > 0 || x.Product == chosen {
			f.Options = append(f.Options, option{Value: x.Product, Label: clean(x.Name)})
		}
	}
	return f
}

// useOf are how many there are of what, and how much of it is in use: capped products,
// the fullest of them first.
func (v *visit) useOf(products []api.ProductUse) []stat {
	sessions, checkouts := 0, 0
	var full []api.ProductUse
	for _, x := range products {
		sessions += x.Sessions
		checkouts += x.Checkouts
		if x.Owned > 0 && x.InUse > 0 {
			full = append(full, x)
		}
	}
	stats := []stat{{Label: v.t("stat.sessions"), Value: v.number(sessions)}, {Label: v.t("stat.checkouts"), Value: v.number(checkouts)}}
	sortFull(full)
	for _, x := range full[:min(len(full), 4)] {
		s := stat{Label: clean(strings.TrimSpace(x.Name)), Value: v.number(x.InUse), Sub: v.t("stat.of", v.number(x.Owned)), Part: x.InUse, Whole: x.Owned}
		if s.Label == "" {
			s.Label = clean(x.Product)
		}
		if x.InUse >= x.Owned {
			s.Tone = "warn"
		}
		stats = append(stats, s)
	}
	return stats
}

// refusals are who was refused, why, what they were told and what IT can do.
func refusals(v *visit) (*page, error) {
	var l api.SiteRefusalList
	if err := v.get(api.PathRefusals, v.query("kind", "before"), &l); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("refusals.title"), Lead: v.t("refusals.lead"), Search: v.searching("refusals", "refusals.search", v.choice("kind", "refusal", "refused", "observed"))}
	p.Sections = []section{v.refusalTable("refusals", l)}
	return p, nil
}

func (v *visit) refusalTable(path string, l api.SiteRefusalList) section {
	t := &table{Caption: v.t("refusals.title"), Columns: []string{v.t("col.user"), v.t("col.when"), v.t("col.why"), v.t("col.told"), v.t("col.it")}}
	for _, x := range l.Items {
		who := person(x.User, x.Name, x.Email)
		who.Sub = clean(strings.TrimSpace(x.Machine.Name + " · " + x.ProductName))
		why := cell{Text: clean(x.Title), Code: false}
		if x.Other != nil {
			why.Sub = v.t("refusals.other", clean(x.Other.Name))
		}
		if x.Observed {
			why.Tags = append(why.Tags, tag{v.t("tag.observed"), "info"})
		}
		if x.CannotHold {
			why.Tags = append(why.Tags, tag{v.t("tag.cannot-hold"), "bad"})
		}
		if x.Relayed {
			why.Tags = append(why.Tags, tag{v.t("tag.relayed"), ""})
		}
		told := cell{Text: sentence(x.Told), Sub: sentence(strings.Join(x.Next, " "))}
		if x.Told != x.Detail {
			told.Sub = sentence(x.Detail)
		}
		do := cell{Text: sentence(x.Remedy)}
		if x.Other != nil && x.Open != "" && v.who.May(Operator) {
			if x.OpenKind == "session" {
				do.Links = []link{{Text: v.t("act.free.machine", clean(x.Other.Name)), Href: at("sessions/"+x.Open+"/free", "back", "refusals")}}
			} else {
				do.Links = []link{{Text: v.t("act.write-off"), Tone: "danger", Href: at("checkouts/"+x.Open+"/write-off", "back", "refusals")}}
			}
		}
		t.Rows = append(t.Rows, row{ID: fmt.Sprint(x.Seq), Cells: []cell{who, {At: x.At, Ago: true}, why, told, do}})
	}
	return section{ID: "refused", Heading: v.t("refusals.heading"), Table: t, Empty: v.t("refusals.empty"), Next: v.more(path, "before", l.Next)}
}
