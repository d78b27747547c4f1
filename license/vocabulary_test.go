package license_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

func TestIDIsAUUIDInText(t *testing.T) {
	const text = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f"
	id, err := license.ParseID(strings.ToUpper(text))
	if err != nil || id.String() != text {
		t.Fatalf("read %v (%v), want %s", id, err, text)
	}
	b, err := json.Marshal(id)
	var again license.ID
	if err == nil {
		err = json.Unmarshal(b, &again)
	}
	if err != nil || again != id {
		t.Errorf("through JSON: %v (%v), want %v", again, err, id)
	}
	raw, err := id.MarshalBinary()
	var third license.ID
	if err == nil {
		err = third.UnmarshalBinary(raw)
	}
	if err != nil || third != id {
		t.Errorf("through sixteen bytes: %v (%v), want %v", third, err, id)
	}
	if err := third.UnmarshalBinary(raw[:15]); err == nil {
		t.Error("fifteen bytes are taken for an id")
	}
	for _, bad := range []string{"", text[:35], text + "0", strings.ReplaceAll(text, "-", "_"), "z" + text[1:], strings.Repeat("é", 18)} {
		if id, err := license.ParseID(bad); err == nil {
			t.Errorf("%q is taken for the id %v", bad, id)
		}
	}
}

// R7: the machine's name is for clients from 23.0.1.25 on.
func TestWhichClientsAreToldTheMachine(t *testing.T) {
	for client, want := range map[string]bool{
		"23.0.1.25": true, "23.00.01.25": true, "23.0.1.24": false, "22.9.9.99": false, "23.0.2": true, "24": true, "10.00.18.01": false,
		"": true, "seat 1": true, "1.2.3.4.5": true, "-1.0": true,
	} {
		if got := license.NamesMachine(client); got != want {
			t.Errorf("a client %q is told: %v, want %v", client, got, want)
		}
	}
}

func TestTimeConvertsBothWays(t *testing.T) {
	std := time.Date(2026, 3, 2, 8, 0, 0, 1_500_000, time.UTC)
	at := license.TimeOf(std)
	if got, want := at.Std(), std.Truncate(time.Millisecond); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := license.TimeOf(time.Time{}); got != 0 || !got.Std().IsZero() || got.String() != "never" {
		t.Errorf("the zero time is %d, %v, %v", got, got.Std(), got)
	}
	if got, want := at.Add(time.Minute).Sub(at), time.Minute; got != want {
		t.Errorf("a minute later is %v later", got)
	}
	if got, want := at.String(), "2026-03-02T08:00:00.001Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReasonsAreDistinct(t *testing.T) {
	seen := map[license.Reason]bool{}
	for _, r := range license.Reasons() {
		if seen[r] || r == "" || strings.ToLower(string(r)) != string(r) {
			t.Errorf("the reason %q is there twice, or is no name", r)
		}
		seen[r] = true
	}
}

// A table or record of a newer version is an error, never a guess.
func TestUnknownRecordIsAnError(t *testing.T) {
	if r, err := license.NewRecord(99); err == nil {
		t.Errorf("table 99 has the record %v", r)
	}
	if err := license.NewState().Put(struct{}{}); err == nil {
		t.Error("a record of no table was taken")
	}
}

// A page is bounded, so that an entry fits a store's transaction.
func TestMirrorIsBounded(t *testing.T) {
	s := license.NewState()
	page := func(n int) license.Mirror {
		m := license.Mirror{Cursor: "1"}
		for range n {
			m.Changes = append(m.Changes, license.Change{User: &license.User{ID: "ann"}})
		}
		return m
	}
	if d := license.Check(s, 1, page(license.MaxChanges)); d != nil {
		t.Errorf("a full page is refused: %s", d.Reason)
	}
	if d := license.Check(s, 1, page(license.MaxChanges+1)); d == nil || d.Reason != license.BadCommand {
		t.Errorf("a page too large gives %v, want %s", d, license.BadCommand)
	}
	for name, c := range map[string]license.Change{
		"empty":            {},
		"two at once":      {User: &license.User{ID: "ann"}, DeleteUser: "bob"},
		"no id":            {User: &license.User{}},
		"not text":         {User: &license.User{ID: "\xff"}},
		"a long admin":     {Account: &license.Account{ID: "a", Administrators: []license.Administrator{{Name: strings.Repeat("x", 300)}}}},
		"negative terms":   {Account: &license.Account{ID: "a", AutonomyCapped: -1}},
		"a long assignee":  {License: &license.License{ID: "L1", Assignee: license.UserID(strings.Repeat("x", 300))}},
		"a long deleted":   {DeleteLicense: license.LicenseID(strings.Repeat("x", 300))},
		"101 admins":       {Account: &license.Account{ID: "a", Administrators: make([]license.Administrator, 101)}},
		"a long user name": {User: &license.User{ID: "ann", Name: strings.Repeat("x", 300)}},
	} {
		if d := license.Check(s, 1, license.Mirror{Cursor: "1", Changes: []license.Change{c}}); d == nil || d.Reason != license.BadCommand {
			t.Errorf("a change with %s gives %v, want %s", name, d, license.BadCommand)
		}
	}
}
