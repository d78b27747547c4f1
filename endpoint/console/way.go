package console

import "sitegate/api"

// way is a way out of the site.
func (v *visit) way(w api.EgressStatus) row {
	tone := map[string]string{"well": "good", "resting": "warn", "locked": "bad", "failing": "bad"}[w.State]
	return row{ID: w.Name, Cells: []cell{{Text: clean(w.Name), Sub: clean(w.Address)}, {Text: clean(w.Kind), Sub: clean(w.Scheme)},
		{Tags: []tag{{v.t("way." + w.State), tone}}, At: w.Since, Ago: true}, {Text: clean(w.Code), Sub: clean(w.Problem)}}}
}
