package license

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkStartStop is one start or stop of a capped product, in turn, at a site of
// which a tenth of the users hold something already. The users come in no order, and
// each stops when ten thousand others (of the small site: ten) have started meanwhile,
// so that nothing of theirs is at hand any more. A thousand entries are made at a time,
// as they are decoded where the log is applied; that, and what a store takes in
// between, the records that changed, is not part of it. cpu-ns/op is the time for which
// it had a processor.
func BenchmarkStartStop(b *testing.B) {
	for _, users := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			s, now := busySite(b, users)
			idle := rand.New(rand.NewPCG(1, 2)).Perm(users - users/10)
			starts, between := 0, users/100
			who := func(n int) (ID, UserID, Machine) {
				return idN(users + n), benchUser(users/10 + idle[n%len(idle)]), Machine{ID: strings.Clone(benchMachine.ID), Name: strings.Clone(benchMachine.Name)}
			}
			start := func() Entry {
				id, user, m := who(starts)
				starts++
				now++
				return Entry{now, Start{ID: id, User: user, Product: ProductID(strings.Clone("micro")), Machine: m, Agreed: true}}
			}
			stop := func() Entry {
				id, user, m := who(starts - 1 - between)
				now++
				return Entry{now, Stop{ID: id, User: user, Machine: m}}
			}
			for range between {
				Apply(s, start())
			}
			var entries []Entry
			b.ReportAllocs()
			spent := onProcessor(b)
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					spent.stop()
					b.StopTimer()
					s.TakeChanged(keepNothing)
					entries = entries[:0]
					for range 500 {
						entries = append(entries, start(), stop())
					}
					b.StartTimer()
					spent.start()
				}
				if out, _ := Apply(s, entries[i%1000]); out.Denial != nil {
					b.Fatal(out.Denial.Reason)
				}
			}
			spent.report()
		})
	}
}

// BenchmarkLookUp is what this machine takes for the least a command needs: to find
// one of so many users in a map, in no order, and to read something of theirs.
func BenchmarkLookUp(b *testing.B) {
	for _, users := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			type person struct {
				id      UserID
				country string
				_       [48]byte
			}
			people := make(map[UserID]*person)
			for i := range users {
				id := benchUser(i)
				people[id] = &person{id: id, country: "DE"}
			}
			order := rand.New(rand.NewPCG(1, 2)).Perm(users)
			ids := make([]UserID, 1000)
			n, found := 0, 0
			spent := onProcessor(b)
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					spent.stop()
					b.StopTimer()
					for j := range ids {
						ids[j] = benchUser(order[n%users])
						n++
					}
					b.StartTimer()
					spent.start()
				}
				if people[ids[i%1000]].country == "DE" {
					found++
				}
			}
			spent.report()
			if found == 0 {
				b.Fatal("nobody is found")
			}
		})
	}
}

// processor counts the time for which a benchmark had a processor: where others
// share the machine, the time by the clock says more of them.
type processor struct {
	b    *testing.B
	from time.Duration // while it counts
	sum  time.Duration
}

// onProcessor counts from now on.
func onProcessor(b *testing.B) *processor {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	p := &processor{b: b}
	p.start()
	return p
}

func (p *processor) start() { p.from = p.now() }
func (p *processor) stop()  { p.sum += p.now() - p.from }

func (p *processor) report() {
	p.stop()
	p.b.ReportMetric(float64(p.sum.Nanoseconds())/float64(p.b.N), "cpu-ns/op")
}

// now is how long this thread has had a processor.
func (p *processor) now() time.Duration {
	var spent unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spent); err != nil {
		p.b.Fatal(err)
	}
	return time.Duration(spent.Nano())
}
