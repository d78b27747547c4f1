package integration

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/upstream/cloudapi"
)

// usageLength is how long usage is made and delivered while everything goes wrong.
var usageLength = flag.Duration("usage", 8*time.Second, "how long usage is delivered under faults")

// usageUsers work as fast as they can, until there are enoughUses.
const (
	usageUsers = 24
	enoughUses = 100
)

// TestUsageArrivesOnceWhateverHappens: under load the leader is killed again and again,
// the link is cut in the middle of deliveries, answers are lost and come twice, and in
// the end the cloud has every record exactly once, and an audit finds no gap.
func TestUsageArrivesOnceWhateverHappens(t *testing.T) {
	s := NewSite(t, 3, 10, historyEnv...)
	var users []string
	for i := range usageUsers {
		users = append(users, fmt.Sprintf("w-%d", i))
	}
	s.historyRecords(t, users)
	patient := deadline(t, *usageLength+3*time.Minute)
	ctx, cancel := context.WithCancel(patient)
	defer cancel()
	var work sync.WaitGroup
	var mu sync.Mutex
	ended := map[string]bool{} // sessions whose end was acknowledged; mu guards it
	for i, user := range users {
		d := &crewDesktop{s: s, node: i % len(s.Nodes), id: fmt.Sprintf("WS-%d", i), token: s.Token(t, user), http: s.HTTP()}
		d.http.Transport.(*http.Transport).DisableKeepAlives = false
		work.Go(func() {
			for ctx.Err() == nil {
				id := uuid.Must(uuid.NewV7()).String()
				// What is begun is ended, also after the time is over.
				d.until(patient, http.MethodPost, api.PathSessions, map[string]any{"id": id, "product": emulator.ProductCapped, "machine": api.Machine{ID: d.id, Name: d.id}})
				d.until(patient, http.MethodDelete, api.PathSessions+"/"+id+"?machine="+d.id, nil)
				mu.Lock()
				ended[id] = true
				mu.Unlock()
			}
			d.http.CloseIdleConnections()
		})
	}
	begun := time.Now()
	s.disturbUsage(t, patient, func() bool { // however slow the machine is
		mu.Lock()
		defer mu.Unlock()
		return time.Since(begun) >= *usageLength && len(ended) >= enoughUses
	})
	cancel()
	s.Cloud.ClearFaults()
	s.Proxy.SetLink(proxy.Up)
	work.Wait()
	s.settled(t)

	var st api.Status
	Eventually(t, 2*time.Minute, "all usage is with the cloud", func() (err error) {
		if st, err = s.Status(s.Nodes[s.Leader(t)]); err == nil && st.Usage.Waiting > 0 {
			err = fmt.Errorf("%d records wait", st.Usage.Waiting)
		}
		return err
	})
	got := map[string]int{}
	bySession := map[string]int{}
	for _, r := range s.Cloud.Usage() {
		got[r.ID]++
		bySession[r.SessionID]++
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("the cloud has record %s %d times", id, n)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for id := range ended {
		if n := bySession[id]; n != 1 {
			t.Errorf("the cloud has %d records of session %s, want 1", n, id)
		}
	}
	if len(ended) < enoughUses {
		t.Errorf("only %d uses were made, which shows little; want %d", len(ended), enoughUses)
	}
	t.Logf("%d sessions ended, the cloud has %d records; %d came again and were known", len(ended), len(got), s.Cloud.UsageDuplicates())

	for _, n := range s.Nodes {
		s.auditUsage(t, n, uint64(len(got)))
	}
}

// disturbUsage kills the leader, cuts the link, loses answers and gives old ones,
// each of them once at least, until enough is true.
func (s *Site) disturbUsage(t *testing.T, ctx context.Context, enough func() bool) {
	dice := rand.New(rand.NewPCG(nemesisSeed(), 5))
	counts := map[string]int{}
	acts := []struct {
		name string
		do   func()
	}{
		{"answers are lost", func() {
			s.Cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Lose: true, Times: 1 + dice.IntN(3)})
		}},
		{"answers come twice", func() {
			s.Cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Again: true, Times: 2 + dice.IntN(3)})
		}},
		{"postings are cut", func() {
			s.Cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Cut: true, Times: 1 + dice.IntN(2)})
		}},
		{"the cloud is slow and the link is cut under it", func() {
			s.Cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Delay: 150 * time.Millisecond})
			nap(ctx, 300*time.Millisecond)
			s.Proxy.SetLink(proxy.Down)
			nap(ctx, 200*time.Millisecond)
			s.Proxy.SetLink(proxy.Up)
			s.Cloud.ClearFaults()
		}},
	}
	for turn := 0; ctx.Err() == nil && (turn < 6 || !enough()); turn++ {
		if turn%6 == 3 {
			leader := s.Leader(t)
			s.Nodes[leader].Kill()
			nap(ctx, 400*time.Millisecond)
			s.Start(t, leader)
			counts["the leader is killed"]++
			continue
		}
		act := acts[turn%len(acts)]
		act.do()
		counts[act.name]++
		nap(ctx, time.Duration(200+dice.IntN(300))*time.Millisecond)
	}
	t.Logf("disturbed: %v", counts)
}

// TestUsageGoesTheVendorsOwnWays: real nodes post it, or put it as a file where the
// vendor says, through the proxy; an audit says that this is at least once.
func TestUsageGoesTheVendorsOwnWays(t *testing.T) {
	t.Parallel()
	for way, rows := range map[string]func(*Site) int{
		"realtime": func(s *Site) int {
			sessions := map[string]bool{}
			for _, p := range s.Cloud.Postings() {
				sessions[p.CorrelationID] = true
			}
			return len(sessions)
		},
		"csv": func(s *Site) int { return len(s.Cloud.UsageRows()) },
	} {
		t.Run(way, func(t *testing.T) {
			s := NewSite(t, 1, 10, "SITEGATE_USAGE_WAY="+way, "SITEGATE_USAGE_POSTING_URL=https://"+CloudHost+cloudapi.PathPosting,
				"SITEGATE_USAGE_LOCATION_URL=https://"+CloudHost+cloudapi.PathLocation, "SITEGATE_USAGE_UPLOAD_HOSTS="+CloudHost, "SITEGATE_USAGE_ULTIMATE_ID=1004711",
				"SITEGATE_PRIVACY_NAMES=hashed")
			ctx := deadline(t, time.Minute)
			c := s.Client(t, emulator.UserA, "WS-101", 0)
			for range 3 {
				session, err := c.Start(ctx, emulator.ProductCapped)
				if err != nil {
					t.Fatal(err)
				}
				if err := session.Stop(ctx); err != nil {
					t.Fatal(err)
				}
			}
			Eventually(t, 30*time.Second, "three uses are with the vendor", func() error {
				st, err := s.Status(s.Nodes[0])
				if n := rows(s); err == nil && (n != 3 || st.Usage.Waiting != 0 || st.Usage.Most == 0) {
					err = fmt.Errorf("the vendor has %d, and the status is %+v", n, st.Usage)
				}
				return err
			})
			if n := len(s.Cloud.Usage()); n != 0 {
				t.Errorf("%d records went by the site API", n)
			}
			out, err := exec.Command(Program(t, "sitegate"), "usage", "audit", "--config", s.Nodes[0].Config).CombinedOutput()
			if err != nil || !strings.Contains(string(out), way+": 3 records, AT LEAST ONCE ONLY") || !strings.Contains(string(out), "No gap") {
				t.Errorf("the audit says, %v\n%s", err, out)
			}
			dir := t.TempDir()
			out, err = exec.Command(Program(t, "sitegate"), "usage", "export", dir, "--by", "ida", "--config", s.Nodes[0].Config).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "0 files written") || !strings.Contains(string(out), "No gap.") {
				t.Errorf("the export says, %v\n%s", err, out)
			}
			log := s.Nodes[0].Output()
			if strings.Contains(log, "user="+emulator.UserA) || strings.Contains(log, "WS-101") || !strings.Contains(log, "user=u-") {
				t.Errorf("the log has names in it, or no hashes:\n%s", log)
			}
		})
	}
}

// auditUsage runs the operator's audit on a node.
func (s *Site) auditUsage(t *testing.T, n *Node, records uint64) {
	t.Helper()
	var a api.UsageAudit
	out, err := exec.Command(Program(t, "sitegate"), "usage", "audit", "--json", "--config", n.Config).CombinedOutput()
	if err != nil {
		t.Errorf("%s: the audit fails: %v\n%s", n.Name, err, out)
		return
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%s: %v\n%s", n.Name, err, out)
	}
	site := slices.IndexFunc(a.Ways, func(w api.UsageWay) bool { return w.Way == "site" && w.Once && w.Records == records })
	if a.Ended != records || a.Acknowledged != records || a.Waiting != 0 || len(a.Findings) != 0 || site < 0 {
		t.Errorf("%s: the audit says %+v, want %d records, all acknowledged", n.Name, a, records)
	}
}
