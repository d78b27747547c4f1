package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"sitegate/alert/smtptest"
	"sitegate/emulator/proxy"
)

// mailed has the site send mail by a server, reached directly, which is trusted.
func (s *site) mailed(t *testing.T, server *smtptest.Server, more string) {
	t.Helper()
	pair, text := smtptest.Certificate(t)
	server.Certificate = pair
	server.Start(t)
	s.file(t, "mail.pem", string(text))
	s.file(t, "mail.password", "s3cret-of-the-mail\n")
	s.text += "    - {file: mail.pem, hosts: [127.0.0.1]}\n  routes: [{hosts: [127.0.0.1], via: [direct]}]\n" +
		fmt.Sprintf("alerts: {mail: {server: %q, from: gate@site.test, to: [desk@site.test]%s}}\n", server.Addr(), more)
	s.text = strings.Replace(s.text, "extra_ca: [{file: ca.pem, hosts: ["+cloudHost+", "+signInHost+"]}]", "extra_ca:\n    - {file: ca.pem, hosts: ["+cloudHost+", "+signInHost+"]}", 1)
}

const (
	implicit = ", tls: implicit"
	signedIn = ", username: gate, password_file: mail.password"
)

// The mail server is asked whether it would take mail over TLS, and is given neither mail nor secret.
func TestMailServer(t *testing.T) {
	for name, tt := range map[string]struct {
		server *smtptest.Server
		more   string
		change func(*site)
		want   string // the row that tells
		words  string // of what was found and what to do
	}{
		"STARTTLS":                    {want: "PASS answer", words: "over TLS"},
		"STARTTLS, to sign in":        {server: &smtptest.Server{User: "gate", Password: "s3cret-of-the-mail"}, more: signedIn, want: "PASS answer"},
		"TLS":                         {server: &smtptest.Server{Implicit: true}, more: implicit, want: "PASS answer"},
		"no sign-in where one is set": {more: signedIn, want: "WARN answer", words: "offers no sign-in"},
		"no STARTTLS":                 {server: &smtptest.Server{NoStartTLS: true}, want: "FAIL answer mail_no_tls", words: "Ask the mail team"},
		"no TLS at first":             {more: implicit, want: "FAIL answer mail_no_tls", words: "alerts.mail.tls: starttls"},
		"nobody vouches for it":       {change: func(s *site) { s.text = strings.Replace(s.text, "    - {file: mail.pem, hosts: [127.0.0.1]}\n", "", 1) }, want: "FAIL certificate tls_intercepted", words: "egress.extra_ca"},
		"the same, from TLS on":       {server: &smtptest.Server{Implicit: true}, more: implicit, change: func(s *site) { s.text = strings.Replace(s.text, "    - {file: mail.pem, hosts: [127.0.0.1]}\n", "", 1) }, want: "FAIL certificate tls_intercepted"},
		"a proxy that denies it":      {change: func(s *site) { s.text = strings.Replace(s.text, "via: [direct]", "via: [main]", 1) }, want: "FAIL connect proxy_denied", words: "egress.routes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil, nil, proxy.Config{})
			server := cmp.Or(tt.server, new(smtptest.Server))
			s.mailed(t, server, tt.more)
			if tt.change != nil {
				tt.change(s)
			}
			r := Run(t.Context(), s.config(t))
			var got Check
			for _, c := range r.Checks {
				if strings.Contains(c.Of, server.Addr()) {
					got = c // the last one
				}
			}
			if row := strings.TrimSpace(fmt.Sprint(got.State, " ", got.Step, " ", got.Code)); row != tt.want || !strings.Contains(got.Found+" "+got.Action, tt.words) || (got.State != Pass) != (got.Action != "") {
				t.Errorf("got %s: %q -> %q, want %s with %q\n%s", row, got.Found, got.Action, tt.want, tt.words, states(r))
			}
			if n := len(server.Got()); n != 0 || server.SignedIn() {
				t.Errorf("it was sent %d mails; somebody signed in: %t", n, server.SignedIn())
			}
		})
	}
}

// A server that does not want this server, says no more, or too much, is told of, and costs no more than the time there is.
func TestMailServerThatDoesNotGoOn(t *testing.T) {
	for said, want := range map[string]string{"554 go away\r\n": "status 554", "220 mail.test\r\n": "does not answer EHLO", "220 " + strings.Repeat("x", maxAnswer): "does not answer a new connection"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ln := listen(t)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, said)
			_, _ = c.Read(make([]byte, 1)) // EHLO, or that the other side has gone
			cancel()                       // its time is over
			_, _ = io.Copy(io.Discard, c)
		}()
		s := newSite(t, nil, nil, proxy.Config{})
		s.text += "  routes: [{hosts: [127.0.0.1], via: [direct]}]\nalerts: {mail: {server: \"" + ln.Addr().String() + "\", from: a@b.test, to: [c@d.test]}}\n"
		c := s.config(t)
		x := &examination{Config: c, destinations: destinationsOf(c.Settings)}
		x.configuration()
		mail := &x.destinations[len(x.destinations)-1]
		h := &hop{name: "direct", to: []*destination{mail}, first: mail, found: map[*destination]finding{}}
		h.found[mail] = x.try(ctx, h, mail)
		x.tellDestination(h, mail)
		if row := find(t, x.report, "answer", ln.Addr().String()); row.State != Fail || row.Code != "mail_refused" || !strings.Contains(row.Found, want) || row.Action == "" {
			t.Errorf("%.20q: got %+v, want %q", said, row, want)
		}
	}
}

// What a firewall team is asked for has the mail server, the webhook and the log server.
func TestFirewallTableHasWhoIsTold(t *testing.T) {
	for target, want := range map[string]string{
		"{target: syslog, syslog: \"tls://log.corp.example:6514\"}": "log.corp.example:6514 TCP, syslog over TLS",
		"{target: syslog, syslog: \"udp://log.corp.example:514\"}":  "log.corp.example:514 UDP, syslog",
		"{target: syslog, syslog: \"unix:///dev/log\"}":             "",
		"{target: stderr, syslog: \"tcp://log.corp.example:514\"}":  "",
	} {
		s := newSite(t, nil, nil, proxy.Config{})
		s.mailed(t, &smtptest.Server{}, implicit)
		s.text = strings.Replace(s.text, "alerts: {", "alerts: {webhooks: [{name: chat, url: \"https://chat.example/hook\", secret_file: mail.password}], ", 1) + "log: " + target + "\n"
		c := s.config(t)
		x := &examination{Config: c, destinations: destinationsOf(c.Settings)}
		x.configuration()
		log, told := "", 0
		for _, o := range x.firewall(t.Context(), x.hops(t.Context())) {
			if o.Purpose == "log server" {
				log = o.Destination + " " + o.Protocol
			}
			if host, _, _ := net.SplitHostPort(o.Destination); host == "127.0.0.1" && o.Protocol == "TCP, SMTP over TLS" || host == "chat.example" && o.Protocol == openTLS {
				told++
			}
		}
		if log != want || told != 2 {
			t.Errorf("%s: got %q for the log and %d rows for mail and webhook, want %q and 2", target, log, told, want)
		}
	}
}
