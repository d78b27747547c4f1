package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is where a person is asked.
type terminal struct {
	in  *os.File
	out io.Writer
	buf *bufio.Reader // of in: a line at a time, as a terminal gives them
}

// terminal is the one that this program was started at; nil: none.
func (p *program) terminal() *terminal {
	in, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	return &terminal{in: in, out: p.stderr, buf: bufio.NewReader(in)}
}

func (t *terminal) say(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// errNoAnswer is for who leaves in the middle.
var errNoAnswer = errors.New("no more answers came: nothing was written")

// line reads a line; hidden: without showing it. When ctx ends, the terminal is as it was.
func (t *terminal) line(ctx context.Context, hidden bool) (string, error) {
	shown := func() {}
	if hidden { // before anything waits, so that what shows it again comes after this
		var err error
		if shown, err = t.hide(); err != nil {
			return "", fmt.Errorf("asking at this terminal: %w", err)
		}
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // it may wait for ever, where nobody answers: until the program has ended
		var a answer
		a.text, a.err = t.buf.ReadString('\n')
		got <- a
	}()
	select {
	case a := <-got:
		shown()
		if hidden {
			t.say("\n")
		}
		if a.err != nil && !(errors.Is(a.err, io.EOF) && a.text != "") {
			return "", errNoAnswer
		}
		if hidden {
			return strings.TrimRight(a.text, "\r\n"), nil
		}
		return strings.TrimSpace(a.text), nil
	case <-ctx.Done():
		shown()
		t.say("\n")
		return "", errNoAnswer
	}
}

// hide has the terminal not show what is typed; show has it be as it was.
func (t *terminal) hide() (show func(), err error) {
	fd := int(t.in.Fd())
	about, err := unix.IoctlGetTermios(fd, readTermios)
	if err != nil {
		return nil, err
	}
	before := *about
	about.Lflag &^= unix.ECHO
	about.Lflag |= unix.ICANON | unix.ISIG
	about.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, writeTermios, about); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, writeTermios, &before) }, nil // which it has taken before
}

// questions asks one after the other, until one is not answered.
type questions struct {
	ctx context.Context
	t   *terminal
	err error
}

// ask asks until the answer is one that check has nothing against. Empty is what is the case
// otherwise; where that is empty, too, there has to be an answer.
func (q *questions) ask(text, otherwise string, check func(string) error) string {
	for q.err == nil {
		if otherwise == "" {
			q.t.say("%s: ", text)
		} else {
			q.t.say("%s [%s]: ", text, otherwise)
		}
		var s string
		if s, q.err = q.t.line(q.ctx, false); q.err != nil {
			return ""
		}
		if s == "" {
			s = otherwise
		}
		wrong := check(s)
		if wrong == nil {
			return s
		}
		q.t.say("  %v\n", wrong)
	}
	return ""
}

// secret asks for what is not shown, until there is something.
func (q *questions) secret(text string) string {
	for q.err == nil {
		q.t.say("%s: ", text)
		var s string
		if s, q.err = q.t.line(q.ctx, true); q.err == nil && s != "" {
			return s
		}
	}
	return ""
}
