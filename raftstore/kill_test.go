package raftstore

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"sitegate/license"
)

const childDir = "RAFTSTORE_TEST_CHILD_DIR"

// TestKilledProcessKeepsWhatItAcknowledged runs itself as a child that proposes
// and tells what was acknowledged, until it is killed.
func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		proposeForEver(dir)
		return
	}
	dir := t.TempDir()
	child := exec.CommandContext(limited(t), os.Args[0], "-test.run=^TestKilledProcessKeepsWhatItAcknowledged$")
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []int
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &n); err == nil {
			acked = append(acked, n)
		} else if strings.HasPrefix(lines.Text(), "failed") {
			t.Error(lines.Text())
		}
		if len(acked) == 300 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(acked) < 300 {
		t.Fatalf("the child ended by itself after %d: %v", len(acked), err)
	}
	s := single(t, dir)
	s.View(func(st *license.State) {
		for _, n := range acked {
			if st.Session(testID(n)) == nil {
				t.Errorf("session %d was acknowledged before the kill and is lost", n)
			}
		}
	})
	t.Logf("%d were acknowledged", len(acked))
}

func proposeForEver(dir string) {
	s, err := Open(Config{Dir: dir, Node: "n1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	ctx := context.Background()
	if err := s.Lead(ctx, func(ctx context.Context) {
		if _, err := s.Propose(ctx, fill(400)); err != nil {
			fmt.Println("failed", err)
		}
		var group sync.WaitGroup
		for w := range 8 {
			group.Go(func() {
				for i := range 100_000 {
					n := 100_000*(w+1) + i
					out, err := s.Propose(ctx, start(n, n%400, "WS-1"))
					if err != nil {
						fmt.Println("failed", err)
						return
					}
					if out.Denial == nil {
						fmt.Printf("acknowledged %d\n", n)
					}
				}
			})
		}
		group.Wait()
	}); err != nil {
		fmt.Println("failed", err)
	}
}
