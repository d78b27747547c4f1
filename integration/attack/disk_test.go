package attack

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/raftstore/wal"
)

// logOf is the folder of a node's log.
func logOf(n *integration.Node) string {
	return filepath.Join(filepath.Dir(n.Config), "data", "store", "log")
}

// owned has a user start on a machine whose name stands in the log; the session goes on.
func owned(t *testing.T, s *integration.Site, first int) (who string, session *client.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	who = user(t, s)
	session, err := s.Client(t, who, "OWNER", first).Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	return who, session
}

// alone holds that a user's one session is that of the machine OWNER, as each of some nodes says.
func alone(t *testing.T, s *integration.Site, who string, nodes ...*integration.Node) {
	t.Helper()
	for _, n := range nodes {
		integration.Eventually(t, patience, n.Name+" knows of the session on OWNER", func() error { // who has just begun may be behind
			a := dial(t, s, n).send(request("GET "+api.PathMe+" HTTP/1.1", "Authorization: Bearer "+s.Token(t, who))).answer()
			if strings.Contains(a.body, "THIEF") {
				t.Fatalf("%s says of the user %s; want nothing of THIEF", n.Name, a.body)
			}
			if a.status != http.StatusOK || !strings.Contains(a.body, `"OWNER"`) {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
}

// TestALogThatWasChangedOnDiskIsNotPlayed: a name in a node's log was changed while the node was
// off. It does not start, says why and what to do, and nobody else has heard of it; with the
// letters as they were it is a member as before.
func TestALogThatWasChangedOnDiskIsNotPlayed(t *testing.T) {
	t.Parallel()
	s := integration.NewSiteWithoutLinks(t, 3, users)
	leader := s.Leader(t)
	off, others := (leader+1)%3, []*integration.Node{s.Nodes[leader], s.Nodes[(leader+2)%3]}
	n := s.Nodes[off]
	who, _ := owned(t, s, off)
	alone(t, s, who, n) // it is in its log
	n.Stop(t)
	change := func(from, to string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(logOf(n), "*.seg"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found += bytes.Count(text, []byte(from))
			if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(from), []byte(to)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if found == 0 {
			t.Fatalf("%q is not in the log: this test shows nothing", from)
		}
	}
	change("OWNER", "THIEF")
	s.Start(t, off)
	if status := n.Wait(t, patience); status == 0 || !strings.Contains(n.Output(), wal.ErrDamaged.Error()) {
		t.Errorf("with another name in its log: status %d, it wrote\n%s\nwant it to end, and to say that its log is damaged and what to do", status, n.Output())
	}
	alone(t, s, who, others...)
	honest(t, s, others[0])
	change("THIEF", "OWNER")
	s.Start(t, off)
	s.AwaitReady(t, n)
	alone(t, s, who, s.Nodes...)
	honest(t, s, n)
}

// TestAForgedLogIsTakenByNobody: who has a node's disk puts into its log, with checksums that
// fit, what the leader has never sent, in the place of what the others agree on meanwhile.
// raft itself cannot tell, since term and index are alike. With the next that is decided the node finds that
// the others have decided otherwise, ends and says so; the others go on and have nothing of it.
func TestAForgedLogIsTakenByNobody(t *testing.T) {
	t.Parallel()
	s := integration.NewSiteWithoutLinks(t, 3, users)
	leader := s.Leader(t)
	off, others := (leader+1)%3, []*integration.Node{s.Nodes[leader], s.Nodes[(leader+2)%3]}
	n := s.Nodes[off]
	who, _ := owned(t, s, leader)
	alone(t, s, who, n) // it is in its log
	n.Stop(t)
	for range 3 { // what is agreed on while it is off
		owned(t, s, leader)
	}
	st, err := s.Status(others[0])
	if err != nil {
		t.Fatal(err)
	}
	term := forgeLog(t, logOf(n), "OWNER", "THIEF", st.Cluster.Index)
	honest(t, s, others[0]) // nodes compare what they have decided, event by event: what comes next has another number there
	s.Start(t, off)
	if st.Cluster.Term == term {
		if status := n.Wait(t, patience); status == 0 || !strings.Contains(n.Output(), "the state of this node is not that of the other nodes") || !strings.Contains(n.Output(), "join anew") {
			t.Errorf("with a forged log: status %d, it wrote\n%s\nwant it to end, and to say that its state is another and what to do", status, n.Output())
		}
	} else { // the others have voted since: raft cuts off what it has of a term before they did, and the rest may end it
		t.Log("an election came in between: the node is not waited for")
	}
	alone(t, s, who, others...)
	for _, n := range others {
		honest(t, s, n)
	}
}

// forgeLog appends to a log that nobody has open copies of the entries in it that name
// something, with another name in its place, in its last term, up to an index.
func forgeLog(t *testing.T, dir, from, to string, upTo uint64) (term uint64) {
	t.Helper()
	w, err := wal.Open(wal.Options{FS: wal.OS(dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	first, err := w.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	last, err := w.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	var named []raft.Log
	for i := first; i <= last; i++ {
		var l raft.Log
		if err := w.GetLog(i, &l); err != nil {
			t.Fatal(err)
		}
		term = l.Term
		if l.Type == raft.LogCommand && bytes.Contains(l.Data, []byte(from)) {
			l.Data = bytes.ReplaceAll(l.Data, []byte(from), []byte(to))
			named = append(named, l)
		}
	}
	if len(named) == 0 || last >= upTo {
		t.Fatalf("%d entries name %q, and the log ends at %d of %d: this test shows nothing", len(named), from, last, upTo)
	}
	var forged []*raft.Log
	for i := last + 1; i <= upTo; i++ {
		l := named[int(i)%len(named)]
		l.Index, l.Term = i, term
		forged = append(forged, &l)
	}
	if err := w.StoreLogs(forged); err != nil {
		t.Fatal(err)
	}
	return term
}

// TestARemovedNodesFolderIsOfNoUse: a copy of a member's whole folder, with its keys, its log and
// its state, is started elsewhere after the member was removed. The others let it in no more, it
// ends and says by whom it was removed; where it cannot ask them, it grants nothing.
func TestARemovedNodesFolderIsOfNoUse(t *testing.T) {
	t.Parallel()
	s := integration.NewSiteWithoutLinks(t, 3, users)
	leader := s.Leader(t)
	off, others := (leader+1)%3, []*integration.Node{s.Nodes[leader], s.Nodes[(leader+2)%3]}
	n := s.Nodes[off]
	who, _ := owned(t, s, leader)
	alone(t, s, who, n)
	n.Stop(t)
	elsewhere := t.TempDir()
	was, stolen := filepath.Dir(n.Config), filepath.Join(elsewhere, n.Name)
	copied(t, was, stolen)
	if status, stdout, stderr := s.Tool(t, others[0], "cluster", "remove", n.Name, "--note", "stolen on Monday"); status != 0 {
		t.Fatalf("removing: status %d, %s%s", status, stdout, stderr)
	}

	config, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	theirs := *n
	theirs.Config = filepath.Join(stolen, filepath.Base(n.Config))
	if err := os.WriteFile(theirs.Config, bytes.ReplaceAll(config, []byte(was), []byte(stolen)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(was, was+"-gone"); err != nil { // what runs is the copy alone
		t.Fatal(err)
	}
	begin := func() {
		theirs.Process = integration.StartProcess(t, "the copy", s.Env, integration.Program(t, "sitegate"), "serve", "--config", theirs.Config)
	}
	begin()
	if status := theirs.Wait(t, patience); status == 0 || !strings.Contains(theirs.Output(), "was removed from its cluster by ") || !strings.Contains(theirs.Output(), "stolen on Monday") {
		t.Errorf("the copy ended with status %d and wrote\n%s\nwant it to say by whom it was removed", status, theirs.Output())
	}
	alone(t, s, who, others...)

	// Where it reaches none of the others it does not hear of it, and has no majority either.
	for _, n := range others {
		n.Stop(t)
	}
	begin()
	refusedWithoutAMajority(t, s, &theirs, who)
	theirs.Kill()
	for i := range s.Nodes {
		if i != off {
			s.Start(t, i)
		}
	}
	for _, n := range others {
		s.AwaitReady(t, n)
	}
	alone(t, s, who, others...)
	for _, n := range others {
		honest(t, s, n)
	}
	for _, n := range others {
		if st, err := s.Status(n); err != nil || len(st.Cluster.Members) != 2 {
			t.Errorf("%s counts %d nodes, %v; want two", n.Name, len(st.Cluster.Members), err)
		}
	}
}

// copied copies a folder without what lives only while a node runs.
func copied(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refusedWithoutAMajority holds that a node that runs grants a user nothing, and says so to an honest
// one: to come back, or to go to another node.
func refusedWithoutAMajority(t *testing.T, s *integration.Site, n *integration.Node, who string) {
	t.Helper()
	integration.Eventually(t, patience, "the node answers", func() error {
		if n.Ended() {
			t.Fatalf("%s has ended; it wrote\n%s", n.Name, n.Output())
		}
		resp, err := s.HTTP().Get(n.URL + "/livez")
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	})
	a := dial(t, s, n).send(startOf(s.Token(t, who), "m-thief")).answer()
	a.problem(t, http.StatusServiceUnavailable, api.CodeNoQuorum)
}
