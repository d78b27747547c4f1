package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/portal"
)

const (
	someUsers    = "User ID,Email,Country\nu1,ada@firm.example,FR\nu2,ben@firm.example,\n"
	someLicenses = "License ID,Product ID,End date,Email,Capped\nL1,road,2026-12-31,ADA@firm.example,yes\nL2,road,2026-12-31,,no\nL3,road,2026-12-31,Not Found User,\n"
)

// portalSite is a node that knows some records and keeps what is imported.
func portalSite(t *testing.T, status api.Status, known ...api.MirrorRecord) (line []string, imported *[]api.ImportRequest) {
	t.Helper()
	file := writeSingle(t)
	dir := filepath.Dir(file)
	for name, text := range map[string]string{"users.csv": someUsers, "licenses.csv": someLicenses} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	imported = new([]api.ImportRequest)
	m := http.NewServeMux()
	m.Handle("GET /v1/status", statusOf(status))
	m.HandleFunc("GET /v1/mirror/records", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.List[api.MirrorRecord]{Items: known})
	})
	m.HandleFunc("POST /v1/mirror/import", func(w http.ResponseWriter, r *http.Request) {
		var in api.ImportRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		*imported = append(*imported, in)
		w.WriteHeader(http.StatusNoContent)
	})
	answerAt(t, file, m)
	return []string{"mirror", "import", filepath.Join(dir, "users.csv"), filepath.Join(dir, "licenses.csv"), "--config", file, "--data-dir", dir}, imported
}

func TestAnImportShowsFirstWhatItWouldChange(t *testing.T) {
	line, imported := portalSite(t, api.Status{Time: at},
		api.MirrorRecord{Kind: "user", ID: "u1", Email: "ada@firm.example", Country: "FR", Source: "file", AsOf: at},
		api.MirrorRecord{Kind: "user", ID: "u2", Email: "ben@firm.example", Country: "DE", Source: "file", AsOf: at},
		api.MirrorRecord{Kind: "license", ID: "L0", Product: "road", Type: "virtuoso", Ends: at, Source: "file", AsOf: at})
	status, stdout, stderr := sitegate(t, nil, line...)
	for _, want := range []string{
		"~ user u2 ben@firm.example DE → user u2 ben@firm.example\n",
		"+ product road , capped yes\n",
		"+ license L1 of road for u1 until 2027-01-01\n",
		"+ license L2 of road for nobody until 2027-01-01\n",
		"- license L0 of road for nobody until",
		"1 license of a user who is not found any more",
		"a product is not capped, says 1 row of",
		"changed user: 1, new product: 1, new license: 3, license gone: 1\n",
		"Nothing was changed. To do it: the same with --yes",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("got\n%s\nwant in it %q", stdout, want)
		}
	}
	if status != 0 || stderr != "" || len(*imported) != 0 {
		t.Errorf("got exit %d, %s, and %d requests to import", status, stderr, len(*imported))
	}
	status, stdout, stderr = sitegate(t, nil, append(line, "--yes", "--by", "ida", "--note", "portal of today")...)
	if status != 0 || !strings.Contains(stdout, "Imported by ida.") || stderr != "" || len(*imported) != 1 {
		t.Fatalf("got exit %d, %s%s, and %d requests to import, want one", status, stdout, stderr, len(*imported))
	}
	in := (*imported)[0]
	var order []string
	for _, r := range in.Records {
		name := r.Kind + " " + r.ID
		if r.Gone {
			name += " gone"
		}
		order = append(order, name)
	}
	if got, want := strings.Join(order, ", "), "product road, user u2, license L1, license L2, license L3, license L0 gone"; got != want || in.By != "ida" || in.Note != "portal of today" || !in.Last {
		t.Errorf("got %s by %s %q, last %t; want %s", got, in.By, in.Note, in.Last, want)
	}
	if r := in.Records[2]; r.Assignee != "u1" {
		t.Errorf("got %+v, want it assigned to whom the address is of", r)
	}
}

func TestAnImportThatCannotBeIsRefused(t *testing.T) {
	line, imported := portalSite(t, api.Status{Time: at, Mirror: api.MirrorStatus{Filled: true, Cursor: "c", Read: at.Add(-time.Second)}})
	if status, _, stderr := sitegate(t, nil, append(line, "--yes", "--by", "ida")...); status == 0 || !strings.Contains(stderr, "this site follows the cloud's feed") {
		t.Errorf("a site with a feed: got exit %d, %s", status, stderr)
	}
	line, _ = portalSite(t, api.Status{Time: at})
	only := append([]string{"mirror", "import", line[3]}, line[4:]...)
	if status, _, stderr := sitegate(t, nil, append(only, "--by", "ida")...); status == 0 || !strings.Contains(stderr, `line 2: “ADA@firm.example” is no user by id or e-mail address`) {
		t.Errorf("licenses of users who are not known: got exit %d, %s", status, stderr)
	}
	twice := append([]string{"mirror", "import", line[3], line[3]}, line[4:]...)
	if status, _, stderr := sitegate(t, nil, append(twice, "--by", "ida")...); status == 0 || !strings.Contains(stderr, "Both files are of the same") {
		t.Errorf("two files of licenses: got exit %d, %s", status, stderr)
	}
	if err := os.WriteFile(line[2], []byte("User ID,Country,Name\nu,DE,J\xfcrgen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for encoding, hint := range map[string]bool{"utf-8": true, "windows-1252": false} {
		if _, _, stderr := sitegate(t, nil, append(line, "--by", "ida", "--encoding", encoding)...); strings.Contains(stderr, "This is not UTF-8. Save the file as CSV UTF-8. Or, where it is windows-1252, say --encoding windows-1252") != hint {
			t.Errorf("what is windows-1252, read as %s: got %s", encoding, stderr)
		}
	}
	if len(*imported) != 0 {
		t.Errorf("%d requests to import", len(*imported))
	}
}

func TestALargeImportGoesInParts(t *testing.T) {
	line, imported := portalSite(t, api.Status{Time: at})
	var users strings.Builder
	users.WriteString("User ID,Country\n")
	for i := range 2*importPart + 1 {
		users.WriteString("u" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String() + ",DE\n")
	}
	if err := os.WriteFile(line[2], []byte(users.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	only := append([]string{"mirror", "import", line[2]}, line[4:]...)
	if status, _, stderr := sitegate(t, nil, append(only, "--yes", "--by", "ida")...); status != 0 {
		t.Fatalf("got exit %d, %s", status, stderr)
	}
	if n := len(*imported); n != 3 || (*imported)[0].Last || (*imported)[1].Last || !(*imported)[2].Last {
		t.Errorf("got %d requests, want three of which the last says so", n)
	}
}

// Who waits for an import hears how far it is.
func TestAnImportTellsHowFarItIs(t *testing.T) {
	line, imported := portalSite(t, api.Status{Time: at})
	c := configs.Default()
	for i, arg := range line {
		if arg == "--config" {
			c.DataDir = filepath.Dir(line[i+1])
		}
	}
	var heard []int
	d := &portal.Diff{}
	for range 2*importPart + 1 {
		d.Changes = append(d.Changes, portal.Change{Now: &api.MirrorRecord{Kind: "user"}})
	}
	if err := sendDiff(t.Context(), c, d, "ida", "", func(done int) { heard = append(heard, done) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(heard, []int{importPart, 2 * importPart, 2*importPart + 1}) || len(*imported) != 3 {
		t.Errorf("heard %v of %d parts", heard, len(*imported))
	}
}

func TestMirrorStatusListsWhatCannotBeUnderstood(t *testing.T) {
	file := writeSingle(t)
	m := http.NewServeMux()
	m.Handle("GET /v1/status", statusOf(api.Status{Time: at, Link: api.LinkState{State: api.LinkStale, Contact: at.Add(-3 * time.Hour), Since: at.Add(-time.Hour)},
		Mirror: api.MirrorStatus{Filled: true, Source: "feed", Read: at.Add(-3 * time.Hour), Malformed: 1}, Counts: api.Counts{Users: 7, Products: 1, Licenses: 2, Assigned: 2}}))
	m.HandleFunc("GET /v1/mirror/malformed", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.List[api.MalformedRecord]{Items: []api.MalformedRecord{{Kind: "license", ID: "L1", Why: "it has no start", Since: at}}})
	})
	answerAt(t, file, m)
	_, stdout, stderr := sitegate(t, nil, "mirror", "status", "--config", file, "--data-dir", filepath.Dir(file))
	for _, want := range []string{"STALE, the cloud last answered 3 h ago, since", "7 users, 1 product, 2 licenses, 2 of them assigned", "the cloud's feed, read to its end 3 h ago",
		"malformed  1 record\n", "license L1: it has no start (since "} {
		if !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("got\n%s%s\nwant in it %q", stdout, stderr, want)
		}
	}
}

func TestStatusTellsWhatTheCloudOffers(t *testing.T) {
	file := writeSingle(t)
	offered := api.Status{Time: at, Link: api.LinkState{Up: true, State: api.LinkUp, Contact: at}, Mirror: api.MirrorStatus{Filled: true, Source: "feed"},
		Cloud: api.CloudOffers{Feed: &api.Offer{Offered: true, Since: at}, Holds: &api.Offer{Since: at.Add(-time.Hour)}, UsageWay: "csv", UsageSince: at}}
	m := http.NewServeMux()
	m.Handle("GET /v1/status", statusOf(offered))
	answerAt(t, file, m)
	_, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file))
	since := ", since " + at.UTC().Format("2006-01-02 15:04:05 UTC") + "\n"
	for _, want := range []string{"tells of changes as they are made" + since, "CONFIRMS NOTHING: the account's terms decide, since ", "usage goes in the vendor's CSV files, at least once" + since} {
		if !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("got\n%s%s\nwant in it %q", stdout, stderr, want)
		}
	}
	if strings.Contains(stdout, "moves") || strings.Contains(stdout, "lists what") {
		t.Errorf("it tells of what nobody has asked for:\n%s", stdout)
	}
}

func TestMirrorStatusOfASiteThatHasJustBegun(t *testing.T) {
	file := writeSingle(t)
	m := http.NewServeMux()
	m.Handle("GET /v1/status", statusOf(api.Status{Time: at, Link: api.LinkState{Up: true, State: api.LinkUp, Contact: at}, Mirror: api.MirrorStatus{Filled: true, Source: "feed"}}))
	m.HandleFunc("GET /v1/mirror/malformed", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"items":[]}`)) })
	answerAt(t, file, m)
	_, stdout, stderr := sitegate(t, nil, "mirror", "status", "--config", file, "--data-dir", filepath.Dir(file))
	if want := "the cloud's feed, read to its end\n"; !strings.Contains(stdout, want) || stderr != "" {
		t.Errorf("got\n%s%s\nwant in it %q", stdout, stderr, want)
	}
}
