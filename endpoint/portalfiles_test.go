package endpoint

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

const (
	portalUsers    = "User ID;Email;Country\nada;ada@firm.example;FR\nben;ben@firm.example;FR\n"
	portalLicenses = "License ID;Product ID;Application;End date;Email;Capped\nL1;road;Road J\xfcrgen;2099-12-31;ADA@firm.example;yes\nL2;road;;2099-12-31;Not Found User;no\n"
)

func portalFiles(texts ...string) (files []api.PortalFile) {
	for _, text := range texts {
		files = append(files, api.PortalFile{Name: "portal.csv", Data: []byte(text)})
	}
	return files
}

// What was shown is what is done, once; where it would be something else, nothing is.
func TestFilesOfThePortalAreImportedAsTheyWereShown(t *testing.T) {
	node := newNode(t)
	_, it := operated(t, node)
	ask := func(status int, in api.PortalRequest) (out api.PortalReport) {
		t.Helper()
		in.By, in.Note = "ida", "portal of today"
		it.want(t, status, "", "POST", "/v1/mirror/files", in).into(t, &out)
		return out
	}
	known := func() (n int) {
		var l api.List[api.MirrorRecord]
		it.want(t, 200, "", "GET", "/v1/mirror/records", nil).into(t, &l)
		return len(l.Items)
	}
	files := portalFiles(portalLicenses, portalUsers)
	first := ask(200, api.PortalRequest{Files: files, DryRun: true})
	if first.Changes != 5 || len(first.Items) != 5 || first.NotFound != 1 || first.Uncapped != 1 || first.Saw == "" || !first.DryRun {
		t.Fatalf("got %+v, want five changes", first)
	}
	if n := first.Counts; len(n) != 3 || n[0] != (api.PortalCount{Kind: "user", New: 2}) || n[1] != (api.PortalCount{Kind: "product", New: 1}) || n[2] != (api.PortalCount{Kind: "license", New: 2}) {
		t.Errorf("got %+v, want two users, one product and two licenses", n)
	}
	if x := first.Items[0]; x.Was != nil || x.Now == nil || x.Now.Name != "Road Jürgen" || x.Now.Capped != "yes" {
		t.Errorf("got %+v, want the product first, its name read as windows-1252", x.Now)
	}
	if n := known(); n != 0 {
		t.Fatalf("%d records are there after a look", n)
	}
	if done := ask(200, api.PortalRequest{Files: files, Saw: first.Saw}); done.DryRun || done.Changes != 5 || known() != 5 {
		t.Errorf("got %+v, and %d records", done, known())
	}
	node.View(func(s *license.State) {
		if l := s.License("L1"); l == nil || l.Assignee != "ada" || l.Source != license.FromFile {
			t.Errorf("got %+v, want it assigned to whom the address is of", l)
		}
	})
	if p := it.want(t, 409, "", "POST", "/v1/mirror/files", api.PortalRequest{Files: files, Saw: first.Saw, By: "ida"}).problem(t); p.Code != api.CodeChanged {
		t.Errorf("sent twice: %+v", p)
	}
	again := ask(200, api.PortalRequest{Files: files, DryRun: true})
	if again.Changes != 0 || again.Saw == first.Saw {
		t.Errorf("looked at anew: %+v", again)
	}
	ask(200, api.PortalRequest{Files: files, Saw: again.Saw}) // what there is is as fresh as they are

	fewer := portalFiles("User ID,Country\nada,DE\n")
	gone := ask(200, api.PortalRequest{Files: fewer, DryRun: true})
	if gone.Counts[0] != (api.PortalCount{Kind: "user", Changed: 1, Gone: 1}) || gone.Items[0].Was.Country != "FR" || gone.Items[0].Now.Country != "DE" || gone.Items[1].Now != nil || gone.Items[1].Was.ID != "ben" {
		t.Errorf("got %+v", gone)
	}
	node.do(t, license.Import{By: "jo", Changes: []license.Change{{User: &license.User{ID: "ben", Country: "FR"}}}}) // somebody else, meanwhile
	if p := it.want(t, 409, "", "POST", "/v1/mirror/files", api.PortalRequest{Files: fewer, Saw: gone.Saw, By: "ida"}).problem(t); p.Code != api.CodeChanged || len(p.Next) == 0 || known() != 5 {
		t.Errorf("what has changed meanwhile: %+v, with %d records", p, known())
	}
	var in []license.Imported
	node.mu.Lock()
	for _, e := range node.events {
		if f, ok := e.Fact.(license.Imported); ok && f.By == "ida" {
			in = append(in, f)
		}
	}
	node.mu.Unlock()
	if len(in) != 2 || in[0] != (license.Imported{By: "ida", Note: "portal of today", Changes: 5, Last: true}) || in[1].Changes != 0 {
		t.Errorf("the audit trail is made of %+v, want two imports by ida", in)
	}
}

// However many records are gone, what was confirmed is what was shown.
func TestWhatIsGoneFromTheFilesCanBeConfirmed(t *testing.T) {
	node := newNode(t)
	_, it := operated(t, node)
	ask := func(files []api.PortalFile, saw string) (out api.PortalReport) {
		t.Helper()
		it.want(t, 200, "", "POST", "/v1/mirror/files", api.PortalRequest{Files: files, DryRun: saw == "", Saw: saw, By: "ida"}).into(t, &out)
		return out
	}
	all, fewer := portalFiles(portalUsers+"cleo;;FR\ndana;;FR\n"), portalFiles("User ID,Country,Email\nada,FR,ada@firm.example\n")
	ask(all, ask(all, "").Saw)
	first := ask(fewer, "")
	for range 5 {
		if again := ask(fewer, ""); again.Saw != first.Saw {
			t.Fatalf("the same look has %s and %s", first.Saw, again.Saw)
		}
	}
	if done := ask(fewer, first.Saw); done.Changes != 3 || done.Counts[0] != (api.PortalCount{Kind: "user", Gone: 3}) {
		t.Errorf("got %+v, want three users gone", done)
	}
}

// lateNode has not heard of the newest when it is asked; once it has caught up it has.
type lateNode struct {
	*oneNode
	newest func()
}

func (n *lateNode) CatchUp(ctx context.Context) error {
	if _, request := ctx.Deadline(); request { // what goes on beside requests has none
		n.newest()
	}
	return nil
}

// A node that is behind its site compares with what the site knows.
func TestFilesAreComparedWithWhatTheSiteKnows(t *testing.T) {
	node := newNode(t)
	_, it := operated(t, node, func(cfg *Config) {
		cfg.Gateway = &lateNode{node, func() {
			node.do(t, license.Import{By: "jo", Changes: []license.Change{{User: &license.User{ID: "cleo", Country: "FR"}}}})
		}}
	})
	var out api.PortalReport
	it.want(t, 200, "", "POST", "/v1/mirror/files", api.PortalRequest{By: "ida", DryRun: true, Files: portalFiles(portalUsers)}).into(t, &out)
	if out.Counts[0] != (api.PortalCount{Kind: "user", New: 2, Gone: 1}) {
		t.Errorf("got %+v, want two new users, and the one gone whom this node had not heard of", out.Counts[0])
	}
}

// While files are looked at others are not even read.
func TestFilesAreReadOneAtATime(t *testing.T) {
	r, it := operated(t, newNode(t))
	r.e.importing.Lock()
	if p := it.want(t, 429, "", "POST", "/v1/mirror/files", "no files").problem(t); p.Code != api.CodeTooMany || p.RetryAfterMS == 0 {
		t.Errorf("got %+v, want it sent away for a while", p)
	}
	r.e.importing.Unlock()
	it.want(t, 400, "", "POST", "/v1/mirror/files", "no files")
	it.want(t, 200, "", "POST", "/v1/mirror/files", api.PortalRequest{By: "ida", DryRun: true, Files: portalFiles(portalUsers)})
}

// What is wrong with files is told by line, in the language of whoever asks, and nothing is
// done.
func TestFaultsOfPortalFilesAreTold(t *testing.T) {
	node := newNode(t)
	_, it := operated(t, node)
	var out api.PortalReport
	it.want(t, 422, "", "POST", "/v1/mirror/files", api.PortalRequest{By: "ida", DryRun: true, Files: portalFiles("User ID,Country\nada,Germany\n,DE\n", "License ID,Product ID,End date\nL1,=1+1,soon\n")}).into(t, &out)
	if len(out.Faults) != 3 || out.Faults[0] != (api.PortalFault{File: "portal.csv", Line: 2, Column: "Country", Reason: "row-country", Text: "“GERMANY” is no country’s code of two letters, like DE."}) || out.Faults[2].Reason != "row-date" {
		t.Errorf("got %+v", out.Faults)
	}
	it.want(t, 422, "", "POST", "/v1/mirror/files", api.PortalRequest{By: "ida", Saw: "x", Files: portalFiles("License ID,Product ID,End date,Email\nL1,road,2099-01-01,cleo\n")}).into(t, &out)
	if len(out.Faults) != 1 || out.Faults[0].Reason != "row-nobody" || out.Faults[0].Line != 2 {
		t.Errorf("got %+v", out.Faults)
	}
	for name, bad := range map[string]api.PortalRequest{
		"no files":             {DryRun: true},
		"three files":          {DryRun: true, Files: portalFiles("a", "b", "c")},
		"neither look nor saw": {Files: portalFiles(portalUsers)},
		"both":                 {DryRun: true, Saw: "x", Files: portalFiles(portalUsers)},
		"another encoding":     {DryRun: true, Encoding: "ebcdic", Files: portalFiles(portalUsers)},
		"no name":              {DryRun: true, Files: []api.PortalFile{{Data: []byte(portalUsers)}}},
	} {
		bad.By = "ida"
		if p := it.want(t, 400, "", "POST", "/v1/mirror/files", bad).problem(t); p.Code != api.CodeMalformed || p.Detail == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	large := api.PortalRequest{By: "ida", DryRun: true, Files: []api.PortalFile{{Name: "a", Data: make([]byte, api.MaxPortalBytes+1)}}}
	var refusal *trouble
	if err := portalAsked(&call{}, &large); !errors.As(err, &refusal) || refusal.code != api.CodeTooLarge || !strings.Contains(refusal.detail, "32 MB") {
		t.Errorf("too large: %v", err)
	}
	node.do(t, license.Mirror{Cursor: "c1", Full: true, Last: true})
	if p := it.want(t, 409, "", "POST", "/v1/mirror/files", api.PortalRequest{By: "ida", DryRun: true, Files: portalFiles(portalUsers)}).problem(t); p.Code != string(license.MirrorFollows) {
		t.Errorf("where there is a feed: %+v", p)
	}
}
