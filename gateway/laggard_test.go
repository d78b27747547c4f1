package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// laggard is a cloud whose rules are strict and whose line is slow: what is asked
// arrives after some time, in any order, and so does the answer.
type laggard struct {
	*books

	mu    sync.Mutex
	dice  *rand.Rand
	kept  map[license.ID]kept
	trace []string
}

type kept struct {
	license.CloudHold
	asked license.Fence
}

// lag takes up to 30 ms, and often none.
func (l *laggard) lag() {
	l.mu.Lock()
	d := time.Duration(l.dice.IntN(4)) * time.Duration(l.dice.IntN(20)) * time.Millisecond / 2
	l.mu.Unlock()
	time.Sleep(d)
}

// note writes down what happened, for a test that fails.
func (l *laggard) note(format string, what ...any) {
	l.trace = append(l.trace, time.Now().Format("05.000000 ")+fmt.Sprintf(format, what...))
}

func (l *laggard) rival(h license.CloudHold) (license.Machine, bool) {
	for _, o := range l.kept {
		if o.User == h.User && !o.Machine.Is(h.Machine) {
			return o.Machine, true
		}
	}
	return license.Machine{}, false
}

func (l *laggard) Hold(_ context.Context, f license.Fence, h license.CloudHold) (*license.Denial, error) {
	l.lag()
	defer l.lag()
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, bad := l.rival(h); bad {
		l.note("hold %v on %s: refused for %s", h.Ref, h.Machine.Name, m.Name)
		return &license.Denial{Reason: license.MachineActive, Machine: m}, nil
	}
	l.note("hold %v on %s: kept", h.Ref, h.Machine.Name)
	l.kept[h.Ref] = kept{h, f}
	return nil, nil
}

func (l *laggard) Release(_ context.Context, _ license.Fence, h license.CloudHold) error {
	l.lag()
	defer l.lag()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note("release %v on %s", h.Ref, h.Machine.Name)
	delete(l.kept, h.Ref)
	return nil
}

func (l *laggard) RenewHolds(_ context.Context, f license.Fence, holds []license.CloudHold) (conflicts []license.HoldConflict, err error) {
	l.lag()
	defer l.lag()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, k := range l.kept {
		if k.asked.Order < f.Order && !slices.ContainsFunc(holds, func(h license.CloudHold) bool { return h.Ref == id }) {
			delete(l.kept, id)
		}
	}
	for _, h := range holds {
		m, bad := l.rival(h)
		if _, has := l.kept[h.Ref]; bad && !has {
			conflicts = append(conflicts, license.HoldConflict{Key: h.Key, Ref: h.Ref, Machine: m})
			continue
		}
		l.note("list: %v on %s", h.Ref, h.Machine.Name)
		l.kept[h.Ref] = kept{h, f}
	}
	return conflicts, nil
}

// busyLog is a log on a machine that has much else to do.
type busyLog struct {
	*soloLog
	lag func()
}

func (l busyLog) View(f func(*license.State)) { l.lag(); l.soloLog.View(f); l.lag() }

func (l busyLog) Leading() (uint64, bool) { l.lag(); return l.soloLog.Leading() }

func (l busyLog) Propose(ctx context.Context, c license.Command) (license.Outcome, error) {
	l.lag()
	defer l.lag()
	return l.soloLog.Propose(ctx, c)
}

// TestTheCloudNeverRefusesForWhatTheSiteGaveUp has three machines of one user take
// turns, on a site whose full list is sent again and again, at all speeds of the site and
// of the line to the cloud: no machine is refused for one that had stopped before it asked.
func TestTheCloudNeverRefusesForWhatTheSiteGaveUp(t *testing.T) {
	for seed := range uint64(120) {
		synctest.Test(t, func(t *testing.T) { takeTurns(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func takeTurns(t *testing.T, seed uint64) {
	books := newBooks(
		license.Change{User: &license.User{ID: "ada", Email: "ada@firm.example", Country: "FR"}},
		license.Change{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}},
		license.Change{License: &license.License{ID: "L1", Product: "road", Assignee: "ada"}},
	)
	cloud := &laggard{books: books, dice: rand.New(rand.NewPCG(seed, 0)), kept: map[license.ID]kept{}}
	log := newSoloLog()
	g := New(Config{Log: busyLog{log, cloud.lag}, Cloud: cloud, Logger: slog.New(slog.DiscardHandler)})
	var mu sync.Mutex
	gaveUp := map[string]time.Time{} // by machine; none: it is active, or may be
	log.observe = func(events []license.Event) {
		mu.Lock()
		for _, e := range events {
			if f, ok := e.Fact.(license.Started); ok {
				delete(gaveUp, f.Session.Machine.Name)
			}
		}
		mu.Unlock()
		g.Observe(events)
	}
	ctx, end := context.WithCancel(context.Background())
	var errands, turns sync.WaitGroup
	errands.Go(func() { g.Run(ctx) })
	defer func() { end(); errands.Wait() }()
	time.Sleep(2 * time.Second) // for the mirror
	synctest.Wait()

	working, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	turns.Go(func() {
		dice := rand.New(rand.NewPCG(seed, 1))
		for working.Err() == nil {
			time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond)
			g.holds.renew(ctx)
		}
	})
	for n := range byte(3) {
		m := license.Machine{ID: fmt.Sprint("m-", n), Name: fmt.Sprint("WS-", n)}
		dice := rand.New(rand.NewPCG(seed, 2+uint64(n)))
		turn := func(id license.ID) error {
			asked := time.Now()
			a, err := g.Start(ctx, license.Start{ID: id, User: "ada", Product: "road", Machine: m})
			if err != nil {
				return err
			}
			if d := a.Outcome.Denial; d != nil {
				mu.Lock()
				defer mu.Unlock()
				if at, ok := gaveUp[d.Machine.Name]; d.Reason != license.MachineActive || ok && at.Before(asked) {
					return fmt.Errorf("seed %d: %v on %s asked at %s and was refused with %s for %s, which had given up at %s",
						seed, id, m.Name, asked.Format("05.000"), d.Reason, d.Machine.Name, at.Format("05.000"))
				}
				return nil
			}
			time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
			_, err = g.Stop(ctx, license.Stop{ID: id, User: "ada", Machine: m})
			mu.Lock()
			defer mu.Unlock()
			gaveUp[m.Name] = time.Now()
			return err
		}
		turns.Go(func() {
			for i := byte(1); working.Err() == nil; i++ {
				if err := turn(license.ID{n, i}); err != nil {
					cloud.mu.Lock()
					defer cloud.mu.Unlock()
					t.Error(err)
					for _, line := range cloud.trace[max(0, len(cloud.trace)-20):] {
						t.Log(line)
					}
					stop()
					return
				}
				time.Sleep(time.Duration(dice.IntN(60)) * time.Millisecond)
			}
		})
	}
	turns.Wait()
}
