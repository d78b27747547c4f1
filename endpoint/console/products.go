package console

import (
	"cmp"
	"slices"
	"strconv"

	"sitegate/api"
)

// productsFirst is how many products are on the Now page: the fullest.
const productsFirst = 10

// usedProducts are the products of which the account owns something or something is open, the fullest
// first, and then those of which most is open.
func usedProducts(all []api.ProductUse) []api.ProductUse {
	var out []api.ProductUse
	for _, x := range all {
		if x.Owned > 0 || x.InUse > 0 || x.Sessions > 0 || x.Checkouts > 0 {
			out = append(out, x)
		}
	}
	full := func(x api.ProductUse) float64 { return float64(x.InUse) / float64(max(x.Owned, 1)) }
	slices.SortFunc(out, func(a, b api.ProductUse) int {
		return cmp.Or(cmp.Compare(full(b), full(a)), cmp.Compare(b.Sessions+b.Checkouts, a.Sessions+a.Checkouts), cmp.Compare(cmp.Or(a.Name, a.Product), cmp.Or(b.Name, b.Product)), cmp.Compare(a.Product, b.Product))
	})
	return out
}

func (v *visit) productTable(products []api.ProductUse) *table {
	t := &table{Caption: v.t("products.title"), Columns: []string{v.t("col.product"), v.t("stat.sessions"), v.t("stat.checkouts"), v.t("products.licenses"), v.t("capped.owned")}}
	for _, x := range products {
		name := cell{Text: clean(cmp.Or(x.Name, x.Product)), Href: at("", "product", x.Product)}
		switch x.Capped {
		case "yes":
			name.Tags = []tag{{v.t("tag.capped"), "info"}}
		case "unknown":
			name.Tags = []tag{{v.t("tag.capped-unknown"), "warn"}}
		}
		licenses := cell{Text: v.number(x.InUse), Number: true}
		if x.Owned > 0 && x.InUse >= x.Owned {
			licenses.Tags = []tag{{v.t("report.full"), "warn"}}
		}
		t.Rows = append(t.Rows, row{ID: "product-" + x.Product, Cells: []cell{name, {Text: v.number(x.Sessions), Number: true}, {Text: v.number(x.Checkouts), Number: true}, licenses, {Text: v.number(x.Owned), Number: true}}})
	}
	return t
}

// productSection are the fullest products, capped or not, and the way to all.
func (v *visit) productSection(all []api.ProductUse) section {
	used := usedProducts(all)
	s := section{ID: "products", Heading: v.t("products.title"), Note: v.t("products.note"), Table: v.productTable(used[:min(len(used), productsFirst)]), Empty: v.t("products.none")}
	if len(used) > productsFirst {
		s.Next = link{Text: v.t("products.all", v.number(len(used))), Href: at("products")}
	}
	return s
}

// products are all products that are owned or in use, by pages.
func products(v *visit) (*page, error) {
	var l api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &l); err != nil {
		return nil, err
	}
	used := usedProducts(l.Items)
	from, _ := strconv.Atoi(v.r.URL.Query().Get("after")) // what is no number is the beginning
	from = min(max(from, 0), len(used))
	most, _ := strconv.Atoi(rowsShown)
	to, next := min(from+most, len(used)), ""
	if to < len(used) {
		next = strconv.Itoa(to)
	}
	return &page{Title: v.t("products.title"), Lead: v.t("products.note"), Actions: []link{{Text: v.t("back"), Href: at("")}},
		Sections: []section{{ID: "products", Heading: v.t("count", v.number(len(used))), Table: v.productTable(used[from:to]), Empty: v.t("products.none"), Next: v.more("products", "after", next)}}}, nil
}
