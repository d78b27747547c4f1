package raftstore

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"sitegate/license"
)

// BenchmarkOpened writes what 2,000 of 20,000 users have open, as a seal does, as notes,
// and as records at once, as it was done before there were notes. What counts is the
// processor time of all of the process for a user: the database goes on by itself.
func BenchmarkOpened(b *testing.B) {
	const users, atOnce = 20_000, 2_000
	for _, as := range []string{"notes", "records"} {
		b.Run(as, func(b *testing.B) {
			c := testCodec(b)
			d, _, err := openDisk(b.TempDir(), badgers{}, c, testLog(b, "n1"))
			if err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 1))
			active, err := c.record(&license.Active{User: userID(1), Sessions: []license.Session{*use(1, 1_800_000_000_000)}})
			if err != nil {
				b.Fatal(err)
			}
			index, began := uint64(0), processorTime(b)
			for b.Loop() {
				index++
				s := sealed{pos: position{Index: index, Term: 1}}
				for _, u := range r.Perm(users)[:atOnce] {
					a := activity{user: userID(u)}
					if r.IntN(2) == 0 {
						a.active = active
					}
					switch {
					case as == "notes":
						s.active = append(s.active, a)
					case a.active == nil:
						s.gone = append(s.gone, a.key())
					default:
						s.puts = append(s.puts, pair{a.key(), a.active})
					}
				}
				if err := d.write(s); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := d.settle(true); err != nil {
				b.Fatal(err)
			}
			if err := d.close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric((processorTime(b)-began)/float64(index)/atOnce, "cpu-ns/user")
		})
	}
}

// processorTime is that of this process, in nanoseconds.
func processorTime(b *testing.B) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}
