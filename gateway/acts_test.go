package gateway

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"sitegate/license"
)

// pass has another node pass a request on.
func (s *site) pass(t *testing.T, r request) reply {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if body, err = s.Serve(t.Context(), "n2", body); err != nil {
		t.Fatal(err)
	}
	var rep reply
	if err := json.Unmarshal(body, &rep); err != nil {
		t.Fatal(err)
	}
	return rep
}

// administered is a site whose leader knows whose credentials are whose.
func (s *site) administered() {
	s.verify = func(context.Context, string) (Who, error) { return Who{}, ErrCaller }
	known := map[string]Administrator{
		"ida's token":    {Name: "ida", Role: license.Admin, Begins: license.SignedIn},
		"desk's token":   {Name: "desk", Role: license.Operator},
		"ivo's password": {Name: "ivo", Role: license.Operator, Begins: license.SignedInHere},
		"ivo's cookie":   {Name: "ivo (local account)", Role: license.Viewer, Secret: license.Digest{7}},
		"first token":    {Secret: license.Digest{9}},
		"jobs' token":    {Name: "jobs", Role: license.Admin, Scopes: license.MachinesScope},
	}
	s.administers = func(_ context.Context, shown string) (Administrator, error) {
		if who, ok := known[shown]; ok {
			return who, nil
		}
		return Administrator{}, ErrCaller
	}
}

// Whoever has a node's certificate administers nothing by it: of all that a node may pass on
// without a proof, here is the list.
func TestANodeCertificateIsNoAdministrator(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.administered()
		var words, atSocket []string
		fields := reflect.TypeFor[request]()
		for i := range fields.NumField() {
			f := fields.Field(i)
			if f.Type.Kind() != reflect.Pointer {
				continue
			}
			var r request
			reflect.ValueOf(&r).Elem().Field(i).Set(reflect.New(f.Type.Elem()))
			if r.NoteKeys != nil {
				r.NoteKeys.Node = "n2" // of itself alone
			}
			if rep := s.pass(t, r); rep.Error != "caller" {
				words = append(words, f.Name)
			}
			r.Socket = true
			if rep := s.pass(t, r); rep.Error != "caller" && rep.Error != "socket" {
				atSocket = append(atSocket, f.Name)
			}
		}
		// Of sessions and checkouts that are not there, nothing can be ended.
		wantWords := []string{"StartRelayed", "Stop", "Return", "UseCredential", "Refresh", "SeeKey", "WouldRefuse", "Observe", "Refused", "Report", "KeepPosting", "ImportCheckout", "NoteAct", "NoteLockout", "NoteKeys", "NoteAlert", "Learn", "NoteRevoked"}
		slices.Sort(words)
		slices.Sort(wantWords)
		if !slices.Equal(words, wantWords) {
			t.Errorf("a node says by itself\n%v, want\n%v", words, wantWords)
		}
		atSocket = slices.DeleteFunc(atSocket, func(name string) bool { return slices.Contains(words, name) })
		wantSocket := []string{"AcceptShrink", "AcceptTime", "Block", "EndCredential", "ExportUsage", "Import", "Maintain", "ReceiveUsage", "Release", "ReleaseUser", "RemoveLocalAccount", "ResendUsage", "WriteOff"}
		slices.Sort(atSocket)
		if !slices.Equal(atSocket, wantSocket) {
			t.Errorf("by its socket\n%v, want\n%v", atSocket, wantSocket)
		}
	})
}

// The leader sees an administrator's credential itself: whose it is, and what they may.
func TestTheLeaderLooksAtAnAdministratorsCredential(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.administered()
		until := s.log.Now().Add(60_000_000_000)
		give := func(n byte, kind license.CredentialKind, name string, role license.Authority, by string) *license.GiveCredential {
			return &license.GiveCredential{Secret: license.Digest{n}, Kind: kind, Name: name, Role: role, By: by, Until: until}
		}
		hash := "$argon2id$v=19$x"
		for name, r := range map[string]request{
			"nothing is shown":                {Block: &license.Block{User: "ben", By: "ida"}},
			"what is nobody's":                {Block: &license.Block{User: "ben", By: "ida"}, Proof: "x"},
			"somebody else's name":            {Block: &license.Block{User: "ben", By: "ida"}, Proof: "desk's token"},
			"a role that is too low":          {GiveCredential: give(1, license.APIToken, "x", license.Admin, "desk"), Proof: "desk's token"},
			"a checkout for a user":           {CheckOut: &license.CheckOut{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, By: "ida"}},
			"a sign-in by another's name":     {GiveCredential: give(1, license.SignedInHere, "ida", license.Operator, "ivo"), Proof: "ivo's password"},
			"a sign-in above the account":     {GiveCredential: give(1, license.SignedInHere, "ivo", license.Admin, "ivo"), Proof: "ivo's password"},
			"a sign-in by a token":            {GiveCredential: give(1, license.SignedInHere, "desk", license.Operator, "desk"), Proof: "desk's token"},
			"another's sign-in is ended":      {EndCredential: &license.EndCredential{Secret: license.Digest{8}, By: "ivo (local account)"}, Proof: "ivo's cookie"},
			"a token for the first account":   {GiveCredential: give(1, license.FirstAccount, "first account", license.Admin, "ida"), Proof: "ida's token"},
			"the first account by its digest": {SetLocalAccount: &license.SetLocalAccount{Name: "eve", Role: license.Admin, Hash: hash, By: "eve", First: license.Digest{9}}, Socket: false},
			"what a token is not for":         {Release: &license.Release{Session: license.ID{1}, By: "jobs"}, Proof: "jobs' token"},
			"a token that gives itself more":  {GiveCredential: give(1, license.APIToken, "x", license.Admin, "jobs"), Proof: "jobs' token"},
			"another's password":              {SetLocalAccount: &license.SetLocalAccount{Name: "eve", Role: license.Operator, Hash: hash, Reset: true, By: "eve", Was: 1}, Proof: "ivo's password"},
			"another's in one's own name":     {SetLocalAccount: &license.SetLocalAccount{Name: "eve", Role: license.Operator, Hash: hash, Reset: true, By: "ivo", Was: 1}, Proof: "ivo's password"},
			"more by one's own password":      {SetLocalAccount: &license.SetLocalAccount{Name: "ivo", Role: license.Admin, Hash: hash, Reset: true, By: "ivo", Was: 1}, Proof: "ivo's password"},
			"one's own without the old one":   {SetLocalAccount: &license.SetLocalAccount{Name: "ivo", Role: license.Operator, Hash: hash, Reset: true, By: "ivo (local account)", Was: 1}, Proof: "ivo's cookie"},
			"one's own by an administrator":   {SetLocalAccount: &license.SetLocalAccount{Name: "ivo", Role: license.Operator, Hash: hash, Reset: true, By: "ivo", Was: 1}, Proof: "ida's token"},
			"the first account by another's":  {SetLocalAccount: &license.SetLocalAccount{Name: "eve", Role: license.Admin, Hash: hash, By: "eve", First: license.Digest{9}}, Proof: "ida's token"},
		} {
			if rep := s.pass(t, r); rep.Error != "caller" {
				t.Errorf("%s: %+v, want that the caller is not taken", name, rep)
			}
		}
		for name, r := range map[string]request{
			"a token by a socket":    {GiveCredential: give(1, license.APIToken, "x", license.Admin, "root"), Socket: true},
			"an account by one":      {SetLocalAccount: &license.SetLocalAccount{Name: "eve", Role: license.Admin, Hash: hash, By: "root"}, Socket: true},
			"a key forgotten by one": {ForgetKey: &license.ForgetKey{User: "ada", Machine: ws101, By: "root"}, Socket: true},
		} {
			if rep := s.pass(t, r); rep.Error != "socket" {
				t.Errorf("%s: %+v, want that another node's socket is not taken", name, rep)
			}
		}
		for name, r := range map[string]request{
			"a block":           {Block: &license.Block{User: "ben", By: "desk"}, Proof: "desk's token"},
			"a token's block":   {Block: &license.Block{Machine: ws202, By: "jobs"}, Proof: "jobs' token"},
			"an API token":      {GiveCredential: give(2, license.APIToken, "x", license.Admin, "ida"), Proof: "ida's token"},
			"an account":        {SetLocalAccount: &license.SetLocalAccount{Name: "ivo", Role: license.Operator, Hash: hash, By: "ida"}, Proof: "ida's token"},
			"an OIDC sign-in":   {GiveCredential: give(3, license.SignedIn, "ida", license.Admin, "ida"), Proof: "ida's token"},
			"a block by socket": {Block: &license.Block{User: "ada", By: "root"}, Socket: true},
		} {
			if rep := s.pass(t, r); rep.Answer == nil || rep.Answer.Outcome.Denial != nil {
				t.Errorf("%s: %+v", name, rep)
			}
		}
		if rep := s.pass(t, request{GiveCredential: give(7, license.SignedInHere, "ivo", license.Operator, "ivo"), Proof: "ivo's password"}); rep.Answer == nil || rep.Answer.Outcome.Denial != nil {
			t.Errorf("his own sign-in: %+v", rep)
		}
		if rep := s.pass(t, request{EndCredential: &license.EndCredential{Secret: license.Digest{7}, By: "ivo (local account)"}, Proof: "ivo's cookie"}); rep.Answer == nil || rep.Answer.Outcome.Denial != nil {
			t.Errorf("his own sign-out: %+v", rep)
		}
		by := ""
		s.log.View(func(st *license.State) {
			for _, b := range license.Bars(st) {
				if b.User == "ada" {
					by = b.By
				}
			}
		})
		if by != "root at n2" {
			t.Errorf("what a node's socket was said to do is by %q, want %q", by, "root at n2")
		}
	})
}
