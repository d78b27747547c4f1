// Package twosides_test asks the site's rules and the cloud's the same questions.
//
// The two were written apart: package license decides for the gateway, package emulator for the vendor's cloud, and neither may import the
// other. Here random but seeded days of two sites of one account are put to both, over HTTP and through package upstream, with one clock for
// all. Whatever one side grants and the other would refuse is a contradiction, and a failure, unless the site has a reason of its own to be
// narrower.
package twosides_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

var (
	seeds = flag.Uint64("seeds", 12, "how many random runs")
	first = flag.Uint64("first", 0, "the first run's seed")
	tail  = flag.Int("tail", 40, "how much of what led to a failure is shown")
	steps = flag.Int("steps", 700, "of each run")
)

func TestTheTwoSidesNeverContradictEachOther(t *testing.T) {
	seen := map[string]int{}
	for seed := *first; seed < *first+*seeds; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range *steps {
				w.step()
				w.check()
			}
			w.tally(seen)
		})
	}
	t.Cleanup(func() {
		for _, must := range mustHappen {
			if seen[must] == 0 && !t.Failed() && *seeds*uint64(*steps) >= 5000 {
				t.Errorf("in all these days there was no %s: they show less than they should", must)
			}
		}
		t.Logf("what happened: %v", seen)
	})
}

const day = 24 * time.Hour

// world is one account: its cloud, its two sites, and the people who work there.
type world struct {
	t     *testing.T
	dice  *rand.Rand
	now   time.Time
	cloud *emulator.Emulator
	sites []*site
	ids   int
	users int // ever made
	lics  int
	lost  []string // references of checkouts that were written off
	trace []string
	count map[string]int
}

var machines = []license.Machine{{ID: "m-1", Name: "WS-1"}, {ID: "m-2", Name: "LT-7.corp.example"}, {ID: "m-3", Name: "10.0.0.5"},
	{Name: `CORP\ws-1`}, {Name: "10.0.0.6"}}

var versions = []string{"10.1.0.5", "10.1.0.5", "10.01.00.05", "10.2.0.0", ""}

var countries = []string{"DE", "DE", "FR", "NO", ""}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, dice: rand.New(rand.NewPCG(seed, 602)), now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), count: map[string]int{}}
	w.cloud = &emulator.Emulator{Sites: map[string]string{"north": "made up", "south": "made up"}, TokenTTL: 20_000 * day, Now: func() time.Time { return w.now }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := emulator.Serve(ln, w.cloud, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	autonomy := cloudapi.Millis(0)
	if seed%2 == 1 {
		autonomy = cloudapi.MillisOf(72 * time.Hour)
	}
	account := cloudapi.Account{ID: "a-1", Name: "Weir & Sons", Autonomy: cloudapi.Autonomy{CappedMS: autonomy, UncappedMS: autonomy},
		CheckoutMaxMS: cloudapi.MillisOf(40 * day)}
	account.CountryPolicies = []cloudapi.CountryPolicy{{Country: "FR", CheckoutMaxMS: cloudapi.MillisOf(7 * day)}, {Country: "NO", NoCheckouts: true}}
	w.cloud.SetAccount(account)
	for _, p := range []cloudapi.Product{
		{ID: "cap", Name: "Gable", Capped: cloudapi.CappedYes}, {ID: "cap2", Name: "Culvert", Capped: cloudapi.CappedYes},
		{ID: "levels", Name: "Mullion", Capped: cloudapi.CappedYes, NeedsFeature: true},
		{ID: "open", Name: "Plinth", Capped: cloudapi.CappedNo}, {ID: "unsaid", Name: "Trestle", Capped: cloudapi.CappedUnknown},
		{ID: "v8i", Name: "Plinth V8i", Capped: cloudapi.CappedNo, V8i: true}} {
		w.cloud.PutProduct(p)
	}
	for range 4 {
		w.newUser()
	}
	dir := t.TempDir()
	ca, secret := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "secret")
	for name, content := range map[string][]byte{ca: srv.CAPEM, secret: []byte("made up")} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := egress.New(egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: ca, Hosts: []string{"127.0.0.1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"north", "south"} {
		c, err := upstream.New(upstream.Config{API: "https://" + srv.Addr(), Issuer: "https://" + srv.Addr(), SiteID: name, SecretFile: secret, Dialer: d, Rate: 1e6})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		s := &site{w: w, name: name, cloud: c, rules: license.NewState(), link: true}
		w.sites = append(w.sites, s)
		s.apply(license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
		s.sync()
	}
	return w
}

// say notes what happens, for who reads a failure.
func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("01-02 15:04:05 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	var books strings.Builder
	for _, s := range append([]*site{{name: ""}}, w.sites...) {
		for _, h := range w.cloud.Holds(s.name) {
			fmt.Fprintf(&books, "\n  the cloud, for %q: %s %s of %s %s on %s (%s) since %v until %v", s.name, h.Kind, h.Ref, h.UserID, h.LicenseID, h.MachineName, h.MachineID, h.Since, h.Until)
		}
	}
	for _, s := range w.sites {
		for _, x := range s.sessions() {
			fmt.Fprintf(&books, "\n  %s: session %s of %s %s on %s (%s) since %v holds %v notice %v", s.name, x.ID, x.User, x.License, x.Machine.Name, x.Machine.ID, x.Since, x.Holds, x.Notice)
		}
		for _, x := range s.checkouts() {
			fmt.Fprintf(&books, "\n  %s: checkout %s of %s %s on %s (%s) since %v until %v", s.name, x.ID, x.User, x.License, x.Machine.Name, x.Machine.ID, x.Since, x.Until)
		}
	}
	w.t.Fatalf("%s\nwhat led to it:\n  %s\nthe books:%s", fmt.Sprintf(format, args...), strings.Join(w.trace[max(0, len(w.trace)-*tail):], "\n  "), books.String())
}

func (w *world) did(what string) { w.count[what]++ }

func oneOf[T any](w *world, choices []T) T { return choices[w.dice.IntN(len(choices))] }

func (w *world) user() cloudapi.User       { return oneOf(w, w.cloud.Users()) }
func (w *world) license() cloudapi.License { return oneOf(w, w.cloud.Licenses()) }
func (w *world) product() license.ProductID {
	return license.ProductID(oneOf(w, []string{"cap", "cap", "cap", "cap2", "cap2", "levels", "open", "unsaid", "v8i"}))
}

func (w *world) id() license.ID {
	w.ids++
	return license.ID{1, 0xbb, byte(w.ids >> 16), byte(w.ids >> 8), byte(w.ids)}
}

// newUser hires someone, with licenses of most products.
func (w *world) newUser() {
	w.users++
	u := cloudapi.User{ID: fmt.Sprintf("u-%d", w.users), Country: "DE"}
	u.Name, u.Email = "User "+u.ID, u.ID+"@weir.example"
	w.cloud.PutUser(u)
	for _, p := range []string{"cap", "cap2", "levels", "open", "unsaid"} {
		if w.dice.IntN(4) > 0 {
			w.buy(p, cloudapi.LicenseVirtuoso, u.ID)
		}
	}
	if w.dice.IntN(3) == 0 {
		w.buy(oneOf(w, []string{"cap", "v8i"}), cloudapi.LicenseCommercial, u.ID)
	}
}

// buy gets a license of a year, some of which is over.
func (w *world) buy(product, kind, user string) {
	w.lics++
	from := w.now.Add(-time.Duration(w.dice.IntN(300)) * day)
	l := cloudapi.License{ID: fmt.Sprintf("l-%d", w.lics), ProductID: product, Kind: kind, StartsAt: from, EndsAt: from.Add(365 * day), AssignedTo: user}
	if user != "" {
		l.AssignedAt = &from
	}
	if w.dice.IntN(5) == 0 {
		l.Countries = []string{"DE", "NO"}
	}
	w.cloud.PutLicense(l)
}

func (w *world) tally(into map[string]int) {
	tallied.Lock()
	defer tallied.Unlock()
	for what, n := range w.count {
		into[what] += n
	}
}
