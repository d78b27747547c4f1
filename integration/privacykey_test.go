package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
)

// A machine that joins is given the key by which the site makes pseudonyms, so that people go
// by the same ones on all nodes. One that has another key is told so, and its token is still
// good. The key is in nobody's log.
func TestWhoJoinsHasTheSamePseudonyms(t *testing.T) {
	t.Parallel()
	s := newLoneSite(t, 5)
	ctx := deadline(t, 2*time.Minute)
	hide := func(n *Node) {
		t.Helper()
		text, err := os.ReadFile(n.Config)
		if err == nil {
			err = os.WriteFile(n.Config, append(text, "privacy: {names: hashed}\n"...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Nodes[0].Stop(t)
	hide(s.Nodes[0])
	s.Start(t, 0)
	s.AwaitReady(t, s.Nodes[0])
	if _, err := s.Client(t, emulator.UserA, "WS-101", 0).Start(ctx, emulator.ProductCapped); err != nil {
		t.Fatal(err)
	}
	key := func(i int) string { return filepath.Join(s.data(i), "privacy.key") }
	want, err := os.ReadFile(key(0))
	if err != nil {
		t.Fatal(err)
	}
	other := s.machine(t, "node2")
	hide(s.Nodes[other])
	if err := os.MkdirAll(s.data(other), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key(other), []byte("another key, as long as the first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := s.token(t, 0, "--peer-listen", s.Nodes[0].Door)
	if _, err := s.operate(t, other, token, "join", "--token-file", "-", "--peer-listen", s.Nodes[other].Door); err == nil || !strings.Contains(err.Error(), "privacy.key") {
		t.Fatalf("with another key: %v; want a refusal that names the file", err)
	}
	if err := os.Remove(key(other)); err != nil {
		t.Fatal(err)
	}
	s.joins(t, other, token)

	got, err := os.ReadFile(key(other))
	if err != nil || string(got) != string(want) {
		t.Fatalf("the new machine's key is not the first one's (%v)", err)
	}
	if info, err := os.Stat(key(other)); err != nil || info.Mode() != 0o600 {
		t.Errorf("it is kept as %v, %v; want it to be for its owner alone", info.Mode(), err)
	}
	pseudonym := regexp.MustCompile(`\b[um]-[a-z2-7]{16}\b`)
	var shown [2][]string
	for i, n := range s.Nodes {
		status, out, problems := s.Tool(t, n, "sessions", "--json")
		if status != 0 {
			t.Fatalf("sessions on %s: %s", n.Name, problems)
		}
		shown[i] = slices.Compact(slices.Sorted(slices.Values(pseudonym.FindAllString(out, -1))))
		if strings.Contains(n.Output(), strings.TrimSpace(string(want))) {
			t.Errorf("the key is in the log of %s", n.Name)
		}
	}
	if len(shown[0]) == 0 || !slices.Equal(shown[0], shown[1]) {
		t.Errorf("%s shows %v, %s %v; want the same pseudonyms", s.Nodes[0].Name, shown[0], s.Nodes[1].Name, shown[1])
	}
}
