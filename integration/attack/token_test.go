package attack

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/client/machinekey"
	"sitegate/emulator"
	"sitegate/integration"
)

// bound is a machine that goes by a key at a node, and what it signs its tokens from.
func bound(t *testing.T, s *integration.Site, n *integration.Node, access, machine string) (crypto.Signer, machinekey.Session) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := machinekey.Prove(key, machine, "", access)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(api.KeyRequest{Machine: api.Machine{ID: machine, Name: machine}, Proof: proof})
	if err != nil {
		t.Fatal(err)
	}
	a := dial(t, s, n).send(post(api.PathMachineKey, access, string(body))).answer()
	var got api.MachineKey
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.User == "" {
		t.Fatalf("the key is not taken: %d %s", a.status, a.body)
	}
	return key, machinekey.Session{User: got.User, Cluster: got.Cluster, Machine: machine, At: got.Time}
}

// TestForgedSessionTokensAreNotTaken: what a machine signs is good for its own user, its
// own machine, this site and ten minutes; by any other key it is good for nothing.
func TestForgedSessionTokensAreNotTaken(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, user1, user2 := s.Nodes[0], user(t, s), user(t, s)
	key, mine := bound(t, s, n, s.Token(t, user1), "m-"+user1)
	other, theirs := bound(t, s, n, s.Token(t, user2), "m-"+user2)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key crypto.Signer, change func(*machinekey.Session)) string {
		of := mine
		change(&of)
		token, _, err := of.Token(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(*machinekey.Session) {}
	me := func(token string) answer {
		return dial(t, s, n).send(request("GET "+api.PathMe+" HTTP/1.1", "Authorization: Bearer "+token)).answer()
	}
	good := sign(key, same)
	if a := me(good); a.status != http.StatusOK {
		t.Fatalf("an honest session token: %d %s", a.status, a.body)
	}
	mint := mintOf(t, good, byKey(t, key)) // what is wrong with these is not the signature
	isTaken(t, s, n, func() string {
		return mint.but(claim("x", strings.Repeat("x", 8<<10)), firstInClaims(`"SUB":"`+theirs.User+`"`))
	}, mine.User)
	for name, token := range map[string]string{
		"by-a-strangers-key":       sign(stranger, same),
		"by-another-machines-key":  sign(other, same),
		"of-another-user":          sign(key, func(x *machinekey.Session) { x.User = theirs.User }),
		"of-another-users-machine": sign(key, func(x *machinekey.Session) { x.User, x.Machine = theirs.User, theirs.Machine }),
		"of-another-machine":       sign(key, func(x *machinekey.Session) { x.Machine = theirs.Machine }),
		"from-another-host":        sign(key, func(x *machinekey.Session) { x.Host = "ts-1" }),
		"of-another-site":          sign(key, func(x *machinekey.Session) { x.Cluster = "00000000-0000-7000-8000-000000000000" }),
		"replayed-after-its-time":  sign(key, func(x *machinekey.Session) { x.At = x.At.Add(-15 * time.Minute) }),
		"of-tomorrow":              sign(key, func(x *machinekey.Session) { x.At = x.At.Add(24 * time.Hour) }),
		"signed-by-nobody":         mint.but(head("alg", "none"), signedBy(unsigned)),
		"that-says-none":           mint.but(head("alg", "none")),
		"for-ever":                 mint.but(claim("exp", time.Now().Add(1000*time.Hour).Unix())),
		"without-an-end":           mint.but(claim("exp", nil)),
		"without-a-beginning":      mint.but(claim("iat", nil)),
		"without-an-id":            mint.but(claim("jti", nil)),
		"of-nobody":                mint.but(claim("sub", nil)),
		"of-two-users":             mint.but(firstInClaims(`"sub":"` + theirs.User + `"`)),
		"of-two-keys":              mint.but(firstInHead(`"jwk":{}`)),
		"with-another-user-in":     mint.but(claim("sub", theirs.User)),
		"as-an-access-token":       mint.but(head("typ", "at+jwt")),
		"as-a-proof-of-the-key":    mint.but(head("typ", api.KeyProofType)),
		"without-its-key":          mint.but(head("jwk", nil)),
		"too-long":                 mint.but(claim("x", strings.Repeat("x", 12<<10))),
	} {
		t.Run(name, func(t *testing.T) {
			a := me(token)
			a.problem(t, http.StatusUnauthorized, api.CodeUnauthorized)
			a.discreet(t, token, theirs.Machine)
		})
	}
}

// TestAnotherMachinesKeyOpensNothing: who has a user's access token, and knows their machine
// and session, but has not the machine's key, starts nothing there and takes nothing over; a machine's own token
// is for no other machine of its user.
func TestAnotherMachinesKeyOpensNothing(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, u := s.Nodes[0], user(t, s)
	access, desk, laptop := s.Token(t, u), "m-desk-"+u, "m-laptop-"+u
	key, mine := bound(t, s, n, access, desk)
	elsewhere, there := bound(t, s, n, access, laptop)
	token := func(key crypto.Signer, of machinekey.Session) string {
		token, _, err := of.Token(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	w := dial(t, s, n)
	started := w.send(startOf(token(key, mine), desk)).answer()
	var session api.Session
	if err := json.Unmarshal([]byte(started.body), &session); err != nil || session.ID == "" {
		t.Fatalf("no session to take: %d %s", started.status, started.body)
	}
	at := api.PathSessions + "/" + session.ID
	stolen, machine := token(elsewhere, there), `{"machine":{"id":"`+desk+`","name":"`+desk+`"}}`
	for name, is := range map[string]struct{ text, code string }{
		"an-access-token-starts":     {startOf(access, desk), "machine-key-needed"},
		"an-access-token-renews":     {post(at+"/heartbeat", access, machine), "machine-key-needed"},
		"an-access-token-waits":      {post(api.PathWaits, access, `{"id":"`+uuid.Must(uuid.NewV7()).String()+`","product":"`+emulator.ProductCapped+`","machine":{"id":"`+desk+`"}}`), "machine-key-needed"},
		"the-laptops-key-starts":     {startOf(stolen, desk), "not-yours"},
		"the-laptops-key-renews":     {post(at+"/heartbeat", stolen, machine), "not-yours"},
		"the-laptops-key-ends":       {request("DELETE "+at+"?machine="+desk+" HTTP/1.1", "Authorization: Bearer "+stolen), "not-yours"},
		"the-laptops-key-signs-out":  {post(api.PathSignOut, stolen, machine), "not-yours"},
		"the-laptops-key-checks-out": {post(api.PathCheckouts, stolen, `{"id":"`+session.ID+`","product":"`+emulator.ProductCapped+`","machine":{"id":"`+desk+`"}}`), "not-yours"},
	} {
		t.Run(name, func(t *testing.T) {
			dial(t, s, n).send(is.text).answer().problem(t, http.StatusForbidden, is.code)
		})
	}
	t.Run("another-key-takes-its-place", func(t *testing.T) {
		proof, err := machinekey.Prove(elsewhere, desk, "", access)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(api.KeyRequest{Machine: api.Machine{ID: desk, Name: desk}, Proof: proof})
		if err != nil {
			t.Fatal(err)
		}
		dial(t, s, n).send(post(api.PathMachineKey, access, string(body))).answer().problem(t, http.StatusConflict, "machine-clone")
	})
	if a := w.send(post(at+"/heartbeat", token(key, mine), machine)).answer(); a.status != http.StatusOK {
		t.Errorf("the desk's session afterwards: got %d %s, want it renewed", a.status, a.body)
	}
}
