package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"sitegate/gateway"
	"sitegate/license"
)

// The whole way: a site whose events are older than its history forgets them, on disk, and the
// operator's tool shows the same peaks and the same audit as before, over a restart too.
func TestTheToolShowsWhatWasForgotten(t *testing.T) {
	file := writeSingle(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	morning := time.Now().UTC().Truncate(24 * time.Hour).Add(8 * time.Hour)
	ws := license.Machine{ID: "m-1", Name: "WS-1"}

	gw, store, end := nodeAt(t, file, morning)
	if _, err := store.Propose(ctx, license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{
		{Account: &license.Account{ID: "a", AutonomyUncapped: 30 * 24 * time.Hour}}, {User: &license.User{ID: "ada", Country: "DE"}},
		{Product: &license.Product{ID: "view", Name: "Plan Viewer", Capped: license.CappedNo}},
		{License: &license.License{ID: "all", Product: "view", Kind: license.Commercial}}}}); err != nil {
		t.Fatal(err)
	}
	if a, err := gw.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "view", Machine: ws}); err != nil || a.Outcome.Denial != nil {
		t.Fatal(err, a.Outcome.Denial)
	}
	end()

	gw, store, end = nodeAt(t, file, morning.Add(2*time.Hour))
	if a, err := gw.Stop(ctx, license.Stop{ID: license.ID{1}, User: "ada", Machine: ws}); err != nil || a.Outcome.Denial != nil {
		t.Fatal(err, a.Outcome.Denial)
	}
	var seq uint64
	store.View(func(s *license.State) { seq = s.Head().Seq })
	if _, err := store.Propose(ctx, license.UsageSent{Through: seq, Records: 1}); err != nil {
		t.Fatal(err)
	}
	shown := func() (out string) {
		t.Helper()
		day := morning.Format(time.DateOnly)
		for _, args := range [][]string{{"usage", "peaks", "--csv", "--daily", "--from", day, "--to", morning.Add(24 * time.Hour).Format(time.DateOnly)}, {"usage", "audit"}} {
			status, stdout, stderr := sitegate(t, nil, append(args, "--config", file, "--data-dir", filepath.Dir(file))...)
			if status != 0 {
				t.Fatalf("%v: status %d, %s%s", args, status, stdout, stderr)
			}
			out += regexp.MustCompile(`Events 1 to \d+`).ReplaceAllString(stdout, "Events 1 to the last") // nodes that begin to lead have some of their own
		}
		return out
	}
	want := shown()
	end()

	_, store, end = nodeAt(t, file, morning.Add(3*24*time.Hour))
	node := &nodeLog{}
	node.store.Store(store)
	run, stop := context.WithCancel(ctx)
	errands := make(chan error, 1)
	keeping := gateway.New(gateway.Config{Log: node, Logger: slog.New(slog.DiscardHandler), History: 24 * time.Hour})
	go func() { errands <- keeping.Run(run) }()
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		var through uint64
		store.View(func(s *license.State) { through = s.Head().Forgotten.Sums.Through })
		if through >= seq {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("events are forgotten up to %d, want %d", through, seq)
		}
	}
	if err := store.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if events, err := store.Journal(ctx, 0, 1); err != nil || len(events) > 0 && events[0].Seq <= seq {
		t.Errorf("the journal begins with %v, %v; want nothing up to %d", events, err, seq)
	}
	if got := shown(); got != want {
		t.Errorf("afterwards got\n%s\nwant\n%s", got, want)
	}
	stop()
	if err := <-errands; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	end()
	_, _, end = nodeAt(t, file, morning.Add(3*24*time.Hour+time.Hour))
	defer end()
	if got := shown(); got != want {
		t.Errorf("after a restart got\n%s\nwant\n%s", got, want)
	}
}
