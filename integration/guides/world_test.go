package guides

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
)

// patience is how long anything may take on a busy machine, and building what a command may.
const (
	patience = 2 * time.Minute
	building = 10 * time.Minute
)

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemovePrograms()
	os.Exit(code)
}

// world is what the guides speak of: machines, and a cloud behind a proxy.
type world struct {
	t        *testing.T
	s        *integration.Site
	dir      string // where commands are given
	net      string // of the machines, as 127.20.0.
	machines map[string]int
	words    []string // of a guide, and those of this test that stand for them, on whichever machine
	env      []string
	// before is what the text of a guide says happens before a command, by the beginning of
	// its line.
	before map[string]func()
	told   []string // the guides that were run
	wrote  string   // what the last command that went well has written
}

// nets counts those that were given out, the first of which is a random one.
var nets = func() *atomic.Uint32 { n := new(atomic.Uint32); n.Store(rand.Uint32N(250)); return n }()

// newNet is where three machines' ports are free, as 127.20.0., and which no other world has.
func newNet(t *testing.T) string {
	t.Helper()
	var err error
	for range 250 {
		in := fmt.Sprintf("127.%d.0.", 2+nets.Add(1)%250)
		if err = free(in); err == nil {
			return in
		}
	}
	t.Fatalf("no net is free: %v", err)
	return ""
}

// free says what keeps the ports of three machines from being listened on.
func free(in string) error {
	for machine := 1; machine <= 3; machine++ {
		for _, port := range []int{7443, 8443, 3128} {
			ln, err := net.Listen("tcp", fmt.Sprintf("%s%d:%d", in, machine, port))
			if err != nil {
				return err
			}
			ln.Close()
		}
	}
	return nil
}

// newWorld is one without machines.
func newWorld(t *testing.T, users int) *world {
	t.Helper()
	s := integration.NewCloud(t, users)
	w := &world{t: t, s: s, dir: s.Dir, net: newNet(t), machines: map[string]int{}}
	w.env = []string{"NO_COLOR=1", "HOME=" + filepath.Join(w.dir, "home"), "SSL_CERT_FILE=" + filepath.Join(w.dir, "cloud-ca.pem"),
		"PATH=" + strings.Join([]string{filepath.Join(w.dir, "bin"), filepath.Dir(integration.Program(t, "sitegate")), os.Getenv("PATH")}, ":")}
	s.Env = append(s.Env, "SSL_CERT_FILE="+filepath.Join(w.dir, "cloud-ca.pem"), "SITEGATE_CLUSTER_TEMPO=wan")
	w.words = []string{
		"10.20.0.0/16", "127.0.0.0/8", "10.20.0.", w.net, "127.0.0.", w.net, "NODE:", w.net + "1:", "gw1.example.com:", w.net + "1:",
		"https://entitlements.example.com", "https://" + integration.CloudHost, "https://sign-in.example.com", integration.Issuer, "site-4711", integration.SiteID,
		"proxy.example.com:8080", s.Proxy.Addr(), "svc-sitegate", "'" + integration.ProxyUser + "'",
		"/srv/backup/", "backup/", "/media/stick", "stick",
	}
	w.put("bin/sudo", "#!/bin/sh\n# The test's user is the only one there is.\nif [ \"$1 $2\" != '-u sitegate' ]; then echo \"sudo $*: who is that?\"; exit 64; fi\nshift 2\nexec env -u SITEGATE_CONFIG \"$@\"\n", 0o755)
	for _, folder := range []string{"home", "backup", "stick"} {
		if err := os.Mkdir(filepath.Join(w.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) put(path, text string, mode os.FileMode) {
	w.t.Helper()
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// machine is where a node called so is, or will be.
func (w *world) machine(name string) *integration.Node {
	i, there := w.machines[name]
	if !there {
		ip := w.net + strings.TrimPrefix(name, "gw")
		i = len(w.s.Nodes)
		w.machines[name] = i
		w.s.Nodes = append(w.s.Nodes, &integration.Node{Name: name, IP: ip, URL: "https://" + ip + ":8443", Door: "http://" + ip + ":3128", Config: filepath.Join(w.dir, "site", name, "sitegate.yaml")})
	}
	return w.s.Nodes[i]
}

// starts starts a machine's node and waits until it answers on its machine.
func (w *world) starts(name string) {
	w.t.Helper()
	n := w.machine(name)
	w.s.Start(w.t, w.machines[name])
	integration.Eventually(w.t, patience, name+" answers", func() error {
		if n.Ended() {
			w.t.Fatalf("%s has ended; it wrote:\n%s", name, n.Output())
		}
		_, err := w.s.Status(n)
		return err
	})
}

// members are the nodes that one of them knows.
func (w *world) members(name string) (all map[string]api.ClusterMember, err error) {
	var l api.List[api.ClusterMember]
	err = w.s.Ask(w.machine(name), api.PathMembers, &l)
	all = map[string]api.ClusterMember{}
	for _, m := range l.Items {
		all[m.Name] = m
	}
	return all, err
}

// vote waits until all of these nodes vote, by the word of the first.
func (w *world) vote(names ...string) {
	w.t.Helper()
	integration.Eventually(w.t, patience, fmt.Sprintf("%v vote", names), func() error {
		all, err := w.members(names[0])
		if err != nil {
			return err
		}
		leads := false
		for _, name := range names {
			m := all[name]
			leads = leads || m.Role == api.RoleLeader
			if m.Role != api.RoleVoter && m.Role != api.RoleLeader {
				return fmt.Errorf("%v", all)
			}
		}
		if !leads {
			return fmt.Errorf("none of them leads: %v", all)
		}
		return nil
	})
}

// leads has a node lead.
func (w *world) leads(name string) {
	w.t.Helper()
	integration.Eventually(w.t, patience, name+" leads", func() error {
		all, err := w.members(name)
		if err != nil {
			return err
		}
		if all[name].Role == api.RoleLeader {
			return nil
		}
		_, stdout, stderr := w.s.Tool(w.t, w.machine(name), "cluster", "step-down")
		return fmt.Errorf("%v; %s%s", all, stdout, stderr)
	})
}

// until waits until the first machine's node says of itself what is wanted.
func (w *world) until(what string, is func(api.Status) bool) {
	w.t.Helper()
	integration.Eventually(w.t, patience, what, func() error {
		st, err := w.s.Status(w.machine("gw1"))
		if err == nil && !is(st) {
			err = fmt.Errorf("%+v, %+v", st.Link, st.Mirror)
		}
		return err
	})
}

// guide runs what a guide shows, in its order.
func (w *world) guide(name string) {
	w.t.Helper()
	blocks, _ := blocksOf(w.t, name)
	used := map[string]bool{}
	for _, b := range blocks {
		for _, c := range b.commands() {
			for begin, happens := range w.before {
				if strings.HasPrefix(c.machine+"$ "+c.line, begin) && !used[begin] {
					used[begin] = true
					happens()
				}
			}
			w.run(c)
		}
	}
	if len(used) != len(w.before) {
		w.t.Errorf("%s has not all of the commands that something is to happen before: %q", name, slices.Sorted(maps.Keys(w.before)))
	}
	w.before, w.told = nil, append(w.told, name)
}

// run gives a command. If it does not go as is shown, what comes next could not either.
func (w *world) run(c command) {
	w.t.Helper()
	began := time.Now()
	if strings.HasPrefix(c.line, "systemctl ") {
		w.service(c)
		w.t.Logf("%s: %s$ %s: %v", c.at, c.machine, c.line, time.Since(began).Round(time.Millisecond))
		return
	}
	its := filepath.Join(w.dir, "site", c.machine) + "/"
	line, dir := strings.NewReplacer(append([]string{"/etc/sitegate/", its, "/var/lib/sitegate/", its}, w.words...)...).Replace(c.line), w.dir
	if strings.Contains(line, "go build ") { // which is done where the source is
		line, dir = strings.ReplaceAll(line, "-o ", "-o "+w.dir+"/"), root
	}
	integration.Eventually(w.t, patience, c.line, func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), building)
		defer cancel()
		cmd := shell(ctx, line)
		cmd.Dir = dir
		cmd.Env = os.Environ()
		if dir != root {
			cmd.Env = append(append(cmd.Env, w.env...), "SITEGATE_CONFIG="+its+"sitegate.yaml")
		}
		out, err := cmd.CombinedOutput()
		switch {
		case err == nil && c.fails == "", err != nil && c.fails != "" && c.shownBy(string(out)):
			w.wrote = string(out)
			return nil
		case bytes.Contains(out, []byte("Run the command on the node that leads")):
			if !c.forLeader { // on a busy machine the lead moves, and at a site it may be anywhere
				w.t.Errorf("%s: %s$ %s is taken by the node that leads, of which that section says nothing", c.at, c.machine, c.line)
			}
			w.leads(c.machine)
		case !bytes.Contains(out, []byte("(no-quorum, request")):
			w.t.Fatalf("%s: %s$ %s: %v, where the guide shows %q; it says\n%s", c.at, c.machine, line, err, c.fails, out)
		}
		return fmt.Errorf("%w: %s", err, out)
	})
	w.t.Logf("%s: %s$ %s: %v", c.at, c.machine, line, time.Since(began).Round(time.Millisecond))
}

// line is the first line of what the last command has written that a pattern finds.
func (w *world) line(pattern string) string {
	w.t.Helper()
	found := regexp.MustCompile("(?m)" + pattern).FindString(w.wrote)
	if found == "" {
		w.t.Fatalf("%s is not in %q", pattern, w.wrote)
	}
	return found
}

// shell is bash with a command. It ends together with what the command has begun.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-e", "-u", "-o", "pipefail", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// What a command has begun ends with it where it takes too long.
func TestACommandEndsWithItsChildren(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := shell(ctx, "sleep 1000 & echo begun; wait")
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if err := in.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	began := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(in, began); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("it has ended by itself")
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) != 0 { // the child has that file open, too
		t.Errorf("its child goes on: %q, %v", rest, err)
	}
}

// service does what systemd would with a machine's node.
func (w *world) service(c command) {
	w.t.Helper()
	switch c.line {
	case "systemctl start sitegate", "systemctl enable --now sitegate":
		w.starts(c.machine)
	case "systemctl stop sitegate":
		w.machine(c.machine).Stop(w.t)
	case "systemctl reload sitegate":
		w.machine(c.machine).Hangup(w.t)
	default:
		w.t.Fatalf("%s: what would systemctl do for %q?", c.at, c.line)
	}
}

// signedIn has somebody signed in on a desktop.
func (w *world) signedIn() {
	w.t.Helper()
	u := w.s.Cloud.Users()[0]
	w.put("user.password", emulator.Password(u.ID), 0o600)
	w.env = append(w.env, "SITEGATE_GATEWAY="+w.machine("gw1").URL, "SITEGATE_CA="+filepath.Join(w.dir, "site", "ca", "site-ca.pem"), "SITEGATE_TOKEN_FILE="+filepath.Join(w.dir, "token.json"))
	w.run(command{at: "signing in", machine: "gw1", line: fmt.Sprintf("seat login --issuer %s --issuer-ca cloud-ca.pem --proxy %s --email %s --password-file user.password --keyring off", integration.Issuer, w.machine("gw1").Door, u.Email)})
}
