package desktop_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/integration"
	"sitegate/integration/desktop"
	"sitegate/upstream/cloudapi"
)

// says checks what a product's user is told.
func says(t *testing.T, a *desktop.Application, want string) {
	t.Helper()
	if got := a.Message(); !strings.Contains(got, want) {
		t.Errorf("the user is told %q, want %q", got, want)
	}
}

// shows waits until the operator's status has a text in it.
func (s *site) shows(node int, text string) {
	s.t.Helper()
	integration.Eventually(s.t, 60*time.Second, "the status shows "+text, func() error {
		if _, stdout, stderr := s.Tool(s.t, s.Nodes[node], "status"); !strings.Contains(stdout, text) {
			return errText("it says\n" + stdout + stderr)
		}
		return nil
	})
}

type errText string

func (e errText) Error() string { return string(e) }

// Two machines of a user, each at another node: what the vendor allows the second, the
// site withholds, until the first has ended (R5, R8). What the vendor refuses itself is
// shown in its own words, by clients that are new enough (R7). The node they work
// through is killed: they notice nothing.
func TestTwoMachinesOfOneUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true}) // the vendor has not heard yet of the first machine
	ws101, ws202 := s.desk(emulator.UserA, "WS-101"), s.desk(emulator.UserA, "WS-202", s.saml(emulator.UserA))
	first := ws101.start(emulator.ProductCapped, desktop.Ok)
	says(t, first, "License Type: Practitioner")
	if got := ws101.Find(t.Context(), desktop.PolicyService); !strings.HasPrefix(got, "https://"+siteName+"/") {
		t.Errorf("discovery sends desktops to %s, want the cluster's one name", got)
	}
	listening := s.Client(t, emulator.UserA, "WS-101", 2).Watch(t.Context())
	<-listening.Ready()
	s.first.Store(1)
	ws202.start(emulator.ProductCapped, desktop.NotEntitled)
	told(t, listening, api.KindAttempted, "WS-202")
	ws202.start(emulator.ProductUncapped, desktop.Ok)
	s.logged("machine-active", "WS-202", "other=WS-101", "cannot_hold=false", "level=WARN")
	s.shows(2, "1 session, 0 of them provisional")
	ws101.stop(first)
	second := ws202.start(emulator.ProductCapped, desktop.Ok)

	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{}) // it has heard by now
	says(t, s.desk(emulator.UserA, "WS-303").start(emulator.ProductCapped, desktop.AccessDenied), `close the application on "WS-202"`)
	says(t, s.desk(emulator.UserA, "WS-304", version("23.0.1.24")).start(emulator.ProductCapped, desktop.AccessDenied), "Access Denied")

	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
	killed := s.Leader(t)
	s.first.Store(int32(killed))
	ws404 := s.desk(emulator.UserB, "WS-404")
	third := ws404.start(emulator.ProductCapped, desktop.Ok)
	s.Nodes[killed].Kill()
	s.Leader(t)
	ws202.pass(second, 5)
	ws202.refresh(second, desktop.Ok)
	s.desk(emulator.UserB, "WS-405").start(emulator.ProductCapped, desktop.NotEntitled)
	ws202.stop(second)
	ws404.stop(third)
	ws101.start(emulator.ProductCapped, desktop.Ok)
	s.desk(emulator.UserB, "WS-405").start(emulator.ProductCapped, desktop.Ok)
}

// told waits until a desktop is told of something that another machine did.
func told(t *testing.T, by *client.Watcher, kind, machine string) {
	t.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case n := <-by.Notices():
			if n.Kind == kind && n.Machine == machine {
				return
			}
		case <-late:
			t.Fatalf("nobody told of %s by %s within a minute", kind, machine)
		}
	}
}

// The link is cut, with all that this means for a client that takes every error for
// "offline".
func TestTheLinkToTheVendorIsCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	account, _ := s.Cloud.Account()
	account.Autonomy.CappedMS = 0 // the vendor lets the site decide nothing on capped products (R6)
	s.Cloud.SetAccount(account)
	s.shows(0, "capped products never")

	ws101, ws202, ws303 := s.desk(emulator.UserA, "WS-101"), s.desk(emulator.UserA, "WS-202"), s.desk(emulator.UserB, "WS-303")
	plain := ws101.start(emulator.ProductUncapped, desktop.Ok)
	capped := ws202.start(emulator.ProductCapped, desktop.Ok)
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{NoOffline: true})
	strict := ws303.start(emulator.ProductUncapped, desktop.Ok)
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{})
	s.link(proxy.Down, "down")

	ws101.refresh(plain, desktop.Ok) // by the vendor's last policy
	s.logged("GetPolicy", "WS-101", "kept=")
	ws101.reboot()
	ws101.start(emulator.ProductUncapped, desktop.Ok)
	ws202.refresh(capped, desktop.DisabledByPolicy)
	says(t, capped, "You must Sign In")
	ws303.refresh(strict, desktop.DisabledByPolicy)
	s.logged("GetPolicy", "WS-202", "cloud-needed")
	s.desk(emulator.UserA, "WS-909").start(emulator.ProductUncapped, desktop.NotEntitled) // nobody has a policy for it

	ws101.stop(plain)                // the site takes over what it posts
	ws101.ahead = 8 * 24 * time.Hour // the policy's dates are over, by the machine's clock
	ws101.start(emulator.ProductUncapped, desktop.Expired)

	s.link(proxy.Up, "up")
	ws101.ahead = 0
	ws101.start(emulator.ProductUncapped, desktop.Ok)
	ws202.start(emulator.ProductCapped, desktop.Ok)
	integration.Eventually(t, 90*time.Second, "what was taken over is with the vendor", func() error {
		for _, b := range s.Cloud.PostedBodies() {
			if strings.Contains(b, plain.Correlation()) && strings.Contains(b, "eDateZ") {
				return nil
			}
		}
		return errText("it is not")
	})
}

// The link is silent: nothing is refused, and nothing answered. What is kept is served after a
// moment, a capped product as far as the account's terms say, on one machine.
func TestTheLinkToTheVendorIsSilent(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	account, _ := s.Cloud.Account()
	account.Autonomy.CappedMS = cloudapi.Millis((72 * time.Hour).Milliseconds())
	s.Cloud.SetAccount(account)
	s.shows(0, "capped products")
	ws101, ws202 := s.desk(emulator.UserA, "WS-101"), s.desk(emulator.UserA, "WS-202")
	plain := ws101.start(emulator.ProductUncapped, desktop.Ok)
	ws202.stop(ws202.start(emulator.ProductCapped, desktop.Ok))
	ws101.stop(ws101.start(emulator.ProductCapped, desktop.Ok))
	s.link(proxy.BlackHole, "down")

	integration.Eventually(t, 90*time.Second, "what is kept is served long before the vendor's time is over", func() error {
		asked := time.Now()
		if plain.Refresh(t.Context()); time.Since(asked) > 15*time.Second {
			return errText("it took " + time.Since(asked).String())
		}
		return ws101.sees(plain, desktop.Ok)
	})
	s.logged("GetPolicy", "WS-101", "kept=")
	ws101.start(emulator.ProductCapped, desktop.Ok)
	ws202.start(emulator.ProductCapped, desktop.DisabledByPolicy)
	s.logged("machine-active", "WS-202", "other=WS-101")
}

// A policy that is withheld holds a client only as far as its last one does: where that
// allows offline use, it works on, and IT is told so.
func TestWithheldPoliciesHoldAsFarAsTheVendorsDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	for _, c := range []struct {
		user  string
		terms emulator.PolicyTerms
		sees  desktop.Status
		log   string
	}{
		{emulator.UserA, emulator.PolicyTerms{Blind: true}, desktop.DisabledByPolicy, "cannot_hold=false"},
		{emulator.UserB, emulator.PolicyTerms{Blind: true, OfflineCapped: true}, desktop.Offline, "cannot_hold=true"},
	} {
		s.Cloud.SetPolicyTerms(c.terms)
		desk, laptop := s.desk(c.user, "DESK"), s.desk(c.user, "LAPTOP")
		laptop.stop(laptop.start(emulator.ProductCapped, desktop.Ok))
		desk.start(emulator.ProductCapped, desktop.Ok)
		laptop.start(emulator.ProductCapped, c.sees)
		s.logged("machine-active", c.user, "machine=LAPTOP", "other=DESK", c.log)
	}
}

// What is checked out needs nobody; a product of the generation before goes on beside it
// (R14, R17). Who is hostile gets nothing by it.
func TestCheckoutsOtherGenerationsAndHostileClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	file, err := s.Cloud.CheckoutFile(emulator.UserA, "FIELD-1", time.Now().AddDate(0, 0, 5), emulator.ProductCapped2)
	if err != nil {
		t.Fatal(err)
	}
	field, other := s.desk(emulator.UserA, "FIELD-1"), s.desk(emulator.UserA, "FIELD-2")
	check(t, "imported where it does not belong", other.ImportCheckout(file), desktop.WrongMachine)
	check(t, "imported", field.ImportCheckout(file), desktop.Imported)
	before := s.Cloud.Policies()
	away := field.start(emulator.ProductCapped2, desktop.Ok)
	check(t, "policies asked for under a checkout", s.Cloud.Policies(), before)
	field.stop(away) // it is back, and its use is taken
	says(t, other.start(emulator.ProductCapped2, desktop.AccessDenied), `close the application on "FIELD-1"`)

	// The gateway takes the same file in, and keeps the license for its machine where the vendor
	// does not look.
	carried := filepath.Join(t.TempDir(), "FIELD-1.belic")
	if err := os.WriteFile(carried, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s.sitegate(0, "checkouts", "import", carried, "--machine", "FIELD-1", "--note", "ship, until May")
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
	other.reboot()
	s.desk(emulator.UserA, "FIELD-3").start(emulator.ProductCapped2, desktop.NotEntitled)
	s.logged("machine-active", "FIELD-3", "other=FIELD-1")
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{})

	s.Cloud.PutLicense(cloudapi.License{ID: "l-v8i", ProductID: emulator.ProductV8i, Kind: cloudapi.LicenseCommercial, StartsAt: time.Now().AddDate(0, -1, 0),
		EndsAt: time.Now().AddDate(0, 1, 0), AssignedTo: emulator.UserA})
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
	ws101 := s.desk(emulator.UserA, "WS-101")
	session := ws101.start(emulator.ProductCapped, desktop.Ok)
	says(t, s.desk(emulator.UserA, "WS-202", version("10.00.17.9")).start(emulator.ProductV8i, desktop.Ok), "License Type: Production")

	// Another's word that the session has ended is passed on, and nothing here.
	end, err := json.Marshal([]map[string]any{{"ultID": account(s), "imsID": emulator.UserA, "hID": "WS-101", "prdid": emulator.ProductCapped, "ver": 1, "corID": session.Correlation(),
		"evTimeZ": "2026-05-04T08:00:00Z", "lVer": 1, "lSrc": "RealTime", "ftrID": emulator.ProductCapped, "sDateZ": "2026-05-04T07:00:00Z", "eDateZ": "2026-05-04T08:00:00Z"}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+siteName+cloudapi.PathPosting+cloudapi.PostingFeatureLog, bytes.NewReader(end))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.Token(t, emulator.UserB))
	resp, err := s.way().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.desk(emulator.UserA, "WS-303").start(emulator.ProductCapped, desktop.NotEntitled)

	token := s.Token(t, emulator.UserA)
	before = s.Cloud.Policies()
	forged := s.desk(emulator.UserA, "WS-101", func(c *desktop.Config) {
		c.Authorization = func() string { return "Bearer " + token[:len(token)-6] + "AAAAAA" }
	})
	forged.start(emulator.ProductCapped, desktop.NotEntitled)
	check(t, "policies signed for a forged token", s.Cloud.Policies(), before)
	s.logged("GetPolicy", "status=401")
}

func account(s *site) string {
	a, _ := s.Cloud.Account()
	return a.ID
}
