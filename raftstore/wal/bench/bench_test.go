// Package bench compares the log store with raft-wal and with the bare disk, in the
// same run. It is a module of its own, so that raft-wal stays out of the program's.
//
//	cd raftstore/wal/bench && go test -bench . -benchtime 2000x -count 5
package bench

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	"golang.org/x/sys/unix"

	"sitegate/raftstore/wal"
)

// store is what is compared.
type store interface {
	StoreLogs([]*raft.Log) error
	GetLog(uint64, *raft.Log) error
	DeleteRange(min, max uint64) error
	Close() error
}

var stores = []struct {
	name string
	open func(dir string) (store, error)
}{
	{"wal", func(dir string) (store, error) { return wal.Open(wal.Options{FS: wal.OS(dir)}) }},
	{"raft-wal", func(dir string) (store, error) { return raftwal.Open(dir, raftwal.WithSegmentSize(8<<20)) }},
}

// BenchmarkStoreLogs appends batches of entries of 128 bytes.
func BenchmarkStoreLogs(b *testing.B) {
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("entries=%d/store=fdatasync", n), func(b *testing.B) { floor(b, n*168) })
		for _, s := range stores {
			b.Run(fmt.Sprintf("entries=%d/store=%s", n, s.name), func(b *testing.B) { appends(b, s.open, n) })
		}
	}
}

func appends(b *testing.B, open func(string) (store, error), n int) {
	dir := b.TempDir()
	s, err := open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if w, ok := s.(*wal.WAL); ok { // as the program does, beside the appends
		stop, done := make(chan struct{}), make(chan struct{})
		defer func() { close(stop); <-done }()
		if err := w.Prepare(); err != nil {
			b.Fatal(err)
		}
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if err := w.Prepare(); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	data := make([]byte, 128)
	for i := range data {
		data[i] = byte(i) | 1
	}
	logs := make([]*raft.Log, n)
	index, first := uint64(0), uint64(1)
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		for i := range logs {
			index++
			logs[i] = &raft.Log{Index: index, Term: 3, Data: data}
		}
		began := time.Now()
		if err := s.StoreLogs(logs); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
		if index-first > 100_000 {
			if err := s.DeleteRange(first, index-50_000); err != nil {
				b.Fatal(err)
			}
			first = index - 50_000 + 1
		}
	}
	report(b, times)
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// floor is what the disk takes for as many bytes: written over what was written
// before, one write and one fdatasync.
func floor(b *testing.B, size int) {
	f, err := os.Create(b.TempDir() + "/floor")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const all = 8 << 20
	if _, err := f.Write(make([]byte, all)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i) | 1
	}
	at := 0
	times := make([]time.Duration, 0, b.N)
	for b.Loop() {
		if at+size > all {
			at = 0
		}
		began := time.Now()
		if _, err := f.WriteAt(data, int64(at)); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
		at += size
	}
	report(b, times)
}

func report(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkGetLog reads entries of 128 bytes back.
func BenchmarkGetLog(b *testing.B) {
	for _, s := range stores {
		b.Run("store="+s.name, func(b *testing.B) {
			w, err := s.open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			logs := make([]*raft.Log, 10_000)
			for i := range logs {
				logs[i] = &raft.Log{Index: uint64(i) + 1, Term: 3, Data: make([]byte, 128)}
			}
			if err := w.StoreLogs(logs); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				var l raft.Log
				if err := w.GetLog(i*7919%10_000+1, &l); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
