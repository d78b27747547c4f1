package raftstore

import (
	"bytes"
	"testing"
)

// FuzzFrame: what comes over the line between nodes is cut into frames as it was sent, or
// refused; a length alone takes no memory.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 'x'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			before := r.Len()
			_, _, body, err := readFrame(r)
			if err != nil {
				return
			}
			if used := before - r.Len(); used != 4+frameHeader+len(body) || len(body) > maxFrame {
				t.Fatalf("a frame of %d bytes took %d", len(body), used)
			}
		}
	})
}
