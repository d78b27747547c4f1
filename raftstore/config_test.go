package raftstore

import (
	"testing"
	"time"
)

func TestTempo(t *testing.T) {
	for tempo, want := range map[Tempo]time.Duration{"": 500 * time.Millisecond, LAN: 200 * time.Millisecond, VM: 500 * time.Millisecond, WAN: time.Second} {
		s := single(t, t.TempDir(), func(c *Config) { c.Tempo = tempo })
		if got := s.raft.ReloadableConfig(); got.HeartbeatTimeout != want || got.ElectionTimeout != want {
			t.Errorf("tempo %q: got a heartbeat of %v and an election of %v, want %v", tempo, got.HeartbeatTimeout, got.ElectionTimeout, want)
		}
	}
	if _, err := Open(Config{Dir: t.TempDir(), Node: "n1", Tempo: "fast", Logger: testLog(t, "n1")}); err == nil {
		t.Error("a tempo that there is not was taken")
	}
}
