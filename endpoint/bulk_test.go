package endpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

func TestCSVAsSpreadsheetsWriteIt(t *testing.T) {
	want := []csvRow{{line: 2, user: "ada", machine: "LT-7"}, {line: 3, user: "ben@example.org", machine: "LT-8"}}
	for name, text := range map[string]string{
		"commas":            "user,machine\nada,LT-7\nben@example.org,LT-8\n",
		"no last line end":  "user,machine\nada,LT-7\nben@example.org,LT-8",
		"bars":              "user|machine\nada|LT-7\nben@example.org|LT-8\n",
		"semicolons, BOM":   "\ufeffuser;machine\r\nada;LT-7\r\nben@example.org;LT-8\r\n",
		"tabs":              "user\tmachine\nada\tLT-7\nben@example.org\tLT-8\n",
		"quotes":            "\"user\",\"machine\"\n\"ada\",\"LT-7\"\n\"ben@example.org\",\"LT-8\"\n",
		"columns, in case":  "Name;MACHINE;User\nAda;LT-7;ada\nBen;LT-8;ben@example.org\n",
		"spaces":            " user , machine \n ada , LT-7 \nben@example.org,LT-8\n",
		"empty rows at end": "user,machine,\nada,LT-7,\nben@example.org,LT-8,\n,,\n\n",
	} {
		rows, err := readCSV(text)
		if err != nil || !slices.Equal(rows, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, rows, err, want)
		}
	}
	rows, err := readCSV("\ufeffsep=;\r\nuser;machine\r\nada;LT-7\r\n")
	if err != nil || !slices.Equal(rows, []csvRow{{line: 3, user: "ada", machine: "LT-7"}}) {
		t.Errorf("with its separator named: %+v, %v", rows, err)
	}
}

func TestCSVTellsWhatIsWrong(t *testing.T) {
	long := strings.Repeat("x", 300)
	rows, err := readCSV("user,machine\nada\n,LT-7\na\"da,LT-7\n\"a\nb\",LT-7\n" + long + ",LT-7\nben,LT-8\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%d %s %s", r.line, r.column, r.reason))
	}
	want := []string{"2 machine row-missing", "3 user row-missing", "4  row-quotes", "5 user row-text", "7 user row-text", "8  "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"no header":      "ada,LT-7\n",
		"one column":     "user\nada\n",
		"a column twice": "user,machine,user\nada,LT-7,ben\n",
		"hashes":         "user#machine\nada#LT-7\n",
		"too many rows":  "user,machine\n" + strings.Repeat("a,b\n", maxRows+1),
		"too large":      "user,machine\n" + strings.Repeat("#", maxCSV),
	} {
		if rows, err := readCSV(text); err == nil {
			t.Errorf("%s: read as %d rows", name, len(rows))
		}
	}
}

// Whatever a file has in it, what is read of it is plain text of a known line, or a
// row with a reason.
func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{"user,machine\na,b\n", "\ufeffuser;machine\r\n\"a\"\"b\";c", "user\tmachine\n\"", "user,machine\n\"a\nb", "machine,user,user\n", "user,machine\n\x00,\xff\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := readCSV(text)
		if err != nil {
			if len(rows) > 0 {
				t.Fatalf("%d rows beside %v", len(rows), err)
			}
			return
		}
		lines, last := 1+strings.Count(text, "\n"), 1
		for _, r := range rows {
			if r.line <= last && !(r.line == last && r.reason == rowQuotes) || r.line > lines {
				t.Fatalf("line %d after line %d of %d", r.line, last, lines)
			}
			last = r.line
			if r.reason == "" && (r.user == "" || r.machine == "" || !plain(r.user) || !plain(r.machine)) {
				t.Fatalf("%+v was taken", r)
			}
		}
	})
}

func bulkOf(t *testing.T, csv string, change ...func(*api.BulkCheckoutRequest)) api.BulkCheckoutRequest {
	t.Helper()
	in := api.BulkCheckoutRequest{ID: newUUID(t), CSV: csv, Products: []api.BulkProduct{{Product: "road", Version: "10.16.02.34"}}, By: "ida", Note: "goes to sea"}
	for _, f := range change {
		f(&in)
	}
	return in
}

func TestBulkCheckoutIsCheckedAsAWhole(t *testing.T) {
	node := filled(t)
	r, it := operated(t, node)
	r.want(t, 201, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
	file := "user,machine\n" + // 1
		"ada@Example.org,LT-7\n" + // 2, good
		"eve,LT-8\n" + // 3, has no license
		"nobody@example.org,LT-9\n" + // 4
		"max,LT-9\n" + // 5, blocked
		"ben,LT-10\n" + // 6, active elsewhere
		"ADA@example.org,lt-7.corp.example\n" + // 7
		"ada,LT-11\n" + // 8
		"ada,\n" + // 9
		"twin@example.org,LT-12\n" // 10
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{User: &license.User{ID: "t-1", Email: "twin@example.org"}}, {User: &license.User{ID: "t-2", Email: "Twin@example.org"}}}})
	before := node.state.Head().Seq
	var report api.BulkReport
	it.want(t, 422, "", "POST", "/v1/checkouts/bulk", bulkOf(t, file)).into(t, &report)
	var got []string
	for _, b := range report.Items {
		got = append(got, fmt.Sprintf("%d %s %s", b.Row, b.Column, b.Reason))
		if b.Text == "" || strings.ContainsAny(b.Text, "{}") {
			t.Errorf("row %d, %s, reads %q", b.Row, b.Reason, b.Text)
		}
	}
	want := []string{"3 user not-assigned", "4 user unknown-user", "5 user user-blocked", "6 machine machine-active", "7 user row-twice",
		"8 machine row-two-machines", "9 machine row-missing", "10 user row-ambiguous"}
	if !slices.Equal(got, want) || report.Rows != 9 || report.Bad != len(want) || report.Made != 0 {
		t.Errorf("got %q of %+v\nwant %q", got, report, want)
	}
	if n := node.state.Head().Seq; n != before {
		t.Errorf("%d things were done", n-before)
	}
	var german api.BulkReport
	it.want(t, 422, "", "POST", "/v1/checkouts/bulk", bulkOf(t, file), header{"Accept-Language": "de"}).into(t, &german)
	if german.Items[0].Text != "Diesem Benutzer ist keine Lizenz von Road Designer zugewiesen." {
		t.Errorf("in German: %q", german.Items[0].Text)
	}
}

func TestBulkCheckoutIsMadeOnce(t *testing.T) {
	node := filled(t)
	r, it := operated(t, node)
	until := time.Now().Add(72 * time.Hour).UTC().Truncate(time.Second)
	in := bulkOf(t, "\ufeffuser;machine\r\nada@example.org;LT-7\r\nben;LT-8\r\n", func(in *api.BulkCheckoutRequest) { in.Until, in.DryRun = until, true })
	var report api.BulkReport
	it.want(t, 200, "", "POST", "/v1/checkouts/bulk", in).into(t, &report)
	if report.Made != 0 || report.Bad != 0 || len(report.Items) != 2 || !report.DryRun || node.state.Counts().Checkouts != 0 {
		t.Fatalf("a dry run: %+v", report)
	}
	in.DryRun = false
	for range 2 { // the second is the same request
		it.want(t, 200, "", "POST", "/v1/checkouts/bulk", in).into(t, &report)
		if report.Made != 2 || report.Bad != 0 || report.Items[0].Checkout == "" || !report.Items[0].Until.Equal(until) || node.state.Counts().Checkouts != 2 {
			t.Fatalf("made: %+v", report)
		}
	}
	var list api.List[api.Checkout]
	it.want(t, 200, "", "GET", "/v1/users/ada/checkouts", nil).into(t, &list)
	if len(list.Items) != 1 || list.Items[0].By != "ida" || list.Items[0].Note != "goes to sea" || list.Items[0].Version != "10.16.02.34" || list.Items[0].Machine.Name != "LT-7" {
		t.Errorf("ada has %+v", list.Items)
	}
	// The machine knows itself by an id, and IT by its name.
	r.want(t, 403, "ada", "DELETE", "/v1/checkouts/"+list.Items[0].ID+"?machine=m-7", nil)
	r.want(t, 204, "ada", "DELETE", "/v1/checkouts/"+list.Items[0].ID+"?machine=m-7&name=LT-7", nil)
}

func TestBulkCheckoutReportsWhatTheCloudSays(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	in := bulkOf(t, "user,machine\nada,LT-7\nben,LT-8\n")
	var report api.BulkReport
	node.set(func() { node.agree = false })
	it.want(t, 200, "", "POST", "/v1/checkouts/bulk", in).into(t, &report)
	if report.Made != 0 || report.Bad != 2 || report.Items[1].Reason != "cloud-needed" || report.Items[1].Text == "" {
		t.Errorf("without the cloud: %+v", report)
	}
	node.set(func() { node.agree, node.err = true, gateway.ErrNoLeader })
	it.want(t, 200, "", "POST", "/v1/checkouts/bulk", in).into(t, &report)
	if report.Made != 0 || report.Bad != 2 || report.Items[0].Reason != "no-quorum" || report.Items[1].Reason != "row-not-tried" {
		t.Errorf("without a leader: %+v", report)
	}
	node.set(func() { node.err = nil })
	it.want(t, 200, "", "POST", "/v1/checkouts/bulk", in).into(t, &report)
	if report.Made != 2 {
		t.Errorf("again: %+v", report)
	}
}

func TestBulkCheckoutIsBounded(t *testing.T) {
	_, it := operated(t, filled(t))
	rows := "user,machine\n" + strings.Repeat("ada,LT-7\n", maxRows)
	for name, in := range map[string]api.BulkCheckoutRequest{
		"nobody":                bulkOf(t, "user,machine\nada,LT-7\n", func(in *api.BulkCheckoutRequest) { in.By = "" }),
		"no id":                 bulkOf(t, "user,machine\nada,LT-7\n", func(in *api.BulkCheckoutRequest) { in.ID = "" }),
		"no product":            bulkOf(t, "user,machine\nada,LT-7\n", func(in *api.BulkCheckoutRequest) { in.Products = nil }),
		"a product twice":       bulkOf(t, "user,machine\nada,LT-7\n", func(in *api.BulkCheckoutRequest) { in.Products = append(in.Products, in.Products...) }),
		"no rows":               bulkOf(t, "user,machine\n"),
		"no file":               bulkOf(t, ""),
		"two products for each": bulkOf(t, rows, func(in *api.BulkCheckoutRequest) { in.Products = append(in.Products, api.BulkProduct{Product: "flow"}) }),
	} {
		if p := it.want(t, 400, "", "POST", "/v1/checkouts/bulk", in).problem(t); p.Code != "malformed" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	it.want(t, 413, "", "POST", "/v1/checkouts/bulk", bulkOf(t, "user,machine\n"+strings.Repeat("x", maxCSV)))
	it.want(t, 413, "", "POST", "/v1/checkouts/bulk", bulkOf(t, strings.Repeat("x", maxLarge)))
	it.want(t, 422, "", "POST", "/v1/checkouts/bulk", bulkOf(t, rows))
}

func TestITChecksOutAndWritesOff(t *testing.T) {
	r, it := operated(t, filled(t))
	in := api.CheckoutForRequest{ID: newUUID(t), Product: "road", Machine: api.Machine{Name: "LT-7"}, By: "ida", Note: "goes to sea"}
	var out api.Checkout
	it.want(t, 201, "", "POST", "/v1/users/ben/checkouts", in).into(t, &out)
	if left := time.Until(out.Until); left < 13*24*time.Hour || left > 14*24*time.Hour || out.By != "ida" {
		t.Errorf("got %+v, want two weeks, by ida", out)
	}
	it.want(t, 200, "", "POST", "/v1/users/ben/checkouts", in)
	it.want(t, 403, "", "POST", "/v1/users/eve/checkouts", api.CheckoutForRequest{ID: newUUID(t), Product: "road", Machine: in.Machine, By: "ida"})
	it.want(t, 400, "", "POST", "/v1/users/ben/checkouts", api.CheckoutForRequest{ID: newUUID(t), Product: "road", By: "ida"})
	it.want(t, 400, "", "POST", "/v1/users/ben/checkouts", api.CheckoutForRequest{ID: newUUID(t), Product: "road", Machine: in.Machine})

	it.want(t, 400, "", "POST", "/v1/checkouts/"+out.ID+"/write-off", api.ReleaseRequest{By: "ida"})
	it.want(t, 404, "", "POST", "/v1/checkouts/"+newUUID(t)+"/write-off", acts)
	r.want(t, 403, "ben", "POST", "/v1/checkouts/"+out.ID+"/write-off", acts)
	it.want(t, 200, "", "POST", "/v1/checkouts/"+out.ID+"/write-off", acts).into(t, &out)
	if out.WrittenOff == nil || out.WrittenOff.By != "ida" || out.WrittenOff.Note != acts.Note || out.WrittenOff.At.IsZero() {
		t.Errorf("written off: %+v", out.WrittenOff)
	}
	p := r.want(t, 409, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}).problem(t)
	if p.Code != "machine-active" || p.By != "checkout" {
		t.Errorf("it does not block: %+v", p)
	}
	laptop := api.Machine{ID: "m-7", Name: "LT-7"}
	p = r.want(t, 409, "ben", "POST", "/v1/checkouts", api.CheckoutRequest{ID: newUUID(t), Product: "road", Machine: laptop}).problem(t)
	if p.Code != "checkout-written-off" || p.Until.IsZero() {
		t.Errorf("renewed: %+v", p)
	}
	r.want(t, 204, "ben", "DELETE", "/v1/checkouts/"+out.ID, api.MachineRequest{Machine: laptop})
	r.want(t, 201, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
}
