package attack

import (
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/upstream/cloudapi"
)

// patience is how long anything may take on a busy machine.
const patience = 40 * time.Second

// suite owns what all tests share. It is a testing.TB as far as starting a site needs
// one; its end is that of TestMain.
type suite struct {
	testing.TB // nil: what is not below is not called

	mu     sync.Mutex
	undo   []func()
	failed bool
}

// broken is what a suite's Fatal panics with.
type broken string

func (s *suite) Helper()                      {}
func (s *suite) Fatal(args ...any)            { panic(broken(fmt.Sprint(args...))) }
func (s *suite) Fatalf(f string, args ...any) { panic(broken(fmt.Sprintf(f, args...))) }
func (s *suite) Logf(f string, args ...any)   { fmt.Fprintf(os.Stderr, f+"\n", args...) }
func (s *suite) Errorf(f string, args ...any) { s.Logf(f, args...); s.fail() }
func (s *suite) Failed() bool                 { s.mu.Lock(); defer s.mu.Unlock(); return s.failed }
func (s *suite) fail()                        { s.mu.Lock(); defer s.mu.Unlock(); s.failed = true }
func (s *suite) Cleanup(f func())             { s.mu.Lock(); defer s.mu.Unlock(); s.undo = append(s.undo, f) }

func (s *suite) TempDir() string {
	dir, err := os.MkdirTemp("", "sitegate-attack-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// shared is a site that is started when it is first asked for.
type shared struct {
	nodes int
	once  sync.Once
	site  *integration.Site
	err   broken
}

var (
	all   = &suite{}
	one   = &shared{nodes: 1}
	three = &shared{nodes: 3}
)

// users is how many a shared site has.
const users = 400

func (x *shared) take(t *testing.T) *integration.Site {
	t.Helper()
	x.once.Do(func() {
		defer func() {
			if p := recover(); p != nil {
				var is bool
				if x.err, is = p.(broken); !is {
					panic(p)
				}
			}
		}()
		x.site = integration.NewSiteWithoutLinks(all, x.nodes, users, relayed()...)
	})
	if x.err != "" {
		t.Fatalf("the site that the tests share did not start: %s", x.err)
	}
	return x.site
}

// relayed has nodes relay the vendor's own client to the site's cloud.
func relayed() []string {
	const cloud = "https://" + integration.CloudHost
	return []string{"SITEGATE_RELAY_URL=https://licenses.site.example", "SITEGATE_RELAY_DISCOVERY_URL=" + cloud + cloudapi.PathDiscovery,
		"SITEGATE_RELAY_POLICY_URL=" + cloud + cloudapi.DefaultPolicyPath, "SITEGATE_RELAY_POSTING_URL=" + cloud + cloudapi.PathPosting,
		"SITEGATE_RELAY_LOCATION_URL=" + cloud + cloudapi.PathLocation,
		"SITEGATE_RELAY_ACCESS_KEY_URL=" + cloud + "/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi"}
}

// single is the site of one node that tests share.
func single(t *testing.T) *integration.Site { t.Helper(); return one.take(t) }

// cluster is the site of three nodes that tests share.
func cluster(t *testing.T) *integration.Site { t.Helper(); return three.take(t) }

// taken counts the users that were given out, by site (*atomic.Int64).
var taken sync.Map

// user is one of a site's users that no other test has, with a license of the capped
// product.
func user(t *testing.T, s *integration.Site) string {
	t.Helper()
	licensed := map[string]bool{}
	for _, l := range s.Cloud.Licenses() {
		if l.ProductID == emulator.ProductCapped && l.EndsAt.After(time.Now()) {
			licensed[l.AssignedTo] = true
		}
	}
	of, _ := taken.LoadOrStore(s, new(atomic.Int64))
	n := int(of.(*atomic.Int64).Add(1))
	for _, u := range s.Cloud.Users() {
		if u.Blocked || u.Country == "" || len(u.Roles) > 0 || u.ID == emulator.UserA || u.ID == emulator.UserB || !licensed[u.ID] {
			continue
		}
		if n--; n == 0 {
			return u.ID
		}
	}
	t.Fatalf("there are no more users: raise users from %d", users)
	return ""
}

// address is this test's own, in a network of its own (/24).
func address(t *testing.T) net.IP { return addressOf(t.Name()) }

func addressOf(name string) net.IP {
	h := fnv.New32a()
	h.Write([]byte(name))
	n := h.Sum32()
	return net.IPv4(127, byte(16+n>>24%200), byte(n>>16), byte(1+n>>8%250))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if code != 0 {
		all.fail()
	}
	for _, x := range []*shared{one, three} {
		if x.site != nil && !unharmed(x.site) {
			code = 1
		}
	}
	for i := len(all.undo) - 1; i >= 0; i-- {
		all.undo[i]()
	}
	integration.RemovePrograms()
	os.Exit(code)
}

// unharmed reports whether the nodes of a site still run, and none has panicked or raced.
func unharmed(s *integration.Site) bool {
	fine := true
	for _, n := range s.Nodes {
		out := n.Output()
		if n.Ended() {
			all.Errorf("%s has ended", n.Name)
			fine = false
		}
		for _, sign := range []string{"request panicked", "DATA RACE", "goroutine 1 ["} {
			if strings.Contains(out, sign) {
				all.Errorf("%s wrote %q", n.Name, sign)
				fine = false
			}
		}
	}
	return fine
}
