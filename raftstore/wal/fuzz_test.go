package wal_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
)

// FuzzSegment puts any bytes over a segment that is in use, with checksums that fit
// where right is set: Open refuses, or gives a log that can be read and written.
func FuzzSegment(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	f.Add([]byte("x"), uint16(600), false)
	f.Add(noise(r, 60), uint16(512), true)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1}, uint16(0), false)
	f.Add([]byte{255, 255, 255, 255}, uint16(516), true)
	f.Fuzz(func(t *testing.T, over []byte, at uint16, right bool) {
		r := rand.New(rand.NewPCG(2, 2))
		fs := &crashfs.FS{}
		w, err := wal.Open(tiny(fs))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []uint64{1, 4, 6} {
			if err := w.StoreLogs(entries(r, n, []int{0, 3, 0, 0, 2, 0, 1}[n])); err != nil {
				t.Fatal(err)
			}
		}
		s, err := fs.Open("000001.seg")
		if err != nil {
			t.Fatal(err)
		}
		if int(at)+len(over) > 4096 {
			return
		}
		if _, err := s.WriteAt(over, int64(at)); err != nil {
			t.Fatal(err)
		}
		if right {
			fix(t, s)
		}
		w, err = wal.Open(tiny(fs))
		if err != nil {
			if !errors.Is(err, wal.ErrDamaged) {
				t.Fatalf("got %v, want %v", err, wal.ErrDamaged)
			}
			return
		}
		first, _ := w.FirstIndex()
		last, _ := w.LastIndex()
		for i := first; i <= last && i > 0; i++ {
			var l raft.Log
			if err := w.GetLog(i, &l); err != nil && !errors.Is(err, wal.ErrDamaged) {
				t.Fatalf("entry %d of %d to %d: %v", i, first, last, err)
			}
		}
		if err := w.StoreLog(&raft.Log{Index: last + 1}); err != nil {
			t.Fatal(err)
		}
	})
}

// fix makes the checksums of the first frame of a segment fit, as its header says
// they are made.
func fix(t *testing.T, s wal.File) {
	b := make([]byte, 4096)
	if _, err := s.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	le, table := binary.LittleEndian, crc32.MakeTable(crc32.Castagnoli)
	salt := le.Uint32(b[40:])
	copy(b[520:528], b[8:16])
	if n := le.Uint32(b[516:]); n <= 4096-552 {
		le.PutUint32(b[544:], crc32.Update(salt, table, b[552:552+n]))
	}
	place := le.AppendUint64(nil, 512)
	le.PutUint32(b[512:], crc32.Update(crc32.Update(salt, table, place), table, b[516:552]))
	if _, err := s.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// FuzzStable puts any bytes over the stable file.
func FuzzStable(f *testing.F) {
	f.Add([]byte("x"), uint16(9), uint64(2), uint16(3))
	f.Add([]byte{255, 255, 255, 255}, uint16(34), uint64(3), uint16(2))
	f.Fuzz(func(t *testing.T, over []byte, at uint16, turn uint64, count uint16) {
		fs := &crashfs.FS{}
		w, err := wal.Open(tiny(fs))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Set([]byte("vote"), []byte("n1")); err != nil {
			t.Fatal(err)
		}
		s, err := fs.Open("stable")
		if err != nil || len(over) > 512 || int(at) > 512-len(over) {
			return
		}
		slot := int64(turn%2) * 4096
		b := make([]byte, 512)
		if _, err := s.ReadAt(b, slot); err != nil {
			t.Fatal(err)
		}
		copy(b[at:], over)
		binary.LittleEndian.PutUint64(b[8:], turn)
		binary.LittleEndian.PutUint16(b[32:], count)
		binary.LittleEndian.PutUint32(b, crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), b[4:]))
		if _, err := s.WriteAt(b, slot); err != nil {
			t.Fatal(err)
		}
		w, err = wal.Open(tiny(fs))
		if err != nil {
			if !errors.Is(err, wal.ErrDamaged) {
				t.Fatalf("got %v, want %v", err, wal.ErrDamaged)
			}
			return
		}
		if _, err := w.Get([]byte("vote")); err != nil {
			t.Fatal(err)
		}
	})
}
