package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRaftSaysTheSameAboutAPeerOnlyNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := raftLog(slog.New(slog.NewTextHandler(&out, nil)))
		down := errors.New("connection refused")
		for range 100 {
			log.Error("failed to heartbeat to", "peer", "127.0.0.1:1", "error", down)
			log.Error("failed to heartbeat to", "peer", "127.0.0.1:2", "error", down)
			time.Sleep(100 * time.Millisecond)
		}
		if got := strings.Count(out.String(), "failed to heartbeat"); got != 2 {
			t.Errorf("ten seconds of two dead peers: got %d lines, want 2:\n%s", got, out.String())
		}
		log.Error("failed to heartbeat to", "peer", "127.0.0.1:1", "error", down)
		if got := strings.Count(out.String(), "failed to heartbeat"); got != 3 {
			t.Errorf("after ten seconds: got %d lines, want 3", got)
		}
		out.Reset()
		log.Error("failed to accept connection", "error", fmt.Errorf("accepting: %w", net.ErrClosed))
		if out.Len() != 0 {
			t.Errorf("got %q about a connection that this node has closed, want nothing", out.String())
		}
	})
}

// An operator can do nothing about a cache that is small on purpose.
func TestBadgerDoesNotComplainOfItsCache(t *testing.T) {
	var out bytes.Buffer
	log := badgerLog{slog.New(slog.NewTextHandler(&out, nil))}
	log.Warningf("%s might be too small. Metrics: %s\n", "Block cache", "hit: 1")
	log.Warningf("Cache life expectancy (in seconds): %+v\n", 2)
	if out.Len() != 0 {
		t.Errorf("got %q, want nothing", out.String())
	}
	log.Warningf("a table could not be removed: %v", "why")
	if !strings.Contains(out.String(), "a table could not be removed: why") {
		t.Errorf("got %q, want any other warning", out.String())
	}
}
