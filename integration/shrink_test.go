package integration

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// A cloud that has lost its data answers with an almost empty list: at no node and
// under no leader does that end what runs. What it adds comes in, an administrator is
// told, and accepts it at last with the operator's tool.
func TestAnAlmostEmptyListIsHeldBackUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	const users = 120
	s := NewSite(t, 3, users)
	ctx := deadline(t, 2*time.Minute)
	leader := s.Leader(t)
	other := (leader + 1) % 3
	admin := s.Client(t, emulator.UserAdmin, "WS-IT", other).Watch(ctx)
	<-admin.Ready()
	ws101 := s.Client(t, emulator.UserA, "WS-101", other)
	session, err := ws101.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Status(s.Nodes[other])
	if err != nil {
		t.Fatal(err)
	}

	s.Cloud.LoseData(emulator.UserAdmin)
	held := s.awaitHeld(t, other)
	if held.Losing.Users != users-1 || held.Of.Users != users || held.Losing.Licenses != before.Counts.Licenses || held.Losing.Assignments != before.Counts.Assigned {
		t.Errorf("held: %+v of %+v", held, before.Counts)
	}
	if n := awaitNotice(t, admin, api.KindMirrorHeld); !strings.Contains(n.Text, "sitegate mirror accept") {
		t.Errorf("the administrator reads %q, want to be told what to do", n.Text)
	}

	// The next leader begins by renewing what the site holds, none of which the cloud
	// knows any more.
	s.Nodes[leader].Kill()
	s.Cloud.PutUser(cloudapi.User{ID: "u-new", Country: "FR"})
	Eventually(t, 30*time.Second, "the new user", func() error {
		st, err := s.Status(s.Nodes[other])
		if err == nil && st.Counts.Users != users+1 {
			err = fmt.Errorf("%d users, want %d", st.Counts.Users, users+1)
		}
		return err
	})
	left := session.Left()
	session.Beat()
	Eventually(t, 10*time.Second, "a heartbeat", func() error {
		if now := session.Left(); now <= left {
			return fmt.Errorf("%v left, was %v", now, left)
		}
		return nil
	})
	if e := session.Ending(); e != nil {
		t.Errorf("the session ends: %+v", e)
	}
	st, err := s.Status(s.Nodes[other])
	if err != nil || st.Mirror.Held == nil || st.Counts.Licenses != before.Counts.Licenses || st.Counts.Assigned != before.Counts.Assigned {
		t.Fatalf("after another leader: %v, %+v, held %+v", err, st.Counts, st.Mirror.Held)
	}
	if out := s.tool(t, other, "status"); !strings.Contains(out, "sitegate mirror accept --note") {
		t.Errorf("status says\n%s", out)
	}

	if out := s.tool(t, other, "mirror", "accept", "--by", "ida", "--note", "plant sold"); !strings.Contains(out, "Accepted by ida") {
		t.Errorf("accepting says\n%s", out)
	}
	Eventually(t, 30*time.Second, "what was accepted", func() error {
		st, err := s.Status(s.Nodes[other])
		if err == nil && (st.Mirror.Held != nil || st.Counts.Users != 2 || st.Counts.Licenses != 0 || st.Counts.Products != 0) {
			err = fmt.Errorf("%+v, held %+v", st.Counts, st.Mirror.Held)
		}
		return err
	})
	if n := awaitNotice(t, admin, api.KindMirrorResumed); n.By != "ida" && !strings.HasPrefix(n.By, "ida (") { // and who has asked on the socket
		t.Errorf("the administrator reads %+v, want who accepted it", n)
	}
	Eventually(t, 30*time.Second, "the session is told", func() error {
		if session.Ending() == nil {
			return fmt.Errorf("it goes on")
		}
		return nil
	})
}

// A cloud that finds its data again is followed as if nothing had been.
func TestAListThatIsWholeAgainNeedsNobodysLeave(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 60)
	ctx := deadline(t, time.Minute)
	session, err := s.Client(t, emulator.UserA, "WS-101", 0).Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Status(s.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	s.Cloud.LoseData()
	s.awaitHeld(t, 0)
	s.Cloud.FindData()
	Eventually(t, 30*time.Second, "the mirror follows the cloud", func() error {
		st, err := s.Status(s.Nodes[0])
		if err == nil && (st.Mirror.Held != nil || st.Counts != before.Counts) {
			err = fmt.Errorf("%+v, held %+v; want %+v", st.Counts, st.Mirror.Held, before.Counts)
		}
		return err
	})
	if e := session.Ending(); e != nil {
		t.Errorf("the session ends: %+v", e)
	}
	if err := session.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func (s *Site) awaitHeld(t *testing.T, node int) (held *api.HeldMirror) {
	t.Helper()
	Eventually(t, 30*time.Second, "a mirror that is held back", func() error {
		st, err := s.Status(s.Nodes[node])
		if held = st.Mirror.Held; err == nil && held == nil {
			err = fmt.Errorf("it follows the cloud, with %+v", st.Counts)
		}
		return err
	})
	return held
}

func awaitNotice(t *testing.T, w *client.Watcher, kind string) api.Notice {
	t.Helper()
	for {
		select {
		case n, ok := <-w.Notices():
			if !ok {
				t.Fatalf("no notice of %s: %v", kind, w.Err())
			}
			if n.Kind == kind {
				return n
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no notice of %s within 30 s", kind)
		}
	}
}

// tool runs the operator's tool beside a node and returns what it says.
func (s *Site) tool(t *testing.T, node int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, Program(t, "sitegate"), append(args, "--config", s.Nodes[node].Config)...).CombinedOutput()
	if err != nil {
		t.Fatalf("sitegate %v: %v\n%s", args, err, out)
	}
	return string(out)
}
