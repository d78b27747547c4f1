package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"

	"sitegate/license"
)

// Dial opens a connection to host:port by the site's way out.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Mail is a way by e-mail: one message to all its receivers, over TLS in any case.
type Mail struct {
	Server   string // host:port
	Implicit bool   // TLS from the first byte, as on port 465; else STARTTLS, without which nothing is sent
	Username string // empty: the server wants none
	Password func() (string, error)
	From     string
	To       []string
	Dial     Dial
	TLS      func(host string) *tls.Config // for a handshake with the server
	// Refused is told of receivers that the server does not take mail for, where it took
	// the message for others; may be nil.
	Refused func(error)

	mu    sync.Mutex
	taken map[string]map[string]bool // by the key of a message that is not with all: the receivers that the server has taken it for
}

// mostTaken bounds the messages of which is known who has them: twice as many as there are
// alerts that begin and are over, since what is given up stays.
const mostTaken = 4 * license.MaxAlerts

// mailTime bounds sending one mail, and each step of it.
const mailTime = 30 * time.Second

// Name is "mail".
func (*Mail) Name() string { return "mail" }

// Send hands a message to the server, for each receiver by itself: a mailbox that is gone
// keeps it from nobody else, and is told of by Refused. Its Message-ID is made of its key, so that one that
// comes twice is one to whoever looks; the mail that says that something is over answers the
// one that said that it began.
func (x *Mail) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	x.mu.Lock()
	defer x.mu.Unlock()
	taken := x.taken[m.Key]
	if taken == nil {
		if len(x.taken) >= mostTaken || x.taken == nil {
			x.taken = map[string]map[string]bool{}
		}
		taken = map[string]bool{}
		x.taken[m.Key] = taken
	}
	var msgs []*mail.Msg
	var to []string
	for _, one := range x.To {
		if taken[one] {
			continue
		}
		msg, err := x.message(m, one)
		if err != nil {
			return err
		}
		msgs, to = append(msgs, msg), append(to, one)
	}
	client, closeAll, err := x.client(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	err = client.DialAndSendWithContext(ctx, msgs...)
	var refused []error
	again := false
	for i, msg := range msgs {
		switch {
		case msg.IsDelivered(): // whatever went wrong afterwards
			taken[to[i]] = true
		case msg.HasSendError() && !msg.SendErrorIsTemp():
			refused = append(refused, msg.SendError())
		default: // for now
			again = true
		}
	}
	if again || len(taken) == 0 {
		return fmt.Errorf("sending mail by %s: %w", x.Server, err)
	}
	delete(x.taken, m.Key)
	if len(refused) > 0 && x.Refused != nil {
		x.Refused(errors.Join(refused...))
	}
	return nil
}

func (x *Mail) message(m Message, to string) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(x.From), msg.To(to)); err != nil {
		return nil, fmt.Errorf("addressing a mail: %w", err)
	}
	_, domain, _ := strings.Cut(msg.GetFrom()[0].Address, "@")
	msg.SetMessageIDWithValue(m.Key + "@" + domain)
	if m.thread != m.Key {
		msg.SetGenHeader(mail.HeaderInReplyTo, "<"+m.thread+"@"+domain+">")
		msg.SetGenHeader(mail.HeaderReferences, "<"+m.thread+"@"+domain+">")
	}
	msg.SetDate()
	msg.Subject(m.heading())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answers of absence
	msg.SetBodyString(mail.TypeTextPlain, m.body())
	if m.Table != nil {
		if err := msg.AttachReader(m.TableName, bytes.NewReader(m.Table), mail.WithFileContentType("text/csv; charset=utf-8")); err != nil {
			return nil, fmt.Errorf("attaching a table to a mail: %w", err)
		}
	}
	return msg, nil
}

// client is one for one mail, and what closes its connections: the library leaves one open
// whose greeting, STARTTLS or sign-in fails, and looks at ctx only while it dials.
func (x *Mail) client(ctx context.Context) (*mail.Client, func(), error) {
	host, port, err := net.SplitHostPort(x.Server)
	if err != nil {
		return nil, nil, fmt.Errorf("the mail server's address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, nil, fmt.Errorf("the mail server's port: %w", err)
	}
	var mu sync.Mutex
	var open []func() bool
	dial := func(ctx2 context.Context, network, addr string) (net.Conn, error) {
		c, err := x.Dial(ctx2, network, addr)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		mu.Lock()
		open = append(open, func() bool { _ = c.Close(); return stop() })
		mu.Unlock()
		if !x.Implicit {
			return c, nil
		}
		over := tls.Client(c, x.TLS(host))
		if err := over.HandshakeContext(ctx2); err != nil {
			return nil, fmt.Errorf("TLS with %s: %w", x.Server, err)
		}
		return over, nil
	}
	closeAll := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, done := range open {
			done()
		}
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(mailTime), mail.WithDialContextFunc(dial), mail.WithTLSConfig(x.TLS(host)), mail.WithTLSPolicy(mail.TLSMandatory)}
	if x.Implicit {
		options = append(options, mail.WithSSL())
	}
	if x.Username != "" {
		password, err := x.Password()
		if err != nil {
			return nil, nil, fmt.Errorf("reading the mail server's password: %w", err)
		}
		options = append(options, mail.WithUsername(x.Username), mail.WithPassword(password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing a mail: %w", err)
	}
	return client, closeAll, nil
}
