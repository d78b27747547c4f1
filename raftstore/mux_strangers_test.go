package raftstore

import (
	"strconv"
	"testing"
)

// One host does not keep the others from the port, nor do all together take more than there is.
func TestStrangersAreBoundedByHost(t *testing.T) {
	m := &mux{strangers: map[string]int{}}
	for range strangersOfHost {
		if !m.admit("10.0.0.1") {
			t.Fatal("a host has less than its share")
		}
	}
	if m.admit("10.0.0.1") {
		t.Error("a host has more than its share")
	}
	others := 0
	for m.admit("10.0.1." + strconv.Itoa(others)) {
		others++
	}
	if others != maxStrangers-strangersOfHost {
		t.Errorf("%d others are let in, want %d", others, maxStrangers-strangersOfHost)
	}
	m.admitted("10.0.0.1")
	if !m.admit("10.0.2.1") {
		t.Error("one has said who it is, and nobody takes its place")
	}
}
