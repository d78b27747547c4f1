package raftstore

import (
	"flag"
	"fmt"
	"log/slog"
	"testing"

	"sitegate/license"
)

var openUsers = flag.Int("users", 100_000, "how many users the state of BenchmarkOpen has; a tenth of them hold something")

// BenchmarkOpen opens a state that was closed.
func BenchmarkOpen(b *testing.B) {
	c, err := newCodec()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	writeUsers(b, dir, c, *openUsers)
	for b.Loop() {
		d, l, err := openDisk(dir, badgers{}, c, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		if got := l.state.Counts().Users; got != *openUsers {
			b.Fatalf("%d users, want %d", got, *openUsers)
		}
		if err := d.close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(*openUsers), "µs/user")
}

// writeUsers writes a state of users with a license each, of whom a tenth hold
// something.
func writeUsers(b *testing.B, dir string, c *codec, users int) {
	d, l, err := openDisk(dir, badgers{}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	at, index := license.Time(1_700_000_000_000), uint64(0)
	apply := func(cmds ...license.Command) {
		index++
		x := sealed{pos: position{Index: index, Term: 1, Cluster: testCluster}}
		for _, cmd := range cmds {
			out, events := license.Apply(l.state, license.Entry{At: at, Command: cmd})
			if out.Denial != nil {
				b.Fatalf("%T: denied: %+v", cmd, *out.Denial)
			}
			x.events = append(x.events, events...)
		}
		if err := x.take(l.state, c); err != nil {
			b.Fatal(err)
		}
		if err := d.write(x); err != nil {
			b.Fatal(err)
		}
	}
	apply(license.Found{Cluster: testCluster, Level: license.Level}, fill(0))
	const page = 500
	for from := 0; from < users; from += page {
		m := license.Mirror{From: l.state.Head().Cursor, Cursor: fmt.Sprint("c", from)}
		for n := from; n < min(from+page, users); n++ {
			m.Changes = append(m.Changes,
				license.Change{User: &license.User{ID: userID(n), Email: fmt.Sprintf("someone.%d@example.com", n), Name: fmt.Sprintf("Someone %d", n), Country: "DE"}},
				license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("lic-%07d", n)), Product: "1000", Assignee: userID(n)}})
		}
		apply(m)
	}
	var starts []license.Command
	for n := range users / 10 {
		starts = append(starts, start(n, n*10, fmt.Sprintf("WS-%d", n)))
		if len(starts) == page {
			apply(starts...)
			starts = nil
		}
	}
	apply(starts...)
	if err := d.close(); err != nil {
		b.Fatal(err)
	}
}
