package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

// A machine's key is taken from it by what the notice says: its user's address, and its name.
// Of whom there is none nothing is said to be done.
func TestAKeyIsForgottenByAnAddress(t *testing.T) {
	file := writeSingle(t)
	gw, store, end := nodeAt(t, file, time.Now())
	t.Cleanup(end)
	people := []license.User{{ID: "u1", Name: "Ada Berg", Email: "ada@acme.example"}, {ID: "u2", Name: "Ben Roy", Email: "ben@acme.example"},
		{ID: "u3", Name: "Ben Roy", Email: "ben.roy@acme.example"}}
	m := license.Mirror{Cursor: "1", Full: true, Last: true}
	for i := range people {
		m.Changes = append(m.Changes, license.Change{User: &people[i]})
	}
	if _, err := store.Propose(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	ws101 := license.Machine{ID: "m-101", Name: "WS-101"}
	bind := func() {
		for i := range people {
			a, err := gw.BindKey(t.Context(), license.BindKey{User: people[i].ID, Machine: ws101, Proof: license.Proof{Key: license.Digest{byte(1 + i)}}})
			if err != nil || a.Outcome.Denial != nil {
				t.Fatal(err, a.Outcome.Denial)
			}
		}
	}
	for user, want := range map[string]struct {
		gone   license.UserID
		status int
		says   string
	}{
		"ADA@acme.example": {"u1", 0, "goes by no key"}, "u1": {"u1", 0, "goes by no key"}, "ben.roy@acme.example": {"u3", 0, "goes by no key"},
		"ada": {"", exitFailed, "is not a user of"}, "roy@acme.example": {"", exitFailed, "no user of the account has the address"},
	} {
		bind()
		status, stdout, stderr := sitegate(t, nil, "machines", "forget-key", "--user", user, "--machine", "ws-101", "--by", "ida", "--config", file, "--data-dir", filepath.Dir(file))
		if status != want.status || !strings.Contains(stdout+stderr, want.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", user, status, stdout+stderr, want.status, want.says)
		}
		gw.View(func(s *license.State) {
			for i := range people {
				if gone := len(license.KeysOf(s, people[i].ID)) == 0; gone != (people[i].ID == want.gone) {
					t.Errorf("%s: the key of %s is gone: %t", user, people[i].ID, gone)
				}
			}
		})
	}
}
