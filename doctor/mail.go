package doctor

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"

	"sitegate/configs"
	"sitegate/upstream/egress"
)

// What can be wrong with a mail server besides its TLS.
const (
	mailSilent egress.Code = "mail_refused" // it does not greet, or does not go on with this server
	mailNoTLS  egress.Code = "mail_no_tls"  // it does not speak TLS as alerts.mail.tls says, and nothing is sent in the clear
)

// startTLS has a mail server begin TLS; nil: it does so from the first byte.
func startTLS(d *destination) func(net.Conn) error {
	if d.mail.TLS == configs.MailImplicit {
		return nil
	}
	return func(c net.Conn) error {
		t, err := meetMail(c, d)
		if err != nil {
			return err
		}
		offers, err := t.hello()
		switch {
		case err != nil:
			return err
		case !offered(offers, "STARTTLS"):
			return &egress.Error{Code: mailNoTLS, Message: fmt.Sprintf("The mail server %s offers no STARTTLS, and no mail is sent in the clear.", d.addr),
				Action: "Ask the mail team to offer it to this server, or for a port with TLS (alerts.mail.server, and alerts.mail.tls: implicit)."}
		}
		_, err = t.ask("STARTTLS", 220)
		return err
	}
}

// speakMail says hello over TLS, and goodbye. Nobody signs in and no mail is sent.
func speakMail(d *destination, tell func(Check)) func(net.Conn) {
	return func(c net.Conn) {
		found := Check{Step: "answer", State: Pass, Found: "The mail server answers over TLS. No mail was sent: sitegate alert test sends one."}
		offers, err := func() ([]string, error) {
			if d.mail.TLS != configs.MailImplicit {
				return newMailTalk(c, d).hello()
			}
			t, err := meetMail(c, d)
			if err != nil {
				return nil, err
			}
			return t.hello()
		}()
		switch {
		case err != nil:
			found.State = Fail
			found.explain(err)
		case d.mail.Username != "" && !offered(offers, "AUTH"):
			found.State, found.Found = Warn, "The mail server answers over TLS, and offers no sign-in, while alerts.mail.username is set."
			found.Action = "Ask the mail team whether this server may send without one; then take alerts.mail.username and password_file out."
		}
		tell(found)
		_, _ = io.WriteString(c, "QUIT\r\n") // whoever has hung up has heard enough
	}
}

// mailTalk is a conversation with a mail server, of a bounded length and time.
type mailTalk struct {
	d *destination
	r *textproto.Reader
	w io.Writer
}

func newMailTalk(c net.Conn, d *destination) *mailTalk {
	_ = c.SetDeadline(time.Now().Add(answerTime)) // of a connection that is over, reading tells
	return &mailTalk{d: d, r: textproto.NewReader(bufio.NewReader(io.LimitReader(c, maxAnswer))), w: c}
}

// meetMail waits for a mail server's greeting.
func meetMail(c net.Conn, d *destination) (*mailTalk, error) {
	t := newMailTalk(c, d)
	_, err := t.answer("a new connection", 220)
	return t, err
}

// hello is EHLO, and what the server offers: a line each.
func (t *mailTalk) hello() ([]string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	text, err := t.ask("EHLO "+cmp.Or(host, "localhost"), 250)
	return strings.Split(text, "\n"), err
}

// ask sends a line, and wants an answer with the status want.
func (t *mailTalk) ask(line string, want int) (string, error) {
	_, _ = io.WriteString(t.w, line+"\r\n") // reading tells
	verb, _, _ := strings.Cut(line, " ")
	return t.answer(verb, want)
}

func (t *mailTalk) answer(to string, want int) (string, error) {
	_, text, err := t.r.ReadResponse(want)
	var said *textproto.Error
	switch {
	case err == nil:
		return text, nil
	case errors.As(err, &said):
		return "", &egress.Error{Code: mailSilent, Err: err, Message: fmt.Sprintf("The mail server %s answers %s with status %d.", t.d.addr, to, said.Code),
			Action: "Ask the mail team to take mail from this server's address."}
	}
	e := &egress.Error{Code: mailSilent, Err: err, Message: fmt.Sprintf("The mail server %s takes the connection and does not answer %s.", t.d.addr, to),
		Action: "Ask the mail team whether it takes mail from this server's address, and the firewall team whether something looks into SMTP."}
	if t.d.mail.TLS != configs.MailImplicit {
		e.Action += " If this port has TLS from the first byte, as 465 has, set alerts.mail.tls: implicit."
	}
	return "", e
}

// offered reports whether the server's answer to EHLO has an extension.
func offered(lines []string, extension string) bool {
	for _, l := range lines[min(1, len(lines)):] { // the first is its name
		if name, _, _ := strings.Cut(l, " "); strings.EqualFold(name, extension) {
			return true
		}
	}
	return false
}

// mailError is err with what it means for mail.
func mailError(d *destination, err error) error {
	var e *egress.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Code == egress.ProxyDenied:
		other := *e
		other.Action += " Or, where this server may reach the mail server itself, give it a route: egress.routes with via: [direct]."
		return &other
	case e.Code == egress.CaptivePortal && d.mail.TLS == configs.MailImplicit && errors.As(err, new(tls.RecordHeaderError)):
		return &egress.Error{Code: mailNoTLS, Err: err, Message: fmt.Sprintf("The mail server %s does not speak TLS from the first byte.", d.addr),
			Action: "Set alerts.mail.tls: starttls, or alerts.mail.server to its port with TLS."}
	}
	return err
}
