package integration

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/alert"
	"sitegate/alert/smtptest"
)

// hook is a program of the site's that alerts are told to.
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got []alert.Message
}

// newHook is one that takes what is signed with a secret.
func newHook(t *testing.T, secret string) *hook {
	h := &hook{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		signature, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get(alert.HeaderSignature), "v1="))
		var m alert.Message
		if !hmac.Equal(signature, alert.Sign(secret, r.Header.Get(alert.HeaderTime), body)) || json.Unmarshal(body, &m) != nil || m.Key != r.Header.Get(alert.HeaderKey) {
			http.Error(w, "not signed", http.StatusForbidden)
			return
		}
		h.mu.Lock()
		h.got = append(h.got, m)
		h.mu.Unlock()
	}))
	t.Cleanup(h.Close)
	return h
}

// of are the states of what it got of a kind, each message once.
func (h *hook) of(kind alert.Kind) (states []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var keys []string
	for _, m := range h.got {
		if m.Kind == kind && !slices.Contains(keys, m.Key) {
			keys, states = append(keys, m.Key), append(states, m.State)
		}
	}
	return states
}

// mails are the subjects of what a server got of a title, each message once.
func mails(s *smtptest.Server, title string) (subjects []string) {
	var ids []string
	for _, m := range s.Got() {
		if subject := m.Message.Header.Get("Subject"); strings.Contains(subject, title) && !slices.Contains(ids, m.ID()) {
			ids, subjects = append(ids, m.ID()), append(subjects, subject)
		}
	}
	return subjects
}

// A cluster loses the node that leads, and gets it back: the administrators are told once
// of each by mail and by webhook, by whichever node leads then. Both leave by the way out:
// where that does not lead to them, the test of them says so.
func TestAlertsOfACluster(t *testing.T) {
	t.Parallel()
	const secret, password = "the hook's s3cret", "the mail's p@ssword"
	h := newHook(t, secret)
	post := &smtptest.Server{Certificate: h.TLS.Certificates[0], User: "gate", Password: password, Gone: map[string]string{"left@site.test": "550 5.1.1 no such user"}}
	post.Start(t)

	s := &Site{Dir: t.TempDir()}
	s.openCloud(t, 20)
	s.write(t, 3)
	trust := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	for _, n := range s.Nodes {
		folder := filepath.Dir(n.Config)
		for name, text := range map[string]string{"hook.secret": secret, "mail.password": password, "alerts-ca.pem": string(trust)} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		edit(t, n.Config, "  extra_ca:\n", "  extra_ca:\n    - {file: alerts-ca.pem, hosts: [127.0.0.1]}\n")
		edit(t, n.Config, "sign_in:\n", fmt.Sprintf(`alerts:
  after: 2s
  mail: {server: "%s", username: gate, password_file: mail.password, from: gate@site.test, to: [desk@site.test]}
  webhooks: [{name: chat, url: "%s/hook", secret_file: hook.secret}]

sign_in:
`, post.Addr(), h.URL))
	}

	status, out, said := s.Tool(t, s.Nodes[0], "alert", "test")
	if status != 1 || strings.Count(out, "FAILED") != 2 || strings.Contains(out+said, secret) || strings.Contains(out+said, password) {
		t.Errorf("alert test, where the proxy leads to neither: status %d, %s%s", status, out, said)
	}
	for _, n := range s.Nodes {
		edit(t, n.Config, "egress:\n", "egress:\n  routes:\n    - {hosts: [127.0.0.1], via: [direct]}\n")
	}
	if status, out, said = s.Tool(t, s.Nodes[0], "alert", "test"); status != 0 || !strings.Contains(out, "mail: sent; 127.0.0.1 has taken it for 1 receiver.") || !strings.Contains(out, "chat: sent") {
		t.Errorf("alert test: status %d, %s%s", status, out, said)
	}
	if got := post.Got(); len(got) != 1 || !got[0].TLS || got[0].User != "gate" || len(h.of(alert.Test)) != 1 {
		t.Errorf("alert test: %+v came, and %v at the webhook", got, h.of(alert.Test))
	}
	edit(t, s.Nodes[0].Config, "to: [desk@site.test]", "to: [desk@site.test, left@site.test]")
	if status, out, said = s.Tool(t, s.Nodes[0], "alert", "test", "--way", "mail"); status != 1 || !strings.Contains(out, "mail: REFUSED for some of its receivers") || !strings.Contains(out, "550") {
		t.Errorf("alert test, with somebody who has left: status %d, %s%s", status, out, said)
	}
	edit(t, s.Nodes[0].Config, "to: [desk@site.test, left@site.test]", "to: [desk@site.test]")
	if status, _, said = s.Tool(t, s.Nodes[0], "alert", "test", "--way", "caht"); status != 64 || !strings.Contains(said, "there are [mail chat]") {
		t.Errorf("alert test --way caht: status %d, %s", status, said)
	}

	for i := range s.Nodes {
		s.Start(t, i)
	}
	for _, n := range s.Nodes {
		s.AwaitReady(t, n)
	}
	// It begins and is over by turns. A machine that is busy may have a node fall silent
	// for a while besides, so there may be more of both.
	told := func(least int, last string) func() error {
		return func() error {
			states, subjects := h.of(alert.QuorumAtRisk), mails(post, "One more node lost")
			for i, state := range states {
				if want := []string{alert.Raised, alert.Over}[i%2]; state != want {
					t.Fatalf("the webhook got %q, want it to begin and to be over by turns", states)
				}
			}
			if len(states) < least || states[len(states)-1] != last || len(subjects) != len(states) {
				return fmt.Errorf("the webhook got %q, by mail came %q, want at least %d, and %s at last", states, subjects, least, last)
			}
			return nil
		}
	}
	lost := s.Leader(t)
	s.Nodes[lost].Kill()
	Eventually(t, 4*time.Minute, "the loss of a node is told", told(1, alert.Raised))
	s.Start(t, lost)
	s.AwaitReady(t, s.Nodes[lost])
	Eventually(t, 4*time.Minute, "that it is back is told", told(2, alert.Over))

	// Whoever leads next tells nothing of it anew; what it tells later shows that it was at work.
	leader := s.Leader(t)
	if status, out, said := s.Tool(t, s.Nodes[leader], "cluster", "step-down"); status != 0 {
		t.Fatalf("step-down: status %d, %s%s", status, out, said)
	}
	Eventually(t, 4*time.Minute, "nothing is at risk", told(2, alert.Over))
	before := len(h.of(alert.QuorumAtRisk))
	lost = s.Leader(t)
	s.Nodes[lost].Kill()
	Eventually(t, 4*time.Minute, "the next loss is told", told(before+1, alert.Raised))
	s.Start(t, lost)
	s.AwaitReady(t, s.Nodes[lost])
	Eventually(t, 4*time.Minute, "that this one is back is told", told(before+2, alert.Over))

	for _, m := range post.Got() {
		if text := m.Message.Header.Get("Subject") + m.Body; strings.Contains(text, "u-0") || strings.Contains(text, secret) || strings.Contains(text, password) {
			t.Errorf("a mail names somebody, or holds a secret:\n%s", text)
		}
	}
	Eventually(t, time.Minute, "the node that is back knows that it is over", func() error {
		_, text, err := s.served(t, s.Nodes[lost])
		if err != nil || !strings.Contains(text, "\nsitegate_alerts{kind=\"quorum-at-risk\"} 0\n") {
			return fmt.Errorf("/metrics lacks that none lasts: %w", err)
		}
		return nil
	})
	for _, n := range s.Nodes {
		if out := n.Output(); strings.Contains(out, secret) || strings.Contains(out, password) {
			t.Errorf("%s has written a secret", n.Name)
		}
	}
}
