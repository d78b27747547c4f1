package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/raftstore"
)

// leftBehind is the configuration of a node that does not run any more.
func leftBehind(t *testing.T) (config string) {
	t.Helper()
	config = writeSingle(t)
	store, err := raftstore.Open(raftstore.Config{Dir: filepath.Join(filepath.Dir(config), "data", "store"), Node: "node1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := store.Propose(t.Context(), license.Link{Up: true}); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the node does not lead: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestRecoverSaysWhatMayBeLostAndAsks(t *testing.T) {
	config := leftBehind(t)
	status, stdout, stderr := sitegate(t, nil, "cluster", "recover", "--config", config)
	if status != exitUsage || !strings.Contains(stdout, "its log goes to index") || !strings.Contains(stderr, "say --yes") {
		t.Errorf("without --yes: status %d, %q, %q", status, stdout, stderr)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	status, _, stderr = sitegate(t, nil, "cluster", "recover", "--yes", "--peers", "gw2="+ln.Addr().String(), "--config", config)
	if status != exitFailed || !strings.Contains(stderr, "where node gw2 was") {
		t.Errorf("beside a node that runs: status %d, %q", status, stderr)
	}
	address := ln.Addr().String()
	ln.Close()
	status, stdout, stderr = sitegate(t, nil, "cluster", "recover", "--yes", "--peers", "gw2="+address, "--config", config)
	if status != exitOK || !strings.Contains(stdout, "goes on from index") || !strings.Contains(stdout, "sitegate serve") {
		t.Errorf("with --yes: status %d, %q, %q", status, stdout, stderr)
	}
}

func TestRecoverCommandLines(t *testing.T) {
	config := writeSingle(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"cluster", "recover", "--config", config, "--yes"}, exitFailed, "no node's data"},
		{[]string{"cluster", "recover", "--peers", "gw2=nowhere", "--config", config}, exitUsage, "is not NAME=HOST:PORT"},
		{[]string{"cluster", "recover", "now"}, exitUsage, "is too much"},
		{[]string{"cluster", "help", "recover"}, exitOK, "most of whose nodes are lost"},
	} {
		status, stdout, stderr := sitegate(t, nil, c.args...)
		if status != c.status || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%q: status %d, %q, %q; want %d and %q", c.args, status, stdout, stderr, c.status, c.want)
		}
	}
}
