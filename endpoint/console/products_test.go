package console

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sitegate/api"
)

// All products that are owned or in use are counted on Now and behind it, capped or not, the
// fullest first; those that nobody has are not.
func TestAllProductsAreCounted(t *testing.T) {
	s := full()
	l := api.List[api.ProductUse]{}
	for i := range 120 {
		l.Items = append(l.Items, api.ProductUse{Product: fmt.Sprintf("c-%03d", i), Name: fmt.Sprintf("Capped %03d", i), Capped: "yes", Owned: 200, InUse: i, Sessions: i})
	}
	l.Items = append(l.Items, api.ProductUse{Product: "free", Name: "Pooled", Capped: "no", Sessions: 7}, api.ProductUse{Product: "none", Name: "Nobody has it", Capped: "no"},
		api.ProductUse{Product: "over", Name: "Full", Capped: "no", Owned: 2, InUse: 2, Sessions: 2}, api.ProductUse{Product: "new", Capped: "unknown", Checkouts: 1})
	s.answers[api.PathProducts] = l
	c := newTestConsole(t, s, admin)
	rows := func(page string) (names []string) {
		for _, m := range regexp.MustCompile(`<tr role="row" id="r-product-[^>]*><th[^>]*><a [^>]*>([^<]*)</a>`).FindAllStringSubmatch(page, -1) {
			names = append(names, m[1])
		}
		return names
	}
	page := visitPage(c, "GET", "", "en", nil).Body.String()
	if got := rows(page); len(got) != productsFirst || got[0] != "Full" || got[1] != "Capped 119" || !strings.Contains(page, "Show all 123 products") {
		t.Errorf("Now counts %q", got)
	}
	var all []string
	for path := "products"; path != ""; {
		page := visitPage(c, "GET", path, "en", nil).Body.String()
		all = append(all, rows(page)...)
		path = ""
		if m := regexp.MustCompile(`rel="next" href="/console/([^"]*)"`).FindStringSubmatch(page); m != nil {
			path = m[1]
		}
	}
	text := strings.Join(all, "|")
	if len(all) != 123 || !strings.Contains(text, "Pooled") || !strings.Contains(text, "|new") || strings.Contains(text, "Nobody") {
		t.Errorf("all are %d: %q", len(all), all)
	}
}

// The report of capped use says when it was refreshed, to the second; so does its file.
func TestTheCappedReportSaysWhenItWasRefreshed(t *testing.T) {
	s := full()
	l := s.answers[api.PathOpen].(api.OpenList)
	l.Next, l.At = "", then
	s.answers[api.PathOpen] = l
	c := newTestConsole(t, s, admin)
	if page := visitPage(c, "GET", "capped", "en", nil).Body.String(); !strings.Contains(page, `<dt>Refreshed</dt><dd> <time datetime="2026-11-21T10:15:00Z" title="2026-11-21 10:15:00 UTC" data-second>`) {
		t.Errorf("the page does not say when it was refreshed: %s", page)
	}
	if got := visitPage(c, "GET", "capped.csv", "en", nil).Header().Get("Content-Disposition"); got != "attachment; filename=capped-usage-20261121T101500Z.csv" {
		t.Errorf("the file is %s", got)
	}
}
