package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// siteAt is a node with three users, one of whom has a name that a spreadsheet would
// run, and what they have open, and whatever else it is to mirror. tool runs a command line
// at it.
func siteAt(t *testing.T, more ...license.Change) (state func(func(*license.State)), tool func(want int, args ...string) string) {
	t.Helper()
	config := writeSingle(t)
	gw, store, end := nodeAt(t, config, time.Now())
	t.Cleanup(end)
	changes := []license.Change{
		{Account: &license.Account{ID: "a", AutonomyCapped: time.Hour, AutonomyUncapped: 7 * 24 * time.Hour, CheckoutMax: 30 * 24 * time.Hour}},
		{Product: &license.Product{ID: "3101", Name: "Bridge Modeler", Capped: license.CappedYes}}}
	for n, name := range []string{"Ada Ashe", "=cmd()", "Bo\tBell"} {
		user := license.UserID(fmt.Sprint("u", n))
		changes = append(changes, license.Change{User: &license.User{ID: user, Name: name, Email: fmt.Sprintf("u%d@acme.example", n), Country: "GB"}},
			license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprint("V-", n)), Product: "3101", Kind: license.Virtuoso, Assignee: user, Ends: license.TimeOf(time.Now().Add(100 * 24 * time.Hour))}})
	}
	changes = append(changes, license.Change{License: &license.License{ID: "V-spare", Product: "3101", Kind: license.Virtuoso}})
	changes = append(changes, more...)
	if _, err := store.Propose(t.Context(), license.Mirror{Cursor: "1", Full: true, Last: true, Changes: changes}); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		a, err := gw.Start(t.Context(), license.Start{ID: license.ID{byte(1 + n)}, User: license.UserID(fmt.Sprint("u", n)), Product: "3101", Machine: license.Machine{ID: fmt.Sprint("m-", n), Name: fmt.Sprint("WS-10", n)}})
		if err != nil || a.Outcome.Denial != nil {
			t.Fatal(err, a.Outcome.Denial)
		}
	}
	second := license.Machine{ID: "m-9", Name: "WS-109"}
	a, err := gw.Start(t.Context(), license.Start{ID: license.ID{9}, User: "u0", Product: "3101", Machine: second})
	if err != nil || a.Outcome.Denial == nil {
		t.Fatalf("a second machine: %+v, %v; want it refused", a.Outcome, err)
	}
	if _, err := store.Propose(t.Context(), license.Refused{User: "u0", Machine: second, Denial: *a.Outcome.Denial}); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	store.View(func(s *license.State) { seq = s.Head().Seq })
	eventually(t, "the journal has all events", func() bool {
		events, err := store.Journal(t.Context(), seq-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		return len(events) == 1
	})
	at := []string{"--config", config, "--data-dir", filepath.Dir(config)}
	return store.View, func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := sitegate(t, nil, slices.Concat(args, at)...)
		if status != want {
			t.Fatalf("%v: status %d, %q %q; want %d", args, status, stdout, stderr, want)
		}
		return stdout + stderr
	}
}

// wants fails where a text lacks some words, or has some.
func wants(t *testing.T, what, text string, has []string, not ...string) {
	t.Helper()
	for _, w := range has {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
	for _, w := range not {
		if strings.Contains(text, w) {
			t.Errorf("%s has %q:\n%s", what, w, text)
		}
	}
}

// What the console shows is on the command line, too.
func TestTheSiteIsShownOnTheCommandLine(t *testing.T) {
	_, tool := siteAt(t)
	wants(t, "sessions", tool(0, "sessions"), []string{"Ada Ashe <u0@acme.example>", "WS-100", "Bridge Modeler", "WS-101", "provisional"})
	wants(t, "sessions of ada", tool(0, "sessions", "ada"), []string{"WS-100"}, "WS-101")
	wants(t, "sessions by address", tool(0, "sessions", "--user", "U0@acme.example"), []string{"WS-100"}, "WS-101")
	wants(t, "sessions on a machine", tool(0, "sessions", "--machine", "WS-101", "--capped"), []string{"WS-101", "As of "}, "WS-100")
	wants(t, "one session", tool(0, "sessions", "--limit", "1"), []string{"1 of 2; --limit 0"})
	wants(t, "no session", tool(0, "sessions", "nobody"), []string{"Nothing runs that fits."})
	wants(t, "both kinds", tool(0, "sessions", "--capped", "--kind", "all"), []string{"KIND", "UNTIL", "session", "WS-100", "WS-101"})
	wants(t, "checked out only", tool(0, "sessions", "--capped", "--kind", "checkout"), []string{"Nothing is checked out that fits."})
	wants(t, "a wrong kind", tool(64, "sessions", "--kind", "both"), []string{"session, checkout or all"})
	wants(t, "checkouts", tool(0, "checkouts"), []string{"Nothing is checked out that fits."})
	wants(t, "checkouts by their list", tool(0, "checkouts", "list"), []string{"Nothing is checked out that fits."})
	wants(t, "users", tool(0, "users"), []string{"Ada Ashe", `Bo\tBell`, "WS-100"})
	wants(t, "users by word", tool(0, "users", "bell"), []string{"u2"}, "Ada")
	wants(t, "a user", tool(0, "users", "show", "u0@acme.example"), []string{"Open now: 1 session", "WS-100", "is shown with --reason WHY"}, "WS-109")
	wants(t, "what happened to them", tool(0, "users", "show", "u0@acme.example", "--reason", "ticket 4711", "--by", "dora"), []string{"Open now: 1 session", "WS-100", "WS-109"}, "--reason WHY")
	wants(t, "as JSON", tool(0, "users", "show", "u0@acme.example", "--json"), []string{"WS-100"}, `"history"`)
	wants(t, "removal", tool(0, "users", "removal", "u2"), []string{"V-2"})
	wants(t, "a machine", tool(0, "machines", "show", "WS-100"), []string{"Open now: 1 session", "Ada Ashe"}, "Lately")
	wants(t, "what happened on it", tool(0, "machines", "show", "WS-100", "--reason", "ticket 4711", "--by", "dora"), []string{"Ada Ashe", "Lately"})
	wants(t, "machines", tool(0, "machines"), []string{"WS-100", "m-0", "Ada Ashe", "WS-101", "Bridge Modeler"}, "WS-109")
	wants(t, "machines of ada", tool(0, "machines", "ada"), []string{"WS-100"}, "WS-101")
	wants(t, "machines of a user", tool(0, "machines", "--user", "u1@acme.example"), []string{"WS-101"}, "WS-100")
	wants(t, "one machine", tool(0, "machines", "--limit", "1"), []string{"1 of 2; --limit 0"})
	wants(t, "who looked", tool(0, "audit"), []string{"history-read", "dora", "ticket 4711"})
	wants(t, "licenses", tool(0, "licenses"), []string{"V-0", "V-spare", "unassigned", "Ada Ashe"})
	wants(t, "spare licenses", tool(0, "licenses", "--state", "unassigned"), []string{"V-spare"}, "V-0")
	wants(t, "licenses of a user", tool(0, "licenses", "list", "--user", "u1@acme.example"), []string{"V-1"}, "V-0")
	wants(t, "a license", tool(0, "licenses", "show", "V-0"), []string{"Bridge Modeler", "Ada Ashe <u0@acme.example>"}, "Category")
	wants(t, "no license", tool(64, "licenses", "show"), []string{"say one name"})
	wants(t, "a user's licenses", tool(0, "users", "show", "u0@acme.example"), []string{"V-0 of Bridge Modeler"})
	wants(t, "products", tool(0, "licenses", "products"), []string{"3101", "Bridge Modeler", "yes"})
	wants(t, "refusals", tool(0, "refusals"), []string{"WS-109", "machine-active", "Free the machine", "sitegate release session 01000000-", "--note WHY"})
	wants(t, "counts of what would have been refused", tool(0, "refusals", "--counts"), []string{"Nobody would have been refused since"})
	wants(t, "counts with words", tool(64, "refusals", "--counts", "ada"), nil)
	wants(t, "counts, some of them", tool(64, "refusals", "--counts", "--limit", "1"), nil)
	wants(t, "nobody", tool(1, "sessions", "--user", "u0@acme.exampel"), []string{"no user of the account has the address", "did you mean u0@acme.example"})
	wants(t, "a wrong state", tool(1, "licenses", "--state", "spare"), []string{"the node refused"})
	wants(t, "no node's name", tool(64, "cluster", "drain", ""), []string{"name one node"})
	wants(t, "two forms", tool(64, "sessions", "--csv", "--json"), []string{"choose one"})
	wants(t, "a wrong limit", tool(64, "users", "--limit", "-1"), []string{"--limit -1"})

	var all struct{ Items []api.Open }
	if err := json.Unmarshal([]byte(tool(0, "sessions", "--json")), &all); err != nil || len(all.Items) != 2 {
		t.Errorf("as JSON: %d sessions, %v; want 2", len(all.Items), err)
	}
	lines, err := csv.NewReader(strings.NewReader(tool(0, "users", "--csv"))).ReadAll()
	if err != nil || len(lines) != 4 || lines[0][1] != "user" {
		t.Fatalf("as CSV: %q, %v", lines, err)
	}
	if !slices.ContainsFunc(lines, func(l []string) bool { return strings.HasPrefix(l[1], "'=cmd()") }) {
		t.Errorf("a spreadsheet would run a name: %q", lines)
	}
}

// Who is named by an address is found, however many have it in theirs.
func TestSomebodyIsNamedByAnAddress(t *testing.T) {
	var alike []license.Change
	add := func(id, email string) {
		alike = append(alike, license.Change{User: &license.User{ID: license.UserID(id), Name: "Dan " + id, Email: email}})
	}
	for n := range 60 { // more than any page that is asked for
		add(fmt.Sprintf("d-%02d", n), fmt.Sprintf("%02d.dan@acme.example", n))
	}
	add("d-short", "dan@acme.example")
	add("d-1st", "twin@acme.example")
	add("d-2nd", "Twin@acme.example")
	_, tool := siteAt(t, alike...)
	wants(t, "a short address", tool(0, "users", "show", "Dan@acme.example"), []string{"d-short", "Open now: 0 sessions"})
	wants(t, "an address of two", tool(1, "users", "show", "twin@acme.example"), []string{"2 users of the account", "d-1st", "d-2nd"})
	wants(t, "nobody's", tool(1, "users", "show", "nobody@nowhere.example"), []string{"hidden by privacy", "by the id or by the name that is shown"})
}

// Somebody's licenses are all shown, however many pages they are.
func TestAllLicensesOfAUserAreShown(t *testing.T) {
	var many []license.Change
	for n := range mostOfPage {
		many = append(many, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("W-%03d", n)), Product: "3101", Kind: license.Virtuoso, Assignee: "u2"}})
	}
	_, tool := siteAt(t, many...)
	text := tool(0, "users", "show", "u2")
	wants(t, "all", text, []string{"W-000 of Bridge Modeler\n", fmt.Sprintf("W-%03d of Bridge Modeler\n", mostOfPage-1)})
}

// Two machines may have one name.
func TestMachinesOfOneNameAreBlockedEachForItself(t *testing.T) {
	config := writeSingle(t)
	_, store, end := nodeAt(t, config, time.Now())
	t.Cleanup(end)
	for id, why := range map[string]string{"m-7": "stolen", "m-8": "lent"} {
		out, err := store.Propose(t.Context(), license.Block{Machine: license.Machine{ID: id, Name: "WS-200"}, By: "ida", Note: why})
		if err != nil || out.Denial != nil {
			t.Fatal(err, out.Denial)
		}
	}
	status, stdout, stderr := sitegate(t, nil, "machines", "show", "WS-200", "--config", config, "--data-dir", filepath.Dir(config))
	if status != 0 {
		t.Fatalf("status %d, %q", status, stderr)
	}
	wants(t, "both", stdout, []string{"m-7: blocked by ida: stolen, since ", "m-8: blocked by ida: lent, since "})
}

// What is done to somebody wants a reason, says what it did, and is in the audit trail.
func TestActsOnTheCommandLine(t *testing.T) {
	state, tool := siteAt(t)
	first := license.ID{1}.String()
	wants(t, "without a reason", tool(64, "release", "session", first), []string{"say why, with --note"})
	wants(t, "release", tool(0, "release", "session", first, "--note", "on leave", "--by", "ida"), []string{first + " on WS-100 is told to end"})
	state(func(s *license.State) {
		if x := s.Session(license.ID{1}); x == nil || x.Notice == nil {
			t.Errorf("the session is %+v; want it ending", x)
		}
	})
	wants(t, "nothing", tool(1, "release", "session", license.ID{7}.String(), "--note", "x"), []string{"the node refused"})
	wants(t, "release of a user", tool(0, "release", "user", "u1@acme.example", "--note", "repair", "--by", "ida"), []string{"All sessions of u1@acme.example"})
	wants(t, "block", tool(0, "block", "user", "u2@acme.example", "--note", "ticket 1", "--by", "ida"), []string{"User u2@acme.example is kept out."})
	wants(t, "block of a machine", tool(0, "block", "machine", "WS-109", "--note", "stolen", "--by", "ida"), []string{"Machine WS-109 is kept out."})
	wants(t, "blocks", tool(0, "block"), []string{"u2", "WS-109", "stolen", "ida"})
	wants(t, "machines with a blocked one", tool(0, "machines", "ws-10"), []string{"WS-100", "WS-109", "blocked by ida: stolen"})
	wants(t, "a blocked machine", tool(0, "machines", "show", "ws-109"), []string{"blocked by ida: stolen, since "})
	wants(t, "a blocked user", tool(0, "users", "show", "u2"), []string{"blocked by ida: ticket 1"})
	wants(t, "machines without it", tool(0, "machines", "ada"), []string{"WS-100"}, "WS-109")
	wants(t, "unblock", tool(0, "unblock", "user", "u2", "--by", "ida"), []string{"may come in again"})
	wants(t, "unblock of a machine", tool(0, "unblock", "machine", "WS-109", "--note", "found", "--by", "ida"), []string{"may come in again"})
	wants(t, "no blocks", tool(0, "block", "list"), []string{"Nobody and nothing is kept out."})
	wants(t, "the trail", tool(0, "audit", "list"), []string{"ida", "on leave", "ticket 1", "stolen", "found"})
	wants(t, "a move to nobody", tool(64, "licenses", "move", "V-spare", "--note", "x"), []string{"--to"})
	wants(t, "a misspelt command of a list", tool(64, "block", "usre"), []string{"did you mean user?"})
	wants(t, "a misspelt command", tool(64, "unblock", "usre"), []string{"did you mean user?"})
}

// A machine is one row, whatever is open there and whether all of it has the machine's id.
func TestMachinesAreOneRowEach(t *testing.T) {
	early, late := at, at.Add(time.Hour)
	open := []api.Open{
		{Kind: "session", User: "u0", Name: "Ada", ProductName: "Bridge", Machine: api.Machine{Name: "WS-1"}, Since: early},
		{Kind: "checkout", User: "u1", Name: "Bo", Product: "3102", Machine: api.Machine{ID: "m-2", Name: "WS-2"}, Since: early},
		{Kind: "session", User: "u0", Name: "Ada", ProductName: "Bridge", Machine: api.Machine{ID: "m-1", Name: "ws-1"}, Since: late},
		{Kind: "checkout", User: "u1", Name: "Bo", ProductName: "Bridge", Machine: api.Machine{Name: "WS-1"}, Since: early}}
	blocks := []api.Block{{User: "u9"}, {Machine: &api.Machine{ID: "m-2"}, By: "ida"}, {Machine: &api.Machine{Name: "WS-2"}, By: "ida"}, {Machine: &api.Machine{Name: "WS-3"}, By: "ida"}}
	got := machineRows(open, blocks[2:], false, []string{"ws"})
	want := []machineRow{
		{Machine: api.Machine{ID: "m-1", Name: "WS-1"}, Users: []string{"Ada", "Bo"}, Products: []string{"Bridge"}, Sessions: 2, Checkouts: 1, Since: late},
		{Machine: api.Machine{ID: "m-2", Name: "WS-2"}, Users: []string{"Bo"}, Products: []string{"3102"}, Checkouts: 1, Since: early, Blocked: &blocks[2]},
		{Machine: api.Machine{Name: "WS-3"}, Users: []string{}, Products: []string{}, Blocked: &blocks[3]}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := machineRows(nil, blocks, false, []string{"nobody"}); len(got) != 0 {
		t.Errorf("blocked machines that do not fit: %+v", got)
	}

	// Two that are called the same are two; only what is open is of a user.
	open = []api.Open{{Machine: api.Machine{ID: "m-1", Name: "LAPTOP"}}, {Machine: api.Machine{ID: "m-2", Name: "laptop"}}}
	blocks = []api.Block{{Machine: &api.Machine{ID: "m-2", Name: "PC"}, By: "ida"}, {Machine: &api.Machine{ID: "m-3"}}}
	got = machineRows(open, blocks, true, nil)
	if len(got) != 2 || got[0].Blocked != nil || got[1].Blocked == nil || got[1].Machine.ID != "m-2" {
		t.Errorf("got %+v, want two machines, of which the second is blocked", got)
	}
}

// Text from elsewhere cannot steer a terminal, and reads as it was written.
func TestTextIsShownAsItIsButForControlCharacters(t *testing.T) {
	for text, want := range map[string]string{
		`on "WS-202"`: `on "WS-202"`, `C:\new\temp`: `C:\new\temp`, `\"`: `\"`, "a\tb\n": `a\tb\n`, "\x1b[2J": `\x1b[2J`, "Zoë": "Zoë", "a\u202eb": `a\u202eb`, "": ""} {
		if got := shown(text); got != want {
			t.Errorf("%q is shown as %q; want %q", text, got, want)
		}
	}
}

// Licenses are checked out for many only after it was said what would come of it.
func TestManyAreCheckedOutFromAFile(t *testing.T) {
	state, tool := siteAt(t)
	file := filepath.Join(t.TempDir(), "ship.csv")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := func() (n int) {
		state(func(s *license.State) { n = s.Counts().Checkouts })
		return n
	}
	day := time.Now().Add(5 * 24 * time.Hour).UTC().Format(time.DateOnly)
	line := func(more ...string) []string {
		return append([]string{"checkouts", "bulk", file, "--product", "3101", "--until", day, "--note", "ship", "--by", "ida"}, more...)
	}
	write("user;machine\nu2@acme.example;LAPTOP-7\nu1@acme.example;WS-109\n")
	wants(t, "a bad row", tool(1, line("--yes")...), []string{"3", "machine-active", "WS-109", "Nothing was checked out; STATE says why.", "1 checkout not made"}, "LAPTOP-7")
	write("user;machine;wer\nu2@acme.example;LAPTOP-7;Zo\xeb\n")
	wants(t, "the preview", tool(0, line()...), []string{"LAPTOP-7", "good", day + " 23:59", "To make 1 checkout: the same with --yes"})
	if n := out(); n != 0 {
		t.Errorf("%d checkouts were made before that was said; want none", n)
	}
	wants(t, "as JSON", tool(0, line("--json")...), []string{`"dry_run": true`, `"machine": "LAPTOP-7"`})
	wants(t, "where the cloud does not answer", tool(1, line("--yes")...), []string{"cloud-needed", "Nothing was checked out; STATE says why."})
	if n := out(); n != 0 {
		t.Errorf("%d checkouts were made though the cloud has not agreed; want none", n)
	}
	wants(t, "without a reason", tool(64, "checkouts", "bulk", file, "--product", "3101"), []string{"say why, with --note"})
	wants(t, "without a product", tool(64, "checkouts", "bulk", file, "--note", "x"), []string{"--product"})
	wants(t, "another day", tool(64, "checkouts", "bulk", file, "--product", "3101", "--until", "tomorrow", "--note", "x"), []string{"2026-05-31"})
	write("\x81\x8d\n")
	wants(t, "no text", tool(1, line()...), []string{file})
}

// A bulk checkout that ends in the middle says how it goes on, and nothing is there twice.
func TestABulkCheckoutGoesOn(t *testing.T) {
	config := writeSingle(t)
	file := filepath.Join(filepath.Dir(config), "ship.csv")
	if err := os.WriteFile(file, []byte("user,machine\nu1,WS-1\nu2,WS-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got api.BulkCheckoutRequest
	lost := false // the answer
	report := api.BulkReport{Rows: 2, Made: 1, Bad: 1, Items: []api.BulkRow{{Row: 2, User: "u1", Machine: "WS-1", Until: at}, {Row: 3, User: "u2", Machine: "WS-2", Reason: "row-not-tried", Text: "It was not tried."}}}
	m := http.NewServeMux()
	m.HandleFunc("POST /v1/checkouts/bulk", func(w http.ResponseWriter, r *http.Request) {
		got = api.BulkCheckoutRequest{}
		_ = json.NewDecoder(r.Body).Decode(&got)
		if lost {
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_ = json.NewEncoder(w).Encode(report)
	})
	answerAt(t, config, m)
	line := []string{"checkouts", "bulk", file, "--product", "3101", "--product", "3102", "--until", "2026-12-31", "--note", "ship", "--by", "ida", "--yes", "--config", config, "--data-dir", filepath.Dir(config)}
	status, stdout, stderr := sitegate(t, nil, line...)
	wants(t, "the first", stdout+stderr, []string{"row-not-tried: It was not tried.", "1 checkout made. For the rest: the same with --id " + got.ID, "1 checkout not made"})
	if status != 1 || got.DryRun || got.ID == "" || got.By != "ida" || got.Note != "ship" || len(got.Products) != 2 || !got.Until.Equal(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("status %d, the node was asked for %+v", status, got)
	}
	first := got.ID
	report = api.BulkReport{Rows: 2, Made: 2, Items: []api.BulkRow{{Row: 2, User: "u1", Machine: "WS-1", Until: at}, {Row: 3, User: "u2", Machine: "WS-2", Until: at}}}
	status, stdout, stderr = sitegate(t, nil, append(line, "--id", first)...)
	wants(t, "the second", stdout+stderr, []string{"WS-2", "2 checkouts made."})
	if status != 0 || got.ID != first {
		t.Errorf("status %d, with the id %s; want %s", status, got.ID, first)
	}
	status, stdout, stderr = sitegate(t, nil, append(line, "--json")...)
	wants(t, "as JSON", stdout, []string{`"id": "` + got.ID + `"`, `"made": 2`})
	if status != 0 || stderr != "" || got.ID == first {
		t.Errorf("as JSON: status %d, with the id %s, %s", status, got.ID, stderr)
	}
	report = api.BulkReport{Rows: 2, Bad: 2, Items: []api.BulkRow{{Row: 2, User: "u1", Machine: "WS-1", Reason: api.CodeUnknown}, {Row: 3, User: "u2", Machine: "WS-2", Reason: "row-not-tried"}}}
	_, stdout, _ = sitegate(t, nil, line...)
	wants(t, "of unknown outcome", stdout, []string{"It is not known whether one was checked out. To go on: the same with --id " + got.ID}, "Nothing was")
	lost = true
	status, _, stderr = sitegate(t, nil, line...)
	wants(t, "whose answer is lost", stderr, []string{"reading the node's answer", "The same with --id " + got.ID + " makes what is missing"})
	if status != exitFailed {
		t.Errorf("without an answer: status %d, want %d", status, exitFailed)
	}
}
