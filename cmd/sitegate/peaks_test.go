package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/raftstore"
)

// nodeAt runs the parts of a node that the operator's tool asks, on the data folder
// of a configuration, with a wall clock that begins at a time. They end when the
// function it returns is called.
func nodeAt(t *testing.T, file string, begins time.Time) (*gateway.Gateway, *raftstore.Store, func()) {
	t.Helper()
	opened, node := time.Now(), &nodeLog{}
	quiet := slog.New(slog.DiscardHandler)
	dir := filepath.Dir(file)
	store, err := raftstore.Open(raftstore.Config{Dir: filepath.Join(dir, "store"), Node: "node1", Logger: quiet,
		Clock: func() time.Time { return begins.Add(time.Since(opened)) }})
	if err != nil {
		t.Fatal(err)
	}
	node.store.Store(store)
	gw := gateway.New(gateway.Config{Log: node, Logger: quiet})
	ep, err := endpoint.New(endpoint.Config{Gateway: gw, Hub: notice.New(0, 0), Logger: quiet, KeysDir: filepath.Join(dir, "keys"), Audit: store.Audit,
		Issuers: []endpoint.Issuer{{URL: "https://sign-in.example", Audience: "site", Client: http.DefaultClient}}})
	if err != nil {
		t.Fatal(err)
	}
	shut := serveAt(t, file, ep.Operator())
	led := false
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = store.Lead(ctx, func(context.Context) { led = true; cancel() })
	if !led {
		t.Fatal("a node alone does not lead within 20 s")
	}
	return gw, store, func() {
		shut()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

// The whole way: sessions of hours, on disk over two restarts, one of which still
// runs, counted from the journal and shown by the operator's tool.
func TestPeaksThroughANode(t *testing.T) {
	file := writeSingle(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	morning := time.Now().UTC().Truncate(24 * time.Hour).Add(8 * time.Hour)
	machine := func(n int) license.Machine {
		return license.Machine{ID: fmt.Sprint("m-", n), Name: fmt.Sprint("WS-", n)}
	}
	ok := func(a gateway.Answer, err error) {
		t.Helper()
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("%v, %+v", err, a.Outcome.Denial)
		}
	}

	gw, store, end := nodeAt(t, file, morning)
	m := license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{
		{Account: &license.Account{ID: "a", AutonomyUncapped: 7 * 24 * time.Hour}},
		{Product: &license.Product{ID: "view", Name: "Plan Viewer", Capped: license.CappedNo}},
		{License: &license.License{ID: "all", Product: "view", Kind: license.Commercial}}}}
	for n := range 3 {
		user := license.UserID(fmt.Sprint("u", n))
		m.Changes = append(m.Changes, license.Change{User: &license.User{ID: user, Country: "DE"}})
		if n == 0 {
			m.Changes = append(m.Changes, license.Change{License: &license.License{ID: "own", Product: "view", Assignee: user}})
		}
	}
	if _, err := store.Propose(ctx, m); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		ok(gw.Start(ctx, license.Start{ID: license.ID{byte(1 + n)}, User: license.UserID(fmt.Sprint("u", n)), Product: "view", Machine: machine(n)}))
	}
	end()

	gw, _, end = nodeAt(t, file, morning.Add(3*time.Hour))
	ok(gw.Stop(ctx, license.Stop{ID: license.ID{1}, User: "u0", Machine: machine(0)}))
	ok(gw.Stop(ctx, license.Stop{ID: license.ID{2}, User: "u1", Machine: machine(1)}))
	end()

	_, _, end = nodeAt(t, file, morning.Add(5*time.Hour))
	defer end()
	day := morning.Format(time.DateOnly)
	line := []string{"usage", "peaks", "--config", file, "--data-dir", filepath.Dir(file), "--csv"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--from", day, "--to", morning.Add(5 * time.Hour).Format(time.RFC3339)}, fmt.Sprintf("%s,view,Plan Viewer,3,%sT08:10:00Z,2,%sT08:10:00Z\n", day, day, day)},
		// Only the third still runs, as pooled.
		{[]string{"--from", day + "T12:00:00Z", "--to", day + "T13:00:00Z"}, fmt.Sprintf("%s,view,Plan Viewer,1,%sT12:00:00Z,1,%sT12:00:00Z\n", day, day, day)},
		{[]string{"--from", day, "--to", day + "T13:00:00Z", "--product", "another"}, ""},
		{[]string{"--from", day, "--to", day + "T08:00:00Z"}, ""},
	} {
		status, stdout, stderr := sitegate(t, nil, append(line, test.args...)...)
		if want := "day,product,name,machines,at,pooled,pooled_at\n" + test.want; status != 0 || stdout != want {
			t.Errorf("%v: status %d, %s\ngot  %s\nwant %s", test.args, status, stderr, stdout, want)
		}
	}
}

// A spreadsheet takes nothing that the vendor has named for a formula.
func TestPeaksAreNoFormulas(t *testing.T) {
	var out bytes.Buffer
	if err := (&program{stdout: &out}).peaksCSV([]api.Peak{{Product: "=1+1", Name: "@SUM(A1)"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, ",=1") || strings.Contains(got, ",@SUM") {
		t.Errorf("a formula is in %s", got)
	}
}
