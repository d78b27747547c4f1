// Package smtptest is a mail server for tests: it speaks SMTP with STARTTLS, or TLS from the
// first byte, asks for a sign-in where it is told to, keeps what it was given, and can be
// told to misbehave. It knows nothing of who sends.
package smtptest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
)

// Server is a mail server on loopback. Its fields are set before Start.
type Server struct {
	Certificate    tls.Certificate
	Implicit       bool   // TLS from the first byte
	NoStartTLS     bool   // it does not offer it
	User, Password string // who may send; an empty User: anybody
	Mechanisms     string // of AUTH; empty: "PLAIN LOGIN"
	// Gone is the answer to receivers that mail is not taken for, by their addresses.
	Gone map[string]string

	ln      net.Listener
	mu      sync.Mutex
	open    map[net.Conn]bool
	got     []Mail
	refuse  string // the answer to MAIL, instead of 250
	silent  bool   // it does not greet
	refused int
	asked   bool // somebody has begun to sign in
	wg      sync.WaitGroup
}

// Mail is one that was taken.
type Mail struct {
	From, User string // of the envelope; who signed in
	To         []string
	TLS        bool
	Message    *mail.Message
	Body       string
}

// ID is its Message-ID.
func (m Mail) ID() string { return m.Message.Header.Get("Message-ID") }

// Start has it listen until the test ends.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ln, s.open = ln, map[net.Conn]bool{}
	if s.Mechanisms == "" {
		s.Mechanisms = "PLAIN LOGIN"
	}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[c] = true
			s.mu.Unlock()
			s.wg.Go(func() {
				s.serve(c)
				s.mu.Lock()
				delete(s.open, c)
				s.mu.Unlock()
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		for c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Got are the mails that it has taken, in their order.
func (s *Server) Got() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.got...)
}

// Open is how many connections there are.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// SignedIn reports whether anybody has begun to sign in, with the right secret or not.
func (s *Server) SignedIn() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

// Refuse has it answer so to every mail (450 …) until it is told the empty string, and
// tells how often it has.
func (s *Server) Refuse(answer string) (refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = answer
	return s.refused
}

// Silence has it not greet those who connect from now on.
func (s *Server) Silence() { s.mu.Lock(); defer s.mu.Unlock(); s.silent = true }

func (s *Server) serve(c net.Conn) {
	s.mu.Lock()
	silent := s.silent
	s.mu.Unlock()
	x := &conversation{s: s, c: c}
	if s.Implicit {
		over := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.Certificate}})
		if over.Handshake() != nil {
			return
		}
		x.c, x.secure = over, true
	}
	x.in = bufio.NewReader(x.c)
	if silent {
		_, _ = x.in.ReadByte() // until the other side gives up
		return
	}
	x.say("220 mail.test ESMTP")
	for x.step() {
	}
}

// conversation is one with somebody who sends.
type conversation struct {
	s      *Server
	c      net.Conn
	in     *bufio.Reader
	secure bool
	mail   Mail
}

func (x *conversation) say(format string, args ...any) { fmt.Fprintf(x.c, format+"\r\n", args...) }

func (x *conversation) line() (string, bool) {
	l, err := x.in.ReadString('\n')
	return strings.TrimRight(l, "\r\n"), err == nil
}

// step answers one command, and reports whether there may be another.
func (x *conversation) step() bool {
	line, ok := x.line()
	if !ok {
		return false
	}
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		x.say("250-mail.test")
		if !x.secure && !x.s.NoStartTLS {
			x.say("250-STARTTLS")
		}
		if x.secure && x.s.User != "" {
			x.say("250-AUTH %s", x.s.Mechanisms)
		}
		x.say("250 8BITMIME")
	case "STARTTLS":
		x.say("220 go on")
		over := tls.Server(x.c, &tls.Config{Certificates: []tls.Certificate{x.s.Certificate}})
		if over.Handshake() != nil {
			return false
		}
		x.c, x.in, x.secure = over, bufio.NewReader(over), true
	case "AUTH":
		x.s.mu.Lock()
		x.s.asked = true
		x.s.mu.Unlock()
		return x.signIn(rest)
	case "MAIL":
		x.begin(rest)
	case "RCPT":
		to := address(rest)
		if said := x.s.Gone[to]; said != "" {
			x.say(said)
			break
		}
		x.mail.To = append(x.mail.To, to)
		x.say("250 ok")
	case "DATA":
		return x.data()
	case "RSET", "NOOP":
		x.say("250 ok")
	case "QUIT":
		x.say("221 bye")
		return false
	default:
		x.say("502 not here")
	}
	return true
}

func (x *conversation) begin(rest string) {
	x.s.mu.Lock()
	refuse := x.s.refuse
	if refuse != "" {
		x.s.refused++
	}
	x.s.mu.Unlock()
	switch {
	case refuse != "":
		x.say("%s", refuse)
	case x.s.User != "" && x.mail.User != x.s.User:
		x.say("530 sign in first")
	default:
		x.mail = Mail{From: address(rest), User: x.mail.User, TLS: x.secure}
		x.say("250 ok")
	}
}

// address is what stands in angle brackets.
func address(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

func (x *conversation) signIn(rest string) bool {
	how, first, _ := strings.Cut(rest, " ")
	decode := func(s string) string { b, _ := base64.StdEncoding.DecodeString(s); return string(b) }
	var user, password string
	switch {
	case how == "PLAIN" && strings.Contains(x.s.Mechanisms, how):
		if parts := strings.Split(decode(first), "\x00"); len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case how == "LOGIN" && strings.Contains(x.s.Mechanisms, how):
		for i, ask := range []string{"Username:", "Password:"} {
			x.say("334 %s", base64.StdEncoding.EncodeToString([]byte(ask)))
			line, ok := x.line()
			if !ok {
				return false
			}
			if i == 0 {
				user = decode(line)
			} else {
				password = decode(line)
			}
		}
	default:
		x.say("504 no such mechanism")
		return true
	}
	if user != x.s.User || password != x.s.Password {
		x.say("535 not you")
		return true
	}
	x.mail.User = user
	x.say("235 welcome")
	return true
}

func (x *conversation) data() bool {
	x.say("354 go on")
	var text strings.Builder
	for {
		line, ok := x.line()
		if !ok {
			return false
		}
		if line == "." {
			break
		}
		text.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
	}
	msg, err := mail.ReadMessage(strings.NewReader(text.String()))
	if err != nil {
		x.say("554 no mail: %v", err)
		return true
	}
	_, x.mail.Body, _ = strings.Cut(text.String(), "\r\n\r\n")
	x.mail.Message = msg
	x.s.mu.Lock()
	x.s.got = append(x.s.got, x.mail)
	x.s.mu.Unlock()
	x.say("250 taken")
	return true
}
