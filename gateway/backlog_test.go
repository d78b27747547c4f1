package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// The administrators are told early that usage waits; when its room is full nothing
// new is granted, and what runs goes on; when there is room again it is as before.
func TestWhatCouldNotBeMeteredIsNotStarted(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var used atomic.Uint64
		const most = 100 << 20
		s.backlog, s.backlogMost = used.Load, most
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); s.watchBacklog(ctx) }()
		defer func() { cancel(); <-done }()
		level := func() license.BacklogLevel { return s.head().Backlog.Level }
		step := func(bytes uint64, want license.BacklogLevel) {
			t.Helper()
			synctest.Wait()
			used.Store(bytes)
			s.wait(2 * backlogEvery)
			if got := level(); got != want {
				t.Errorf("with %d of %d bytes it is %s, want %s", bytes, most, got, want)
			}
		}
		step(10<<20, license.BacklogOK)
		wantGranted(t, s.start(t, 1, ws101), false)
		step(50<<20, license.BacklogHalf)
		step(81<<20, license.BacklogHigh)
		step(most-useReserve, license.BacklogFull) // the end of what runs needs the rest
		ben := license.Start{ID: license.ID{2}, User: "ben", Product: "road", Machine: ws202}
		a, err := s.Start(context.Background(), ben)
		if err != nil {
			t.Fatal(err)
		}
		wantDenied(t, a.Outcome, license.UsageFull)
		wantGranted(t, s.start(t, 1, ws101), false) // asked for again
		s.stop(t, 1, ws101)
		step(30<<20, license.BacklogOK)
		if a, err = s.Start(context.Background(), ben); err != nil || a.Outcome.Denial != nil {
			t.Errorf("with room again: %+v, %v", a.Outcome.Denial, err)
		}
		told := s.facts(func(f license.Fact) bool { _, ok := f.(license.BacklogChanged); return ok })
		if told != 4 {
			t.Errorf("told %d times, want 4: half, high, full, ok", told)
		}
		// It is not noted again and again.
		s.wait(time.Minute)
		before := s.head().Seq
		s.wait(time.Hour)
		if after := s.head(); after.Seq > before+120 || after.Backlog.Level != license.BacklogOK {
			t.Errorf("an hour later it is %s, after %d events", after.Backlog.Level, after.Seq-before)
		}
	})
}

// Without a bound nothing is noted, and nothing refused.
func TestWithoutABoundNothingIsNotedOfABacklog(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var used atomic.Uint64
		s.backlog = used.Load
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); s.watchBacklog(ctx) }()
		defer func() { cancel(); <-done }()
		for range 20 {
			used.Add(1 << 40)
			s.wait(backlogEvery)
		}
		if b := s.head().Backlog; b != (license.Backlog{}) {
			t.Errorf("noted %+v", b)
		}
		wantGranted(t, s.start(t, 1, ws101), false)
	})
}

func lineOf(u license.Usage) ([]byte, error) {
	b, err := json.Marshal(u)
	return append(b, '\n'), err
}

// What is exported stays until its receipt has come; each record is in one file, and
// a file is the same however often it is written.
func TestUsageIsExportedInFilesThatFollowOnEachOther(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		s.others(t, 30)
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		use := func(from, to int) {
			for n := from; n < to; n++ {
				s.used(t, n, 1)
			}
		}
		export := func(until license.Time) (license.Export, string) {
			t.Helper()
			x, err := s.ExportUsage(ctx, until, "ida", lineOf)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := s.WriteExport(ctx, x, lineOf, &b); err != nil {
				t.Fatal(err)
			}
			return x, b.String()
		}
		use(0, 10)
		middle := s.log.Now()
		s.wait(time.Minute)
		use(10, 20)
		first, text := export(middle)
		second, more := export(s.log.Now())
		if first.Number != 1 || first.Records != 10 || second.Number != 2 || second.Records != 10 || second.After != first.Through {
			t.Fatalf("files %+v, %+v", first, second)
		}
		seen := map[string]int{}
		for _, line := range bytes.Split([]byte(text+more), []byte("\n")) {
			var u license.Usage
			if len(line) > 0 && json.Unmarshal(line, &u) == nil {
				seen[u.Record]++
			}
		}
		if len(seen) != 20 {
			t.Errorf("the files have %d records, want 20", len(seen))
		}
		if _, err := s.ExportUsage(ctx, s.log.Now(), "ida", lineOf); !errors.Is(err, ErrNothingToExport) {
			t.Errorf("with all exported: %v, want %v", err, ErrNothingToExport)
		}
		changed := second
		changed.Sum[0]++
		if err := s.WriteExport(ctx, changed, lineOf, new(bytes.Buffer)); !errors.Is(err, ErrExportChanged) {
			t.Errorf("of another file: %v, want %v", err, ErrExportChanged)
		}

		var refused []RefusedRecord
		for _, e := range s.log.journal {
			if u, ok := license.UsageOf(e); ok && e.Seq > second.After && len(refused) == 0 {
				refused = append(refused, RefusedRecord{Record: u.Record, Why: "no such user"})
			}
		}
		if _, err := s.ReceiveUsage(ctx, 2, second.Sum, 10, refused, "ida"); err == nil {
			t.Error("a receipt for more records than there are is taken")
		}
		if _, err := s.ReceiveUsage(ctx, 2, second.Sum, 9, []RefusedRecord{{Record: "of another file"}}, "ida"); err == nil {
			t.Error("a receipt that refuses what is not in the file is taken")
		}
		if a, err := s.ReceiveUsage(ctx, 2, second.Sum, 9, refused, "ida"); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("%v, %+v", err, a.Outcome.Denial)
		}
		if _, kept, waiting, _ := s.outboxState(); kept != 0 || waiting != 20 {
			t.Errorf("before the receipt of the first file %d count as delivered, %d wait", kept, waiting)
		}
		if a, err := s.ReceiveUsage(ctx, 1, first.Sum, 10, nil, "ida"); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("%v, %+v", err, a.Outcome.Denial)
		}
		if made, kept, waiting, aside := s.outboxState(); made != 20 || kept != 19 || waiting != 0 || len(aside) != 1 {
			t.Errorf("of %d made %d are delivered, %d wait, %d are set aside; want 20, 19, 0, 1", made, kept, waiting, len(aside))
		}
		a, err := s.Audit(ctx)
		if err != nil || !a.Clean() || a.ByWay[license.WayCarried] != 19 {
			t.Errorf("the audit has found %+v, %v; %v", a.Findings, err, a.ByWay)
		}
	})
}

// lateNode is one that knows of nothing that has happened before it has caught up.
type lateNode struct {
	forwarder
	caught bool
}

func (l *lateNode) CatchUp(ctx context.Context) error {
	l.caught = true
	return l.forwarder.CatchUp(ctx)
}

func (l *lateNode) View(f func(*license.State)) {
	if !l.caught {
		f(license.NewState())
		return
	}
	l.forwarder.View(f)
}

// A node that has not heard of the last file yet begins the next one behind it all the same.
func TestAnExportBeginsBehindTheLast(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 10)
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		export := func(n int) license.Export {
			for i := range 2 {
				s.used(t, 2*n+i, 1)
			}
			f := &Gateway{log: &lateNode{forwarder: forwarder{Log: s.log, to: s.Gateway}}}
			x, err := f.ExportUsage(t.Context(), s.log.Now(), "ida", lineOf)
			if err != nil || x.Number != uint64(n+1) || x.Records != 2 {
				t.Fatalf("exported %+v, %v; want two records as number %d", x, err, n+1)
			}
			return x
		}
		if first, second := export(0), export(1); second.After != first.Through {
			t.Errorf("the second begins after %d; want after %d", second.After, first.Through)
		}
	})
}

// Where the link comes back after an export, what was delivered meanwhile is not counted
// again when the receipt comes.
func TestAnExportThatIsOvertakenIsCountedOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		s.others(t, 40)
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		for n := range 30 {
			s.used(t, n, 1)
		}
		x, err := s.ExportUsage(ctx, s.log.Now(), "ida", lineOf)
		if err != nil || x.Records != 30 {
			t.Fatalf("%+v, %v", x, err)
		}
		// Ten of them are delivered, and then the link is gone again.
		tenth := uint64(0)
		n := 0
		for _, e := range s.log.journal {
			if _, ok := license.UsageOf(e); ok {
				if n++; n == 10 {
					tenth = e.Seq
				}
			}
		}
		if out, err := s.log.apply(license.UsageSent{Through: tenth, After: s.head().UsageSent, Records: 10}); err != nil || out.Denial != nil {
			t.Fatalf("%v, %+v", err, out.Denial)
		}
		for n := 30; n < 35; n++ {
			s.used(t, n, 1)
		}
		y, err := s.ExportUsage(ctx, s.log.Now(), "ida", lineOf)
		if err != nil || y.Records != 5 || y.After != x.Through {
			t.Fatalf("%+v, %v", y, err)
		}
		for _, f := range []license.Export{x, y} {
			if a, err := s.ReceiveUsage(ctx, f.Number, f.Sum, f.Records, nil, "ida"); err != nil || a.Outcome.Denial != nil {
				t.Fatalf("%v, %+v", err, a.Outcome.Denial)
			}
		}
		made, kept, waiting, _ := s.outboxState()
		a, err := s.Audit(ctx)
		if made != 35 || kept != 35 || waiting != 0 || err != nil || !a.Clean() || a.ByWay[license.WaySite] != 10 || a.ByWay[license.WayCarried] != 25 {
			t.Errorf("of %d made %d are delivered, %d wait; the audit says %+v, %v", made, kept, waiting, a, err)
		}
	})
}

// While all goes on as it may, an audit at any time finds nothing; what is lost of the
// journal it finds.
func TestAnAuditOfALivingSite(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 40)
		clean := func(when string) license.Audit {
			t.Helper()
			a, err := s.Audit(context.Background())
			if err != nil || !a.Clean() {
				t.Errorf("%s: %+v, %v", when, a.Findings, err)
			}
			return a
		}
		for n := range 40 {
			s.used(t, n, 1)
			switch n {
			case 10:
				s.books.set(func() { s.books.forget = true })
			case 20:
				s.books.set(func() { s.books.down = true })
			case 30:
				s.books.set(func() { s.books.down = false; s.books.never["u035"] = true })
			}
			s.wait(3 * time.Second)
			clean(fmt.Sprintf("after %d", n))
		}
		s.wait(time.Minute)
		a := clean("at the end")
		if a.Ended != 40 || a.Acknowledged != 39 || a.SetAside != 1 || a.Waiting != 0 {
			t.Errorf("counted %+v", a)
		}
		s.log.mu.Lock()
		s.log.journal = append(s.log.journal[:50:50], s.log.journal[51:]...)
		s.log.mu.Unlock()
		if a, err := s.Audit(context.Background()); err != nil || a.Clean() {
			t.Errorf("with an event lost: %+v, %v", a, err)
		}
	})
}
