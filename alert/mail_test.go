package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"sitegate/alert/smtptest"
)

// certificate is one for 127.0.0.1, and who trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	pair, text := smtptest.Certificate(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pair, pool
}

func mailBy(s *smtptest.Server, trust *x509.CertPool) *Mail {
	return &Mail{Server: s.Addr(), Implicit: s.Implicit, Username: s.User, Password: func() (string, error) { return s.Password, nil },
		From: "Gate <gate@site.test>", To: []string{"desk@site.test"}, Dial: new(net.Dialer).DialContext,
		TLS: func(host string) *tls.Config { return &tls.Config{ServerName: host, RootCAs: trust} }}
}

var began = Message{Key: "k1", thread: "k1", State: Raised, Kind: Disk, Subject: "gw1", Severity: "critical", Title: english.kinds[Disk].title, Detail: "The disk of gw1 has 90 MB left of 2000.",
	Next: english.kinds[Disk].next, Since: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Site: "site-7", URL: "https://gw1.site.test:8443"}

// Mail arrives over TLS, by STARTTLS and from the first byte, signed in as the server asks.
func TestMailArrives(t *testing.T) {
	pair, trust := certificate(t)
	for name, s := range map[string]*smtptest.Server{
		"STARTTLS":                     {},
		"STARTTLS, signed in by PLAIN": {User: "gate", Password: "s3cret", Mechanisms: "PLAIN"},
		"STARTTLS, signed in by LOGIN": {User: "gate", Password: "s3cret", Mechanisms: "LOGIN"},
		"TLS":                          {Implicit: true},
		"TLS, signed in":               {Implicit: true, User: "gate", Password: "s3cret", Mechanisms: "GSSAPI NTLM LOGIN PLAIN"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Certificate = pair
			s.Start(t)
			way := mailBy(s, trust)
			over := began
			over.Key, over.State, over.Over = "k2", Over, began.Since.Add(time.Hour)
			for _, m := range []Message{began, over} {
				if err := way.Send(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			got := s.Got()
			if len(got) != 2 {
				t.Fatalf("%d mails came, want 2", len(got))
			}
			for i, want := range []struct{ id, subject, answers, body string }{
				{"<k1@site.test>", "[sitegate] CRITICAL: A node's disk is filling up (gw1)", "", "What to do: Make room"},
				{"<k2@site.test>", "[sitegate] Over: A node's disk is filling up (gw1)", "<k1@site.test>", "Over: 2026-11-22 09:00:00 UTC"},
			} {
				m, h := got[i], got[i].Message.Header
				if m.ID() != want.id || h.Get("Subject") != want.subject || h.Get("In-Reply-To") != want.answers || h.Get("References") != want.answers || h.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(m.Body, want.body) {
					t.Errorf("got %s, %q, answering %q:\n%s\nwant %+v", m.ID(), h.Get("Subject"), h.Get("In-Reply-To"), m.Body, want)
				}
				if !m.TLS || m.User != s.User || m.From != "gate@site.test" || strings.Join(m.To, " ") != "desk@site.test" {
					t.Errorf("it came over TLS: %t, by %q, from %q to %q", m.TLS, m.User, m.From, m.To)
				}
			}
		})
	}
}

// Nothing is sent in the clear, nor to a server that nobody vouches for, nor with a wrong
// password, which is in no error; and no connection is left open.
func TestMailThatIsNotSent(t *testing.T) {
	pair, trust := certificate(t)
	for name, test := range map[string]struct {
		server   *smtptest.Server
		change   func(*Mail)
		want     string
		password string
	}{
		"no STARTTLS":             {server: &smtptest.Server{NoStartTLS: true}, want: "STARTTLS"},
		"an unknown certificate":  {change: func(x *Mail) { x.TLS = func(host string) *tls.Config { return &tls.Config{ServerName: host} } }, want: "certificate"},
		"the same, from TLS on":   {server: &smtptest.Server{Implicit: true}, change: func(x *Mail) { x.TLS = func(host string) *tls.Config { return &tls.Config{ServerName: host} } }, want: "certificate"},
		"a wrong password":        {server: &smtptest.Server{User: "gate", Password: "s3cret"}, change: func(x *Mail) { x.Password = func() (string, error) { return "wr0ng", nil } }, want: "535"},
		"no password to be had":   {server: &smtptest.Server{User: "gate", Password: "s3cret"}, change: func(x *Mail) { x.Password = func() (string, error) { return "", errors.New("is gone") } }, want: "is gone"},
		"TLS where there is none": {server: &smtptest.Server{}, change: func(x *Mail) { x.Implicit = true }, want: "TLS with 127.0.0.1"},
		"an odd receiver":         {change: func(x *Mail) { x.To = []string{"x@y.test\r\nBcc: z@y.test"} }, want: "addressing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.server
			if s == nil {
				s = new(smtptest.Server)
			}
			s.Certificate = pair
			s.Start(t)
			way := mailBy(s, trust)
			if test.change != nil {
				test.change(way)
			}
			err := way.Send(t.Context(), began)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("got %v, want %q, and no password", err, test.want)
			}
			if n := len(s.Got()); n != 0 {
				t.Errorf("%d mails came", n)
			}
			awaitNobody(t, s)
		})
	}

	// One that does not answer is given up when the caller does.
	s := &smtptest.Server{Certificate: pair}
	s.Start(t)
	s.Silence()
	ctx, cancel := context.WithCancel(t.Context())
	way, dial := mailBy(s, trust), new(net.Dialer)
	way.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		defer cancel() // connected, and nothing follows
		return dial.DialContext(ctx, network, addr)
	}
	if err := way.Send(ctx, began); err == nil {
		t.Error("a mail was sent by a server that says nothing")
	}
	awaitNobody(t, s)
}

// awaitNobody waits until nobody is connected.
func awaitNobody(t *testing.T, s *smtptest.Server) {
	t.Helper()
	for end := time.Now().Add(time.Minute); s.Open() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left open", s.Open())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// What a node or the cloud calls things cannot add lines to a mail.
func TestMailHasNoLinesOfOthers(t *testing.T) {
	pair, trust := certificate(t)
	s := &smtptest.Server{Certificate: pair}
	s.Start(t)
	m := began
	m.Subject, m.Detail = "gw1\r\nBcc: x@y.test\r\n\r\nhello", "full\r\n.\r\nMAIL FROM:<x@y.test>\n"
	if err := mailBy(s, trust).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := s.Got()
	if len(got) != 1 {
		t.Fatalf("%d mails came, want one", len(got))
	}
	if got[0].Message.Header.Get("Bcc") != "" || strings.Contains(got[0].Body, "\r\n.\r\n") || strings.Contains(got[0].Body, "\nMAIL FROM") {
		t.Errorf("got %v, %q", got[0].Message.Header, got[0].Body)
	}
}

// A mailbox that is gone keeps an alert from nobody else; one that is full is tried again,
// and nobody gets the same mail twice for it.
func TestAMailboxThatIsGoneKeepsNobodyElseFromMail(t *testing.T) {
	pair, trust := certificate(t)
	s := &smtptest.Server{Certificate: pair, Gone: map[string]string{"gone@site.test": "550 5.1.1 no such user", "full@site.test": "452 4.2.2 mailbox full"}}
	s.Start(t)
	way := mailBy(s, trust)
	var refused []error
	way.To, way.Refused = []string{"gone@site.test", "full@site.test", "desk@site.test"}, func(err error) { refused = append(refused, err) }
	other := began
	other.Key += "-2"
	for range 2 { // by turns, as they are tried
		for _, m := range []Message{began, other} {
			if err := way.Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "452") {
				t.Fatalf("a full mailbox: got %v; want it tried again", err)
			}
		}
	}
	if got := s.Got(); len(got) != 2 || got[0].To[0] != "desk@site.test" || got[1].To[0] != "desk@site.test" || len(refused) > 0 {
		t.Fatalf("%d mails came, and %v; want each once to the desk", len(got), refused)
	}
	way.To = []string{"gone@site.test", "desk@site.test"}
	if err := way.Send(t.Context(), began); err != nil || len(refused) != 1 || !strings.Contains(refused[0].Error(), "550") {
		t.Errorf("without it: %v, told of %v", err, refused)
	}
	way.To = way.To[:1]
	if err := way.Send(t.Context(), began); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("nobody is left: got %v", err)
	}
	if got := s.Got(); len(got) != 2 {
		t.Errorf("%d mails came, want two", len(got))
	}
}
