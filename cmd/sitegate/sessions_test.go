package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
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
	wants(t, "sessions on a machine", tool(0, "sessions", "--machine", "WS-101", "--capped"), []string{"WS-101"}, "WS-100")
	wants(t, "one session", tool(0, "sessions", "--limit", "1"), []string{"1 of 2; --limit 0"})
	wants(t, "no session", tool(0, "sessions", "nobody"), []string{"Nothing runs that fits."})
	wants(t, "checkouts", tool(0, "checkouts", "list"), []string{"Nothing is checked out that fits."})
	wants(t, "users", tool(0, "users"), []string{"Ada Ashe", `Bo\tBell`, "WS-100"})
	wants(t, "users by word", tool(0, "users", "bell"), []string{"u2"}, "Ada")
	wants(t, "a user", tool(0, "users", "show", "u0@acme.example"), []string{"Open now: 1 session", "WS-100", "is shown with --reason WHY"}, "WS-109")
	wants(t, "what happened to them", tool(0, "users", "show", "u0@acme.example", "--reason", "ticket 4711", "--by", "dora"), []string{"Open now: 1 session", "WS-100", "WS-109"}, "--reason WHY")
	wants(t, "as JSON", tool(0, "users", "show", "u0@acme.example", "--json"), []string{"WS-100"}, `"history"`)
	wants(t, "removal", tool(0, "users", "removal", "u2"), []string{"V-2"})
	wants(t, "a machine", tool(0, "machines", "show", "WS-100"), []string{"Open now: 1 session", "Ada Ashe"}, "Lately")
	wants(t, "what happened on it", tool(0, "machines", "show", "WS-100", "--reason", "ticket 4711", "--by", "dora"), []string{"Ada Ashe", "Lately"})
	wants(t, "who looked", tool(0, "audit", "list"), []string{"history-read", "dora", "ticket 4711"})
	wants(t, "licenses", tool(0, "licenses"), []string{"V-0", "V-spare", "unassigned", "Ada Ashe"})
	wants(t, "spare licenses", tool(0, "licenses", "--state", "unassigned"), []string{"V-spare"}, "V-0")
	wants(t, "licenses of a user", tool(0, "licenses", "list", "--user", "u1@acme.example"), []string{"V-1"}, "V-0")
	wants(t, "products", tool(0, "licenses", "products"), []string{"3101", "Bridge Modeler", "yes"})
	wants(t, "refusals", tool(0, "refusals"), []string{"WS-109", "machine-active", "sitegate release session 01000000-"})
	wants(t, "nobody", tool(1, "sessions", "--user", "u0@acme.exampel"), []string{"no user of the account has the address", "did you mean u0@acme.example"})
	wants(t, "a wrong state", tool(1, "licenses", "--state", "spare"), []string{"the node refused"})
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
	wants(t, "blocks", tool(0, "block", "list"), []string{"u2", "WS-109", "stolen", "ida"})
	wants(t, "unblock", tool(0, "unblock", "user", "u2", "--note", "found", "--by", "ida"), []string{"may come in again"})
	wants(t, "unblock of a machine", tool(0, "unblock", "machine", "WS-109", "--note", "found", "--by", "ida"), []string{"may come in again"})
	wants(t, "no blocks", tool(0, "block", "list"), []string{"Nobody and nothing is kept out."})
	wants(t, "the trail", tool(0, "audit", "list"), []string{"ida", "on leave", "ticket 1", "stolen", "found"})
	wants(t, "a move to nobody", tool(64, "licenses", "move", "V-spare", "--note", "x"), []string{"--to"})
	wants(t, "a misspelt command", tool(64, "unblock", "usre"), []string{"did you mean user?"})
}
