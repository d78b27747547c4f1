package gateway

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"sitegate/license"
)

// Looking back finds everything once, newest first, however it is cut into pages, and ends
// where the journal begins.
func TestRecallLooksBack(t *testing.T) {
	const events = 3000
	log := newSoloLog()
	g := New(Config{Log: log, Logger: slog.New(slog.DiscardHandler)})
	for range events {
		out, err := log.apply(license.Refused{User: "ada", Machine: license.Machine{Name: "WS-101"}, Denial: license.Denial{Reason: license.MachineActive}})
		if err != nil || out.Denial != nil {
			t.Fatal(err, out.Denial)
		}
	}
	every := func(n uint64) func(license.Event) bool {
		return func(e license.Event) bool { _, ok := e.Fact.(license.Attempted); return ok && e.Seq%n == 0 }
	}
	recall := func(n uint64, most, look int) (seqs []uint64, pages int) {
		t.Helper()
		for before := uint64(0); ; pages++ {
			found, reached, err := g.Recall(context.Background(), before, most, look, every(n))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range found {
				seqs = append(seqs, e.Seq)
			}
			if reached == 0 {
				return seqs, pages + 1
			}
			if before != 0 && reached >= before || pages > events {
				t.Fatalf("it went from %d to %d", before, reached)
			}
			before = reached
		}
	}
	first := log.journal[0].Seq
	want := func(n uint64) (seqs []uint64) {
		for _, e := range slices.Backward(log.journal) {
			if every(n)(e) {
				seqs = append(seqs, e.Seq)
			}
		}
		return seqs
	}
	for _, test := range []struct {
		n          uint64
		most, look int
	}{{1, 50, 20_000}, {7, 50, 20_000}, {1000, 50, 20_000}, {1000, 50, 100}, {1, 1, 1}, {5000, 10, 1000}} {
		if got, _ := recall(test.n, test.most, test.look); !slices.Equal(got, want(test.n)) {
			t.Errorf("every %dth, %d a page of %d: %d are found from %v; want %d", test.n, test.most, test.look, len(got), got[:min(3, len(got))], len(want(test.n)))
		}
	}
	// What is kept no more is not looked for.
	log.journal = log.journal[events-100:]
	if log.journal[0].Seq <= first {
		t.Fatal("nothing was taken from the journal")
	}
	got, pages := recall(1, 1000, 200)
	if !slices.Equal(got, want(1)) || pages > 2 {
		t.Errorf("of %d events that are kept %d are found on %d pages", len(log.journal), len(got), pages)
	}
}
