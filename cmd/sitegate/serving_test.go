package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

// served is a node that runs within this process.
type served struct {
	config string
	mu     sync.Mutex
	stderr bytes.Buffer
}

func (s *served) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(b)
}

// log is what the node has written to its standard error.
func (s *served) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// serveNode runs the node of a configuration on a free port until the test ends, and waits
// until it leads.
func serveNode(t *testing.T, config string) *served {
	t.Helper()
	s := &served{config: config}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", config}, []string{"SITEGATE_API_LISTEN=127.0.0.1:0"}, strings.NewReader(""), s, s)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case status := <-ended:
			if status != 0 {
				t.Errorf("the node ended with status %d:\n%s", status, s.log())
			}
		case <-time.After(2 * time.Minute):
			t.Error("the node has not ended in two minutes")
		}
	})
	c, _, err := configs.Load(config, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var st api.Status
		if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &st); err == nil && st.Cluster.Leader != "" {
			return s
		}
		select {
		case status := <-ended:
			ended <- status
			t.Fatalf("the node ended with status %d:\n%s", status, s.log())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("the node does not lead after a minute:\n%s", s.log())
		}
	}
}
