package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/raftstore"
)

// A drain that is refused has sent nobody away.
func TestARefusedDrainSendsNobodyAway(t *testing.T) {
	store, err := raftstore.Open(raftstore.Config{Dir: t.TempDir(), Node: "node1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if _, err := store.Propose(ctx, license.Link{Up: true}); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("the node does not lead: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
	var did []string
	ops := &clusterOps{store: store,
		leaving: func(time.Duration) bool { did = append(did, "leaving"); return true },
		staying: func() { did = append(did, "staying") },
		drain:   func(time.Duration) { did = append(did, "drain") }}
	if err := ops.Drain(ctx, "", time.Second); err == nil || !strings.Contains(err.Error(), "only voting node") || len(did) > 0 {
		t.Errorf("got %v after %q; want it refused before anything", err, did)
	}
}
