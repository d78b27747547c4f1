package console

import (
	"cmp"
	"net/url"

	"sitegate/api"
)

// pooled is what the account pays by the day for users to whom a license, which is
// nobody's, could have been assigned (R3, R12). All licenses are read for it, so that it is
// not kept up to date.
func pooled(v *visit) (*page, error) {
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &products); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, x := range products.Items {
		names[x.Product] = x.Name
	}
	q := url.Values{"kind": {"pooled"}}
	if after := v.r.URL.Query().Get("after"); after != "" {
		q.Set("after", after)
	}
	var l api.List[api.Reminder]
	if err := v.get(api.PathReminders, q, &l); err != nil {
		return nil, err
	}
	t := &table{Caption: v.t("pooled.title"), Columns: []string{v.t("col.user"), v.t("col.product"), v.t("pooled.license"), v.t("pooled.days"), v.t("col.since")}}
	for _, x := range l.Items {
		who := person(x.User, "", "")
		who.Sub = sentence(x.Text)
		t.Rows = append(t.Rows, row{ID: "pooled-" + x.License, Cells: []cell{who, {Text: clean(cmp.Or(names[x.Product], x.Product))},
			{Text: clean(x.License), Href: of("licenses", x.License, "")}, {Text: v.number(x.Days), Number: true}, {At: x.Since}}})
	}
	return &page{Title: v.t("pooled.title"), Lead: v.t("pooled.note"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("usage")}},
		Sections: []section{{ID: "pooled", Heading: v.t("pooled.title"), Table: t, Empty: v.t("pooled.none"), Next: v.more("usage/pooled", "after", l.Next)}}}, nil
}
