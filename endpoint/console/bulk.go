package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/charmap"

	"sitegate/api"
)

// seeBulk asks for the file of a bulk checkout, the product and the date.
func seeBulk(v *visit) (*subject, error) {
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, url.Values{}, &products); err != nil {
		return nil, err
	}
	product := field{Name: "product", Kind: "select", Label: v.t("col.product"), Required: true}
	for _, x := range products.Items {
		if x.Owned > 0 {
			product.Options = append(product.Options, option{Value: x.Product, Label: clean(x.Name)})
		}
	}
	return &subject{title: v.t("bulk.title"), does: []string{v.t("bulk.does.1"), v.t("bulk.does.2")}, multi: true,
		fields: []field{product, {Name: "until", Kind: "date", Label: v.t("col.until"), Help: v.t("bulk.until.help")}, {Name: "csv", Kind: "area", Label: v.t("bulk.csv"), Help: v.t("bulk.csv.help")},
			{Name: "file", Kind: "file", Label: v.t("bulk.file")}}, note: true, must: true, back: at("checkouts"), state: "bulk"}, nil
}

// decoded is the text of a file: UTF-8 or, where it cannot be that, Windows-1252, which is
// what spreadsheets write in western Europe.
func decoded(file []byte) (string, error) {
	if utf8.Valid(file) {
		return string(file), nil
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(file)
	if err != nil || bytes.ContainsRune(out, utf8.RuneError) || bytes.ContainsRune(out, 0) { // no letter, or UTF-16
		return "", errors.New("it is neither UTF-8 nor Windows-1252")
	}
	return string(out), nil
}

// doBulk shows what would come of it, and makes it once that was confirmed.
func (c *Console) doBulk(v *visit, s *subject) (*page, error) {
	r := v.r
	text := r.PostFormValue("csv")
	if f, _, err := r.FormFile("file"); err == nil {
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			return nil, err
		}
		if len(b) > 0 {
			if text, err = decoded(b); err != nil {
				return nil, &failed{api.Problem{Status: 422, Title: v.t("bulk.file"), Detail: v.t("bulk.file.bad")}}
			}
			r.PostForm.Set("csv", text) // a browser does not choose the file again
		}
	}
	in := api.BulkCheckoutRequest{ID: r.PostFormValue("bulk"), CSV: text, Products: []api.BulkProduct{{Product: r.PostFormValue("product")}}, By: v.who.Name, Note: v.reason(),
		DryRun: r.PostFormValue("confirm") != "yes"}
	if in.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		in.ID = id.String()
	}
	until := r.PostFormValue("until")
	if until != "" {
		day, err := time.Parse(time.DateOnly, until)
		if err != nil {
			return nil, &failed{api.Problem{Status: 422, Title: v.t("col.until"), Detail: v.t("bulk.until.bad")}}
		}
		in.Until = day.Add(24*time.Hour - time.Second)
	}
	var report api.BulkReport
	if err := v.post(api.PathCheckouts+"/bulk", in, &report); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("bulk.title")}
	t := &table{Caption: v.t("bulk.rows"), Columns: []string{v.t("bulk.row"), v.t("col.user"), v.t("col.machine"), v.t("col.until"), v.t("col.state")}}
	for i, x := range report.Items {
		state := cell{Tags: []tag{{v.t("bulk.good"), "good"}}}
		if x.Reason != "" {
			state = cell{Tags: []tag{{v.t("bulk.bad"), "bad"}}, Sub: clean(x.Text)}
		}
		t.Rows = append(t.Rows, row{ID: fmt.Sprint("b", i), Cells: []cell{{Text: fmt.Sprint(x.Row)}, {Text: clean(x.User)}, {Text: clean(x.Machine)}, {At: x.Until}, state}})
	}
	switch {
	case report.Bad > 0 && report.Made == 0:
		p = v.formOf(actOf{key: "bulk"}, s, &alert{Title: v.t("bulk.refused"), Detail: v.t("bulk.refused.detail", report.Bad, report.Rows)})
	case in.DryRun:
		p.Lead = v.t("bulk.preview", report.Rows)
		p.Form = &form{Action: at("checkouts/bulk"), Submit: v.t("bulk.make", len(report.Items)), Cancel: at("checkouts"), Hidden: map[string]string{"confirm": "yes", "bulk": in.ID, "csv": text,
			"product": in.Products[0].Product, "until": until, "reason": v.reason(), "saw": seal("bulk")}}
	default:
		p.Lead = v.t("bulk.made", report.Made)
		p.Actions = []link{{Text: v.t("back"), Href: at("checkouts")}}
	}
	p.Sections = append([]section{{ID: "rows", Heading: v.t("bulk.rows"), Table: t}}, p.Sections...)
	return p, nil
}
