package attack

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
)

// startOf is a request for a session of the capped product, by whoever shows a token.
func startOf(token, machine string) string {
	return post(api.PathSessions, token, startBody(machine))
}

// startBody asks for a new session of the capped product on a machine.
func startBody(machine string) string {
	return `{"id":"` + uuid.Must(uuid.NewV7()).String() + `","product":"` + emulator.ProductCapped + `","machine":{"id":"` + machine + `","name":"` + machine + `"}}`
}

// post is a request with a JSON body.
func post(path, token, body string, headers ...string) string {
	return request("POST "+path+" HTTP/1.1", append([]string{"Authorization: Bearer " + token, "Content-Type: application/json",
		"Content-Length: " + strconv.Itoa(len(body))}, headers...)...) + body
}

// TestTokensAreOnlyTakenInTheHeader: not from a URL, where logs and histories keep it, nor a
// cookie, which a page of somebody else's would send along.
func TestTokensAreOnlyTakenInTheHeader(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, token := s.Nodes[0], s.Token(t, user(t, s))
	for name, head := range map[string]string{
		"in-the-URL":          request("GET " + api.PathMe + "?access_token=" + token + " HTTP/1.1"),
		"in-a-cookie":         request("GET "+api.PathMe+" HTTP/1.1", "Cookie: access_token="+token+"; Authorization="+token),
		"with-an-underscore":  request("GET "+api.PathMe+" HTTP/1.1", "X_Authorization: Bearer "+token, "Proxy-Authorization: Bearer "+token),
		"as-a-subprotocol-of": request("GET "+api.PathMe+" HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: "+api.NoticesProtocol+", "+api.BearerProtocol+base64.RawURLEncoding.EncodeToString([]byte(token))),
		"in-trailers": request("GET "+api.PathMe+" HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: Authorization") +
			"0\r\nAuthorization: Bearer " + token + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := dial(t, s, n).send(head).answer()
			if a.status < 400 || a.status >= 500 {
				t.Errorf("got %d %s, want it refused", a.status, a.body)
			}
			a.discreet(t, token)
		})
	}
}

// TestAnotherUsersSessionIsNothing: who knows a session's id and its machine, and signs in
// as somebody else, does not get to see, renew, end or take it.
func TestAnotherUsersSessionIsNothing(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, owner, thief := s.Nodes[0], s.Token(t, user(t, s)), s.Token(t, user(t, s))
	w := dial(t, s, n)
	started := w.send(startOf(owner, "m-owner")).answer()
	var session api.Session
	if err := json.Unmarshal([]byte(started.body), &session); err != nil || session.ID == "" {
		t.Fatalf("no session to steal: %d %s", started.status, started.body)
	}
	at := api.PathSessions + "/" + session.ID
	machine := `"machine":{"id":"m-owner","name":"m-owner"}`
	bearer := "Authorization: Bearer "
	for name, head := range map[string]string{
		"see":       request("GET "+at+" HTTP/1.1", bearer+thief),
		"renew":     post(at+"/heartbeat", thief, `{`+machine+`}`),
		"end":       request("DELETE "+at+"?machine=m-owner HTTP/1.1", bearer+thief),
		"let go of": post(at+"/let-go", thief, `{`+machine+`}`),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			a := dial(t, s, n).send(head).answer()
			if a.status != http.StatusNotFound && a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
				t.Errorf("got %d %s, want it refused", a.status, a.body)
			}
			a.discreet(t, session.Product)
		})
	}
	again := post(api.PathSessions, thief, `{"id":"`+session.ID+`","product":"`+emulator.ProductCapped+`",`+machine+`}`)
	dial(t, s, n).send(again).answer() // ids are each user's own: whatever is said, the owner's stays
	if a := w.send(request("GET "+at+" HTTP/1.1", bearer+owner)).answer(); a.status != http.StatusOK {
		t.Errorf("the owner's session afterwards: got %d %s, want it there", a.status, a.body)
	}
}
