package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
)

// tiny makes segments so small that every history goes through many.
func tiny(fs wal.FS) wal.Options { return wal.Options{FS: fs, SegmentSize: 4096} }

// outcome is how far a history came on a disk: what was acknowledged, and what was
// under way when the power was lost.
type outcome struct {
	acked, under model
	trail        []string
}

// run opens the log and carries out steps until the power is lost. A step that
// fails for another reason fails the test.
func run(t *testing.T, fs *crashfs.FS, m model, steps []step) outcome {
	t.Helper()
	o := outcome{acked: m, under: m}
	w, err := wal.Open(tiny(fs))
	for i := 0; err == nil && i < len(steps); i++ {
		o.trail = append(o.trail, steps[i].name)
		o.under = o.acked.clone()
		if err = steps[i].do(w, &o.under); err == nil {
			o.acked = o.under
		}
	}
	if err != nil && !fs.Stopped() {
		t.Fatalf("%v: %v", o.trail, err)
	}
	return o
}

// settle opens a disk after a crash. It returns which of the two models the log is.
func (o outcome) settle(fs wal.FS) (model, error) {
	w, err := wal.Open(tiny(fs))
	if err != nil {
		return model{}, err
	}
	before := o.acked.differs(w)
	if before == nil {
		return o.acked, nil
	}
	if after := o.under.differs(w); after != nil {
		return model{}, fmt.Errorf("it is not as it was acknowledged (%w), nor with what was under way (%w)", before, after)
	}
	return o.under, nil
}

// history draws steps that make sense one after the other.
func history(r *rand.Rand, m model, n int) []step {
	m = m.clone()
	var steps []step
	for len(steps) < n {
		s := chance(r, m)
		s.model(&m)
		steps = append(steps, s)
	}
	return steps
}

var fates = []crashfs.Fate{crashfs.Lost, crashfs.Kept, crashfs.Sectors, crashfs.Sectors, crashfs.Sectors}

// TestPowerLossAtEveryPoint loses the power at every operation of random histories,
// in several ways; again at every operation of the recovery; and again at every
// operation of what follows, since what a torn write has left must not be taken for
// a later one.
func TestPowerLossAtEveryPoint(t *testing.T) {
	t.Parallel()
	r := randomness(t)
	histories := 3
	if testing.Short() {
		histories = 1
	}
	crashes := 0
	for range histories {
		steps := history(r, newModel(), 10)
		for at := 1; ; at++ {
			fs := &crashfs.FS{}
			fs.Stop(at)
			o := run(t, fs, newModel(), steps)
			for _, fate := range fates {
				crashes += 1 + afterwards(t, r, o, fs.Crash(fate, r))
			}
			if !fs.Stopped() {
				break
			}
		}
	}
	t.Logf("%d crashes", crashes)
}

// afterwards loses the power at every operation of the recovery of a disk, and of
// a short history behind it.
func afterwards(t *testing.T, r *rand.Rand, o outcome, disk *crashfs.FS) (crashes int) {
	t.Helper()
	m, err := o.settle(disk.Crash(crashfs.Kept, r))
	if err != nil {
		t.Fatalf("%v, crash: %v", o.trail, err)
	}
	more := history(r, m, 2)
	for at := 1; ; at++ {
		fs := disk.Crash(crashfs.Kept, r)
		fs.Stop(at)
		o2 := run(t, fs, m, more)
		again := fs.Crash(fates[r.IntN(len(fates))], r)
		crashes++
		if !sameOrNext(o, o2, again) {
			_, err := o2.settle(again)
			t.Fatalf("%v, crash, %v, crash: %v", o.trail, o2.trail, err)
		}
		if !fs.Stopped() {
			return crashes
		}
	}
}

// sameOrNext reports whether a disk after a second crash is as the second run left
// it, or, where that did not get past its recovery, as the first did: of what was
// under way before the first crash either may become of it.
func sameOrNext(o, o2 outcome, disk *crashfs.FS) bool {
	if _, err := o2.settle(disk); err == nil {
		return true
	}
	if len(o2.trail) > 0 {
		return false
	}
	_, err := o.settle(disk)
	return err == nil
}

// TestTornInsideASector is a disk that tears even sectors: a log then refuses to
// open, or is as it was acknowledged.
func TestTornInsideASector(t *testing.T) {
	r := randomness(t)
	refused, opened := 0, 0
	for range 6 {
		steps := history(r, newModel(), 10)
		for at := 1; ; at++ {
			fs := &crashfs.FS{}
			fs.Stop(at)
			o := run(t, fs, newModel(), steps)
			for range 4 {
				_, err := o.settle(fs.Crash(crashfs.Bytes, r))
				switch {
				case errors.Is(err, wal.ErrDamaged):
					refused++
				case err != nil:
					t.Fatalf("%v, crash: %v", o.trail, err)
				default:
					opened++
				}
			}
			if !fs.Stopped() {
				break
			}
		}
	}
	t.Logf("%d opened, %d refused", opened, refused)
	if opened == 0 || refused == 0 {
		t.Error("want some of both")
	}
}

// TestLyingDiskIsFoundOut shows that the tests above can fail: on a disk that does
// not sync, what was acknowledged is lost.
func TestLyingDiskIsFoundOut(t *testing.T) {
	r := randomness(t)
	for range 50 {
		fs := &crashfs.FS{}
		fs.Lie()
		o := run(t, fs, newModel(), history(r, newModel(), 10))
		if _, err := o.settle(fs.Crash(crashfs.Sectors, r)); err != nil {
			return
		}
	}
	t.Error("50 times nothing was lost on a disk that does not sync")
}
