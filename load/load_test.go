package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A stall of the called shows in the times of all that were to come meanwhile.
func TestOpenLoopCountsFromWhenACallWasToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := Load{Callers: 1, Rate: 1000, Time: time.Second, Call: func(context.Context, int) (time.Time, error) {
			if at := time.Since(begin); at >= 400*time.Millisecond && at < 401*time.Millisecond {
				time.Sleep(100 * time.Millisecond)
			}
			return time.Time{}, nil
		}}.Run(t.Context())
		if r.Count() != 1000 || r.Failed() != 0 {
			t.Errorf("%d calls and %d failed, want 1000 and 0", r.Count(), r.Failed())
		}
		if r.Max() != 100*time.Millisecond {
			t.Errorf("the longest took %v, want 100ms", r.Max())
		}
		if q := r.Quantile(0.95); q < 48*time.Millisecond || q > 52*time.Millisecond { // the stall's second half
			t.Errorf("p95 is %v, want about 50ms", q)
		}
		if q := r.Quantile(0.5); q > time.Microsecond {
			t.Errorf("p50 is %v, want nothing", q)
		}
	})
}

// Who is too slow for the rate is not asked less for it.
func TestOpenLoopCountsWhatCouldNotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Load{Callers: 2, Rate: 100, Time: time.Second, Call: func(context.Context, int) (time.Time, error) {
			time.Sleep(100 * time.Millisecond)
			return time.Time{}, nil
		}}.Run(t.Context())
		if got := r.Count() + r.Failed(); got != 100 {
			t.Errorf("%d calls are accounted for, want 100", got)
		}
		if unsent := r.Errors()[ErrUnsent.Error()]; unsent != r.Failed() || unsent < 50 {
			t.Errorf("%d of %d failed calls were unsent, want all, and more than half of 100", unsent, r.Failed())
		}
	})
}

// What was begun is finished, and nothing more is begun.
func TestALoadEndsAfterSoManyCalls(t *testing.T) {
	for name, rate := range map[string]float64{"closed": 0, "open": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := Load{Callers: 3, Rate: rate, Time: time.Minute, Most: 50, Call: func(context.Context, int) (time.Time, error) {
					time.Sleep(10 * time.Millisecond)
					return time.Time{}, nil
				}}.Run(t.Context())
				if r.Count() != 50 || r.Failed() != 0 || r.Elapsed > time.Second {
					t.Errorf("%d calls and %d failed in %v, want 50 and 0 within a second", r.Count(), r.Failed(), r.Elapsed)
				}
			})
		})
	}
}

func TestClosedLoopWaitsForEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all atomic.Int64
		r := Load{Callers: 4, Warm: 100 * time.Millisecond, Time: time.Second, Call: func(_ context.Context, caller int) (time.Time, error) {
			all.Add(1)
			time.Sleep(10 * time.Millisecond)
			over := time.Now()
			time.Sleep(10 * time.Millisecond)
			if caller == 3 {
				return over, errors.New("out of order")
			}
			return over, nil
		}}.Run(t.Context())
		if r.Count() != 150 || r.Failed() != 50 || all.Load() != 220 {
			t.Errorf("%d calls, %d failed, %d with the warm-up; want 150, 50, 220", r.Count(), r.Failed(), all.Load())
		}
		if r.Max() != 10*time.Millisecond {
			t.Errorf("the longest took %v, want 10ms: only a part of the call is timed", r.Max())
		}
		if got := r.PerSecond(); got < 149 || got > 151 {
			t.Errorf("%v a second, want 150", got)
		}
	})
}

func TestALoadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		for _, rate := range []float64{0, 0.01} {
			Load{Callers: 2, Rate: rate, Time: time.Hour, Call: func(ctx context.Context, _ int) (time.Time, error) {
				<-ctx.Done()
				return time.Time{}, ctx.Err()
			}}.Run(ctx)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it ended after %v, want 1s", took)
		}
	})
}

// Quantiles are those of the sorted times, a little too long at the most.
func TestQuantiles(t *testing.T) {
	var times Times
	var all []time.Duration
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range 100_000 {
		d := time.Duration(dice.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		times.add(i, d)
	}
	slices.Sort(all)
	for _, share := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(share*float64(len(all)))]
		got := times.Quantile(share)
		if got < want || got > want+want/64+2*time.Microsecond {
			t.Errorf("the quantile %v is %v, want %v", share, got, want)
		}
	}
	if times.Max() != all[len(all)-1] || times.Quantile(1) != times.Max() {
		t.Errorf("the longest is %v and the quantile 1 %v, want %v", times.Max(), times.Quantile(1), all[len(all)-1])
	}
	for d := time.Duration(1); d < 24*time.Hour; d = d*3/2 + 1 {
		if b := bucketOf(d); upTo(b) <= d && b != bucketsOf-1 || b > 0 && upTo(b-1) > d {
			t.Errorf("%v is in the bucket that ends at %v", d, upTo(b))
		}
	}
}

func TestLines(t *testing.T) {
	var times Times
	times.Add(1500 * time.Microsecond)
	times.Add(250 * time.Millisecond)
	l := LineOf("starts", &times, 2*time.Second)
	l.Lost, l.Said = 1, map[string]uint64{"503": 2}
	var out bytes.Buffer
	if err := l.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"starts\n", "1 ops/s", "p50 250 ms", "max 250 ms", "lost 1", "2 × 503"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := l.Print(&out, true); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"name", "ops_per_s", "p50_ms", "p99_ms", "p999_ms", "max_ms", "errors", "lost"} {
		if _, ok := got[key]; !ok {
			t.Errorf("no %s in %s", key, out.String())
		}
	}
	if got["max_ms"] != 250.0 || got["ops_per_s"] != 1.0 {
		t.Errorf("got %s, want max_ms 250 and ops_per_s 1", out.String())
	}
}
