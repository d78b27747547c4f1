package raftstore

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"sitegate/license"
)

var backlogRecords = flag.Int("backlog", 2000, "how many usage records TestABacklogTakesDiskAndNoMemory lets wait")

// use is one session of an office of 10,000 desktops, with ids as they are made.
func use(i int, at license.Time) *license.Session {
	dice, user := rand.New(rand.NewPCG(uint64(i), 1)), rand.New(rand.NewPCG(uint64(i%10_000), 2))
	x := license.Session{User: license.UserID(fmt.Sprintf("%08x-%04x-4%03x-9%03x-%012x", user.Uint32(), user.IntN(1<<16), user.IntN(1<<12), user.IntN(1<<12), user.Int64N(1<<48))),
		Product: license.ProductID(fmt.Sprint(3100 + user.IntN(40))), License: license.LicenseID(fmt.Sprintf("VL-%08d", user.IntN(100_000_000))),
		Machine: license.Machine{ID: fmt.Sprintf("%016x", user.Uint64()), Name: fmt.Sprintf("CAD-WS-%05d", i%10_000)}, Version: "23.00.01.25", Client: "25.00.01.10",
		Since: at, TTL: 180 * time.Second, Token: uint64(2*i + 1), Holds: true, Generation: 1, Country: "DE", Type: license.Practitioner}
	binary.BigEndian.PutUint64(x.ID[:], uint64(at)<<16|0x7000|uint64(dice.IntN(1<<12)))
	binary.BigEndian.PutUint64(x.ID[8:], dice.Uint64())
	return &x
}

// uses are the next n beginnings and ends, of other uses: each has run for hours.
func uses(from, n int) (events []license.Event) {
	const second, long = 1000, 7200
	at := func(i int) license.Time { return license.Time(1_800_000_000_000 + i*second) }
	for i := from; i < from+n; i++ {
		before := i - long
		events = append(events, license.Event{Seq: uint64(2*i + 1), At: at(i), Fact: license.Started{Session: use(i, at(i))}},
			license.Event{Seq: uint64(2*i + 2), At: at(i), Fact: license.Stopped{Session: use(before, at(before)), Freed: true}})
	}
	return events
}

// settled is what the database takes of memory, whatever is in it: its memtables above
// all.
const settled = 200 << 20

// TestABacklogTakesDiskAndNoMemory measures what usage takes that waits for the cloud:
// as a busy site writes it, many events at a time, and as a quiet one does, one use at
// a time. All of it is there again after a restart.
func TestABacklogTakesDiskAndNoMemory(t *testing.T) {
	for name, at := range map[string]int{"busy, 250 uses at a time": 250, "quiet, one use at a time": 1} {
		t.Run(name, func(t *testing.T) {
			dir, c, records := t.TempDir(), testCodec(t), *backlogRecords
			if at == 1 {
				records = min(records, 10_000) // each is a write to disk of its own
			}
			d, _, err := openDisk(dir, badgers{}, c, testLog(t, "n1"))
			if err != nil {
				t.Fatal(err)
			}
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before, begun := heap(), time.Now()
			for i := 0; i < records; i += at {
				n := min(at, records-i)
				events := uses(i, n)
				last := uint64(2 * (i + n))
				head := license.Head{Seq: last, UsageMade: last / 2}
				record, err := c.record(&head)
				if err == nil {
					err = d.write(sealed{pos: position{Index: last, Term: 1}, head: head, events: events, puts: []pair{{recordKey(license.Key{Kind: license.KeyHead}), record}}})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			took, counted := time.Since(begun), d.backlog().bytes
			// What is compacted by then takes memory for a while.
			grown := int64(heap()) - int64(before)
			for end := time.Now().Add(time.Minute); grown > int64(settled) && time.Now().Before(end); {
				grown = min(grown, int64(heap())-int64(before))
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			var onDisk int64
			err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
				if err == nil && filepath.Ext(info.Name()) == ".sst" {
					onDisk += info.Size()
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			each := func(n int64) float64 { return float64(n) / float64(records) }
			t.Logf("%d records: counted %.0f bytes each, tables on disk %.0f, heap %.1f; written in %v", records, each(int64(counted)), each(onDisk), each(grown), took.Round(time.Millisecond))
			if per := each(int64(counted)); per < 200 || per > 2000 {
				t.Errorf("a record counts as %.0f bytes, want some hundred", per)
			}
			if grown > settled {
				t.Errorf("the heap has grown by %d MB, though the records are on disk", grown>>20)
			}
			if records > 5000 && onDisk > int64(counted) {
				t.Errorf("on disk it takes %d bytes, more than the %d that are counted", onDisk, counted)
			}

			if d, _, err = openDisk(dir, badgers{}, c, testLog(t, "n1")); err != nil {
				t.Fatal(err)
			}
			defer d.close()
			if d.backlog().bytes != counted {
				t.Errorf("after a restart it counts as %d bytes, want %d", d.backlog().bytes, counted)
			}
			found := 0
			for after := uint64(0); ; {
				events, err := d.journal(after, MaxJournal)
				if err != nil {
					t.Fatal(err)
				}
				if len(events) == 0 {
					break
				}
				for _, e := range events {
					if u, ok := license.UsageOf(e); ok && u.Seq == e.Seq {
						found++
					}
				}
				after = events[len(events)-1].Seq
			}
			if found != records {
				t.Errorf("%d records are there after a restart, want %d", found, records)
			}
		})
	}
}
