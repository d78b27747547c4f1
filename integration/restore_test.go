package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/license"
)

// storeOf is the folder of a node's log and state.
func storeOf(n *Node) string { return filepath.Join(filepath.Dir(n.Config), "data", "store") }

// there reports whether a session of a user is still known to a node.
func (s *Site) there(t testing.TB, n *Node, user, session string) bool {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, n.URL+api.PathSessions+"/"+session, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token(t, user))
	resp, err := s.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// I3: what was answered before a backup was asked for is in it, though it was made under
// load, and is there after the restore. I1: what was lent and returned since is read from
// the cloud, and nothing capped is granted before every lease of the time that is lost is
// over.
func TestRestoreOfABackupMadeUnderLoad(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20, "SITEGATE_LIMITS_REQUESTS_PER_SECOND=10000", "SITEGATE_LIMITS_BURST=10000")
	ctx := deadline(t, 3*time.Minute)
	lent := s.Client(t, emulator.UserB, "LT-7", 0)
	before, err := lent.CheckOut(ctx, emulator.ProductCapped, time.Now().Add(72*time.Hour))
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var answered []string
	count := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), answered...)
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	for i := range s.Nodes {
		c := s.Client(t, emulator.UserA, "WS-101", i)
		load.Go(func() {
			for range 30 { // the rules let a user have a hundred
				session, err := c.Start(loading, emulator.ProductCapped)
				if err != nil {
					if loading.Err() == nil {
						t.Errorf("starting while a backup is made: %v", err)
					}
					return
				}
				mu.Lock()
				answered = append(answered, session.ID)
				mu.Unlock()
			}
		})
	}
	Eventually(t, 30*time.Second, "some load", func() error {
		if n := len(count()); n < 10 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	var file string
	var had []string
	for i, n := range s.Nodes {
		had = count()
		file = filepath.Join(s.Dir, fmt.Sprintf("site-%d.backup", i))
		if status, stdout, stderr := s.Tool(t, n, "backup", file); status != 0 {
			t.Fatalf("backup on %s: status %d, %s %s", n.Name, status, stdout, stderr)
		}
	}
	load.Wait()
	out, err := exec.Command(Program(t, "sitegate"), "backup", "verify", file, "--json").Output()
	var info struct {
		Index   uint64 `json:"index"`
		Current bool   `json:"current"`
		Counts  struct{ Sessions, Checkouts, Users int }
	}
	if err != nil || json.Unmarshal(out, &info) != nil || !info.Current || info.Counts.Sessions < len(had) || info.Counts.Checkouts != 1 || info.Counts.Users < 20 {
		t.Fatalf("verify: %v, %s; want %d sessions at the least, and a checkout", err, out, len(had))
	}

	// The time that will be lost: ben returns his license, and ann borrows one.
	if err := lent.Return(ctx, before.ID); err != nil {
		t.Fatal(err)
	}
	after, err := lent.CheckOut(ctx, emulator.ProductUncapped, time.Now().Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Nodes {
		n.Kill()
	}
	for _, n := range s.Nodes {
		if err := os.Rename(storeOf(n), storeOf(n)+".old"); err != nil {
			t.Fatal(err)
		}
	}
	n := s.Nodes[1]
	half := filepath.Join(s.Dir, "half.backup")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(half, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := s.Tool(t, n, "restore", half); status != 1 || !strings.Contains(stderr, "cut short") {
		t.Errorf("half a backup: status %d, %s", status, stderr)
	}
	if status, stdout, stderr := s.Tool(t, n, "restore", file); status != 0 || !strings.Contains(stdout, "node1, node3 must not start with the data they have") {
		t.Fatalf("restore: status %d, %s %s", status, stdout, stderr)
	}
	if status, _, stderr := s.Tool(t, n, "restore", file); status != 1 || !strings.Contains(stderr, "nothing is overwritten") {
		t.Errorf("a second restore: status %d, %s", status, stderr)
	}
	s.Start(t, 1)
	s.AwaitReady(t, n)
	for _, id := range had {
		if !s.there(t, n, emulator.UserA, id) {
			t.Errorf("session %s was answered before the backup and is not there after the restore", id)
		}
	}
	Eventually(t, 30*time.Second, "the checkouts are read from the cloud", func() error {
		st, err := s.Status(n)
		switch {
		case err != nil:
			return err
		case st.Restored == nil || !st.Restored.Read:
			return fmt.Errorf("%+v", st.Restored)
		case st.Restored.Until.Sub(st.Restored.Since) != license.MaxLeaseTTL || len(st.Cluster.Members) != 1 || st.Counts.Checkouts != 1:
			t.Fatalf("%+v, %+v, %+v", st.Restored, st.Cluster.Members, st.Counts)
		}
		return nil
	})
	alone := s.Client(t, emulator.UserB, "WS-202", 1)
	_, err = alone.Start(ctx, emulator.ProductCapped)
	if e := refusedFor(t, err, client.ErrRestored); e.Until.IsZero() || len(e.Next) == 0 {
		t.Errorf("the refusal: %+v, want until when and what to do", e)
	}
	if _, err := alone.Start(ctx, emulator.ProductUncapped); err != nil {
		t.Errorf("what is not capped: %v", err)
	}
	if err := s.Client(t, emulator.UserB, "LT-7", 1).Return(ctx, after.ID); err != nil {
		t.Errorf("returning what was lent in the time that is lost: %v", err)
	}
	if status, stdout, _ := s.Tool(t, n, "status"); status != 0 || !strings.Contains(stdout, "from a backup; nothing capped is granted before") {
		t.Errorf("status: %d, %s", status, stdout)
	}

	// The others' data is of before. They join again, with nothing.
	s.refusesOldData(t, 0)
	s.joinAgain(t, 1, 0)
	s.joinAgain(t, 1, 2)
	Eventually(t, time.Minute, "three voters", func() error {
		st, err := s.Status(s.Nodes[2])
		if err != nil {
			return err
		}
		for _, m := range st.Cluster.Members {
			if !m.Voter {
				return fmt.Errorf("%s has no vote", m.Name)
			}
		}
		if len(st.Cluster.Members) != 3 || st.Restored == nil {
			return fmt.Errorf("%+v, %+v", st.Cluster.Members, st.Restored)
		}
		return nil
	})
	n.Kill()
	s.Leader(t)
	if !s.there(t, s.Nodes[0], emulator.UserA, had[0]) {
		t.Error("the nodes that joined again do not have what was restored")
	}
	s.Nodes[0].Stop(t)
	s.Nodes[2].Stop(t)
}

// refusesOldData starts a node with the data that it had before a restore, and takes
// that away again.
func (s *Site) refusesOldData(t *testing.T, i int) {
	t.Helper()
	n := s.Nodes[i]
	if err := os.Rename(storeOf(n)+".old", storeOf(n)); err != nil {
		t.Fatal(err)
	}
	s.Start(t, i)
	if status := n.Wait(t, 30*time.Second); status == 0 || !strings.Contains(n.Output(), "was removed from its cluster by restore") {
		t.Errorf("%s with its old data: status %d, want it to stop and say why", n.Name, status)
	}
	if err := os.Rename(storeOf(n), storeOf(n)+".old"); err != nil {
		t.Fatal(err)
	}
}

// joinAgain lets a node join by a token of another, with an empty data folder and a
// configuration without what "cluster init" had written.
func (s *Site) joinAgain(t *testing.T, from, i int) {
	t.Helper()
	n := s.Nodes[i]
	status, token, stderr := s.Tool(t, s.Nodes[from], "cluster", "token")
	if status != 0 {
		t.Fatalf("a token: status %d, %s", status, stderr)
	}
	file := filepath.Join(t.TempDir(), "join.token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Dir(storeOf(n))
	if err := os.Rename(data, data+".old"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "\ncluster:\n")
	_, after, made := strings.Cut(rest, "\napi:\n")
	if !made {
		t.Fatalf("no cluster section in\n%s", text)
	}
	if err := os.WriteFile(n.Config, []byte(before+"\napi:\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := s.Tool(t, n, "cluster", "join", "--token-file", file, "--peer-listen", n.Link.to, "--peer-advertise", n.Link.Addr()); status != 0 {
		t.Fatalf("joining %s: status %d, %s %s", n.Name, status, stdout, stderr)
	}
	s.Start(t, i)
	s.AwaitReady(t, n)
}

// Two of three nodes are lost for good: the third goes on alone with what it has, and
// what ran with clients that stop by themselves is renewed by it.
func TestRecoveryAfterALostQuorum(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx := deadline(t, 2*time.Minute)
	ws101 := s.Client(t, emulator.UserA, "WS-101", 0)
	session, err := ws101.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	left := 2
	n := s.Nodes[left]
	Eventually(t, 20*time.Second, "the node that will be left has it", func() error {
		if !s.there(t, n, emulator.UserA, session.ID) {
			return errors.New("it has not")
		}
		return nil
	})
	s.Nodes[0].Kill()
	s.Nodes[1].Kill()
	if status, _, stderr := s.Tool(t, n, "cluster", "recover", "--yes"); status != 1 || !strings.Contains(stderr, "in use by another running node") {
		t.Errorf("while the node runs: status %d, %s", status, stderr)
	}
	n.Kill()
	s.Start(t, 0)
	peers := fmt.Sprintf("node1=%s,node2=%s", s.Nodes[0].Link.to, s.Nodes[1].Link.to)
	Eventually(t, 20*time.Second, "the other node listens", func() error {
		c, err := net.Dial("tcp", s.Nodes[0].Link.to)
		if err == nil {
			c.Close()
		}
		return err
	})
	if status, _, stderr := s.Tool(t, n, "cluster", "recover", "--yes", "--peers", peers); status != 1 || !strings.Contains(stderr, "where node node1 was") {
		t.Errorf("while another node runs: status %d, %s", status, stderr)
	}
	s.Nodes[0].Kill()
	if status, stdout, stderr := s.Tool(t, n, "cluster", "recover", "--peers", peers); status != 64 || !strings.Contains(stdout, "Lost is what") || !strings.Contains(stderr, "say --yes") {
		t.Errorf("without --yes: status %d, %s %s", status, stdout, stderr)
	}
	for _, lost := range s.Nodes[:2] {
		lost.Link.Cut() // nothing answers there any more
	}
	if status, stdout, stderr := s.Tool(t, n, "cluster", "recover", "--yes", "--peers", peers); status != 0 || !strings.Contains(stdout, "in epoch") {
		t.Fatalf("recovering: status %d, %s %s", status, stdout, stderr)
	}
	s.Start(t, left)
	s.AwaitReady(t, n)
	st, err := s.Status(n)
	if err != nil || st.Restored == nil || !st.Restored.Recovered || len(st.Cluster.Members) != 1 || st.Cluster.Leader != n.Name {
		t.Fatalf("%+v, %v", st, err)
	}
	remaining := session.Left()
	Eventually(t, 30*time.Second, "the session is renewed by the node that was left", func() error {
		session.Beat()
		if now := session.Left(); now <= remaining || session.Err() != nil {
			return fmt.Errorf("%v left, was %v, %v", now, remaining, session.Err())
		}
		return nil
	})
	_, err = s.Client(t, emulator.UserB, "WS-202", left).Start(ctx, emulator.ProductCapped)
	refusedFor(t, err, client.ErrRestored)
	if err := session.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	// One that was lost turns up, with its old data.
	s.Start(t, 0)
	if status := s.Nodes[0].Wait(t, 30*time.Second); status == 0 || !strings.Contains(s.Nodes[0].Output(), "was removed from its cluster by restore") {
		t.Errorf("a node that was given up: status %d, want it to stop and say why", status)
	}
	n.Stop(t)
}

// I3: a machine that is set back to a snapshot does not vote with less than it had
// acknowledged. It is told to join again, and then is a member as before.
func TestAMachineThatIsSetBackToASnapshotIsRefused(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx := deadline(t, 2*time.Minute)
	back := (s.Leader(t) + 1) % 3
	n := s.Nodes[back]
	n.Kill()
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	if err := os.CopyFS(snapshot, os.DirFS(storeOf(n))); err != nil {
		t.Fatal(err)
	}
	s.Start(t, back)
	s.AwaitReady(t, n)
	session, err := s.Client(t, emulator.UserA, "WS-101", back).Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, "the node has it", func() error {
		if !s.there(t, n, emulator.UserA, session.ID) {
			return errors.New("it has not")
		}
		return nil
	})
	n.Kill()
	if err := errors.Join(os.RemoveAll(storeOf(n)), os.CopyFS(storeOf(n), os.DirFS(snapshot))); err != nil {
		t.Fatal(err)
	}
	s.Start(t, back)
	if status := n.Wait(t, 30*time.Second); status == 0 || !strings.Contains(n.Output(), "older than what "+n.Name+" has acknowledged") {
		t.Fatalf("status %d, want it to stop and say why", status)
	}
	other := (back + 1) % 3
	if status, _, stderr := s.Tool(t, s.Nodes[other], "cluster", "remove", n.Name, "--note", "set back to a snapshot"); status != 0 {
		t.Fatalf("removing it: status %d, %s", status, stderr)
	}
	s.joinAgain(t, other, back)
	if !s.there(t, n, emulator.UserA, session.ID) {
		t.Error("the node that joined again does not have the session")
	}
	if err := session.Stop(ctx); err != nil {
		t.Error(err)
	}
}
