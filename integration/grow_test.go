package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/siteca"
)

// busy lets one desktop do what else a floor of them does.
var busy = []string{"SITEGATE_LIMITS_REQUESTS_PER_SECOND=1000", "SITEGATE_LIMITS_BURST=1000"}

// newLoneSite starts a site of one node whose configuration has no cluster in it.
func newLoneSite(t *testing.T, users int) *Site {
	t.Helper()
	s := &Site{Dir: t.TempDir(), direct: true, Env: busy}
	s.openCloud(t, users)
	s.machine(t, "node1")
	s.Start(t, 0)
	ca := filepath.Join(s.data(0), "ca", "site-ca.pem")
	Eventually(t, 20*time.Second, "the site's CA", func() (err error) { s.CAPEM, err = os.ReadFile(ca); return err })
	s.CA = x509.NewCertPool()
	s.CA.AppendCertsFromPEM(s.CAPEM)
	s.AwaitReady(t, s.Nodes[0])
	return s
}

// machine sets up a new machine: its configuration, and where its peer port will be.
func (s *Site) machine(t testing.TB, name string) int {
	t.Helper()
	s.Nodes = append(s.Nodes, s.NewMachine(t, name))
	return len(s.Nodes) - 1
}

func (s *Site) data(i int) string { return s.Nodes[i].data() }

func (n *Node) data() string { return filepath.Join(filepath.Dir(n.Config), "data") }

// operate runs a command of the cluster on a node's machine.
func (s *Site) operate(t testing.TB, i int, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	return s.operateOn(t, s.Nodes[i], stdin, args...)
}

func (s *Site) operateOn(t testing.TB, n *Node, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.programOf(t, n), append(append([]string{"cluster"}, args...), "--config", n.Config)...)
	var out, problems strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("cluster %s: %w: %s", strings.Join(args, " "), err, problems.String())
	}
	return out.String(), nil
}

func (s *Site) mustOperate(t testing.TB, i int, stdin string, args ...string) string {
	t.Helper()
	out, err := s.operate(t, i, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unmake takes out of a machine's configuration what cluster init wrote into it.
func (n *Node) unmake(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	before, after, made := strings.Cut(string(text), "cluster:\n")
	if !made {
		return
	}
	_, after, _ = strings.Cut(after, "\napi:")
	if err := os.WriteFile(n.Config, []byte(before+"api:"+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// token is a join token of a node.
func (s *Site) token(t testing.TB, i int, more ...string) string {
	t.Helper()
	return s.mustOperate(t, i, "", append([]string{"token"}, more...)...)
}

// joins has a machine join, starts it, and waits for its vote.
func (s *Site) joins(t testing.TB, i int, token string) {
	t.Helper()
	s.mustOperate(t, i, token, "join", "--token-file", "-", "--peer-listen", s.Nodes[i].Door)
	s.Start(t, i)
	s.AwaitReady(t, s.Nodes[i])
	s.votes(t, i, s.Nodes[i].Name, true)
}

// votes waits until a node has a vote, or none, by the word of another.
func (s *Site) votes(t testing.TB, by int, name string, want bool) {
	t.Helper()
	Eventually(t, 60*time.Second, fmt.Sprintf("%s votes: %t", name, want), func() error {
		m, err := s.members(t, by)
		if err != nil {
			return err
		}
		if got := slices.ContainsFunc(m, func(m api.ClusterMember) bool { return m.Name == name && m.Role != api.RoleNewcomer }); got != want {
			return fmt.Errorf("the members are %+v", m)
		}
		return nil
	})
}

func (s *Site) members(t testing.TB, by int) (m []api.ClusterMember, err error) {
	t.Helper()
	out, err := s.operate(t, by, "", "members", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &m)
	}
	return m, err
}

// shift is a number of desktops that start and stop a product all the time, and
// want an answer to each request.
type shift struct {
	mu     sync.Mutex
	failed []error
	starts int
	stop   context.CancelFunc
	wait   sync.WaitGroup
}

func (s *Site) shift(t testing.TB, desktops int) *shift {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &shift{stop: cancel}
	t.Cleanup(func() { cancel(); w.wait.Wait() })
	users := s.Cloud.Users()
	for i := range desktops {
		if users[i].ID == emulator.UserA {
			continue // the one whose session is kept
		}
		c := s.Client(t, users[i].ID, fmt.Sprintf("WS-%d", i), i)
		listens := c.Watch(ctx) // by it, it hears of nodes that come
		select {
		case <-listens.Ready():
		case <-time.After(patience):
			t.Fatal("a desktop is not greeted")
		}
		w.wait.Go(func() { w.work(ctx, c) })
	}
	return w
}

func (w *shift) work(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		x, err := c.Start(context.WithoutCancel(ctx), emulator.ProductCapped)
		if errors.Is(err, client.ErrNotAssigned) {
			return // this one has no license of it
		}
		if err == nil {
			err = x.Stop(context.WithoutCancel(ctx))
		}
		w.mu.Lock()
		w.starts++
		if err != nil {
			w.failed = append(w.failed, fmt.Errorf("at %s: %w", time.Now().Format(time.TimeOnly), err))
		}
		w.mu.Unlock()
		select {
		case <-time.After(20 * time.Millisecond): // a person's pace would show nothing
		case <-ctx.Done():
		}
	}
}

// more waits until the desktops have worked for a while longer.
func (w *shift) more(t testing.TB, what string) {
	t.Helper()
	w.mu.Lock()
	from := w.starts
	w.mu.Unlock()
	Eventually(t, 60*time.Second, "starts after "+what, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.starts < from+50 {
			return fmt.Errorf("%d starts, want 50 more than %d; failed: %v", w.starts, from, w.failed)
		}
		return nil
	})
}

func (w *shift) end(t testing.TB) {
	t.Helper()
	w.stop()
	w.wait.Wait()
	t.Logf("%d starts and stops, %d failed", w.starts, len(w.failed))
	for _, err := range w.failed[:min(len(w.failed), 5)] {
		t.Errorf("a request failed: %v", err)
	}
}

func TestASiteGrowsToThreeAndBackUnderLoad(t *testing.T) {
	t.Parallel()
	s := newLoneSite(t, 20)
	ctx := t.Context()
	keeper := s.Client(t, emulator.UserA, "WS-KEPT", 0)
	keeper.Watch(ctx)
	kept, err := keeper.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	work := s.shift(t, 8)
	work.more(t, "the beginning")

	first := s.token(t, 0, "--peer-listen", s.Nodes[0].Door)
	s.machine(t, "node2")
	s.joins(t, 1, first)
	work.more(t, "the second node has joined")
	s.machine(t, "node3")
	s.joins(t, 2, s.token(t, 1))
	work.more(t, "the third node has joined")

	// The first token is shown again, by a machine that nobody has asked.
	s.machine(t, "node4")
	if out, err := s.operate(t, 3, first, "join", "--token-file", "-", "--peer-listen", s.Nodes[3].Door); err == nil || !strings.Contains(err.Error(), "has let node node2 in already") {
		t.Errorf("a used token: %s, %v; want who has used it", out, err)
	}
	letter := "x"
	if first[40] == 'x' {
		letter = "y"
	}
	if out, err := s.operate(t, 3, first[:40]+letter+first[41:], "join", "--token-file", "-", "--peer-listen", s.Nodes[3].Door); err == nil || !strings.Contains(err.Error(), "copy it again") {
		t.Errorf("a mistyped token: %s, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(s.data(3), "store", "identity.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused machine keeps something: %v", err)
	}

	// The machine that it began with is drained, stopped, and taken out.
	out := s.mustOperate(t, 0, "", "drain", "--over", "1s")
	if !strings.Contains(out, "node1 is drained") {
		t.Errorf("drain said %s", out)
	}
	work.more(t, "draining")
	s.Nodes[0].Stop(t)
	work.more(t, "stopping")
	s.mustOperate(t, 1, "", "remove", "node1", "--note", "old machine")
	s.Start(t, 0)
	if status := s.Nodes[0].Wait(t, 20*time.Second); status == 0 || !strings.Contains(s.Nodes[0].Output(), "old machine") {
		t.Errorf("the removed node: status %d, %s", status, s.Nodes[0].Output())
	}
	work.more(t, "removing")

	// And then there is one.
	s.mustOperate(t, 2, "", "step-down")
	s.mustOperate(t, 2, "", "leave")
	if status := s.Nodes[2].Wait(t, 20*time.Second); status != 0 {
		t.Errorf("the node that left: status %d", status)
	}
	work.more(t, "leaving")
	work.end(t)
	select {
	case <-kept.Lost():
		t.Errorf("the session that was kept all the time is lost: %v", kept.Err())
	default:
	}
	me, err := keeper.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(me.Sessions, func(x api.Session) bool { return x.ID == kept.ID }) {
		t.Errorf("the session that was kept all the time is not among %v", me.Sessions)
	}
}

// The disk of a node is lost, with its log and its votes, or with all of it. The
// machine does not come back as if nothing had happened; removed, it joins as new.
func TestANodeWithAnEmptiedDiskJoinsAnew(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 20, busy...)
	work := s.shift(t, 4)
	work.more(t, "the beginning")
	lost := (s.Leader(t) + 1) % 3
	other := (lost + 1) % 3
	name := s.Nodes[lost].Name
	for _, what := range []string{"store", ""} { // the second time all of the data folder is gone
		s.Nodes[lost].Kill()
		if err := os.RemoveAll(filepath.Join(s.data(lost), what)); err != nil {
			t.Fatal(err)
		}
		s.Start(t, lost)
		if status := s.Nodes[lost].Wait(t, 20*time.Second); status == 0 || !strings.Contains(s.Nodes[lost].Output(), "cluster remove "+name) {
			t.Errorf("with data/%s gone: status %d, %s; want that it must be removed first", what, status, s.Nodes[lost].Output())
		}
	}
	work.more(t, "the loss")
	s.mustOperate(t, other, "", "remove", name, "--note", "disk failed")

	s.Nodes[lost].unmake(t) // and listens where it did
	s.Nodes[lost].Door = freePortOn(t, s.Nodes[lost].IP)
	if err := os.RemoveAll(s.data(lost)); err != nil {
		t.Fatal(err)
	}
	s.joins(t, lost, s.token(t, other))
	for i := range s.Nodes {
		s.votes(t, i, name, true)
	}
	work.more(t, "joining anew")
	work.end(t)
}

func TestPlannedMaintenanceFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 20, busy...)
	work := s.shift(t, 8)
	work.more(t, "the beginning")
	for i, n := range s.Nodes { // one after the other, as in a night of updates
		s.mustOperate(t, (i+1)%3, "", "step-down")
		work.more(t, "stepping down")
		if i == 1 { // from another machine; asked for again here, it is waited for
			if out := s.mustOperate(t, 2, "", "drain", n.Name, "--over", "500ms"); !strings.Contains(out, n.Name+" leads no more") {
				t.Errorf("draining %s from another machine said %s", n.Name, out)
			}
		}
		s.mustOperate(t, i, "", "drain", "--over", "500ms")
		if st, err := s.Status(n); err != nil || st.Connected != 0 || st.Cluster.Leader == n.Name {
			t.Errorf("%s is drained and has %d clients, %v, led by %s", n.Name, st.Connected, err, st.Cluster.Leader)
		}
		if _, err := s.HTTP().Get(n.URL + "/healthz"); err == nil {
			t.Errorf("%s is drained and lets clients in", n.Name)
		}
		n.Stop(t)
		work.more(t, "stopping "+n.Name)
		s.Start(t, i)
		s.AwaitReady(t, n)
		s.votes(t, i, n.Name, true)
		m, err := s.members(t, i)
		if err != nil || slices.ContainsFunc(m, func(m api.ClusterMember) bool { return m.Drained }) {
			t.Errorf("after its start: %+v, %v; want none drained", m, err)
		}
	}
	work.end(t)
}

// What two nodes that stay would be too few for is refused, with the reason.
func TestRemovingRefusesToLoseTheMajority(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 10)
	leader := s.Leader(t)
	dead, other := (leader+1)%3, (leader+2)%3
	for i := range s.Nodes {
		s.votes(t, i, s.Nodes[i].Name, true)
	}
	s.Nodes[dead].Kill()
	_, err := s.operate(t, leader, "", "remove", s.Nodes[other].Name, "--note", "wrong one") // at once, before it is missed
	if err == nil || !strings.Contains(err.Error(), "only "+s.Nodes[leader].Name+" answers") || !strings.Contains(err.Error(), "Without "+s.Nodes[other].Name) {
		t.Errorf("removing the last but one: %v; want that no majority would be left", err)
	}
	s.mustOperate(t, other, "", "remove", s.Nodes[dead].Name)
	s.votes(t, leader, s.Nodes[dead].Name, false)
	resp, err := s.HTTP().Get(s.Nodes[leader].URL + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("two are left: %v, %v", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
}

// A node that comes back with a certificate near its end renews it by itself, and
// shows the new one to its clients and to the other nodes without another start.
func TestACertificateNearItsEndIsRenewed(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 10)
	old := (s.Leader(t) + 1) % 3
	n := s.Nodes[old]
	n.Stop(t)
	ca, err := siteca.Load(filepath.Join(s.Dir, "site", "ca"))
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"localhost", "127.0.0.1", "::1", n.IP}
	cert, key, err := ca.Issue(n.Name, hosts, true, time.Now().Add(-siteca.NodeLife*9/10))
	if err != nil {
		t.Fatal(err)
	}
	// What the operator made at the beginning ends later, and would be taken.
	for _, dir := range []string{filepath.Dir(n.Config), siteca.Folder(s.data(old))} {
		for file, b := range map[string][]byte{siteca.CertFile: cert, siteca.KeyFile: key} {
			if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Start(t, old)
	soon := time.Now().Add(siteca.NodeLife / 2)
	s.AwaitReady(t, n)
	Eventually(t, 60*time.Second, "a new certificate", func() error {
		members, err := s.members(t, old)
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.Self && m.Certificate.Before(soon) {
				return fmt.Errorf("it ends %v", m.Certificate)
			}
		}
		return nil
	})
	conn, err := tls.Dial("tcp", strings.TrimPrefix(n.URL, "https://"), &tls.Config{RootCAs: s.CA, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if ends := conn.ConnectionState().PeerCertificates[0].NotAfter; ends.Before(soon) {
		t.Errorf("clients are shown a certificate that ends %v", ends)
	}
	n.Stop(t)
	s.Start(t, old) // and it was kept
	s.AwaitReady(t, n)
	s.votes(t, (old+1)%3, n.Name, true)
}
