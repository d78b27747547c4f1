package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sitegate/configs"
)

// seatOf is a terminal with a person at it, who sees what is written and types.
type seatOf struct {
	t    *testing.T
	end  *os.File // the person's
	tty  *os.File // the program's
	mu   sync.Mutex
	seen bytes.Buffer // since the last answer
	all  bytes.Buffer
}

func openTerminal(t *testing.T) *seatOf {
	t.Helper()
	end, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this machine has no pseudo-terminals:", err)
	}
	t.Cleanup(func() { end.Close() })
	if err := unix.IoctlSetPointerInt(int(end.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("this machine has no pseudo-terminals:", err)
	}
	n, err := unix.IoctlGetInt(int(end.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip("this machine has no pseudo-terminals:", err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this machine has no pseudo-terminals:", err)
	}
	t.Cleanup(func() { tty.Close() })
	s := &seatOf{t: t, end: end, tty: tty}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := end.Read(b)
			s.mu.Lock()
			s.seen.Write(b[:n])
			s.all.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// sees waits until something stands there.
func (s *seatOf) sees(want string) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		got := s.seen.String()
		s.mu.Unlock()
		if strings.Contains(got, want) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the terminal shows %q, want %q", got, want)
		}
	}
}

// echoes waits until what is typed is shown, or is not any more.
func (s *seatOf) echoes(want bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		about, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
		if err == nil && (about.Lflag&unix.ECHO != 0) == want {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("for a minute now the terminal does not come to show (%t) what is typed", want)
		}
	}
}

// answers waits for a question, and types. What it has seen by then it forgets.
func (s *seatOf) answers(question, text string) {
	s.t.Helper()
	s.sees(question)
	if strings.Contains(question, "is not shown") {
		s.echoes(false)
	}
	s.mu.Lock()
	s.seen.Reset()
	s.mu.Unlock()
	if _, err := io.WriteString(s.end, text+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

func TestInitAsksAtATerminal(t *testing.T) {
	s := openTerminal(t)
	file := filepath.Join(t.TempDir(), "sitegate.yaml")
	var out bytes.Buffer
	status := make(chan int, 1)
	go func() { status <- run(t.Context(), []string{"init", "--config", file}, nil, s.tty, &out, s.tty) }()
	s.answers("Name of this node", "gw 1")
	s.sees("is not a name")
	s.answers("Name of this node", "gw1")
	s.answers("desktops reach it [127.0.0.1:8443]", "gw1.plant.test")
	s.sees("is not host:port")
	s.answers("desktops reach it", "gw1.plant.test:8443")
	s.answers("Folder of what it keeps [data]", "")
	s.answers("or none [none]", "http://cloud.plant.test")
	s.sees("is not https")
	s.answers("or none [none]", "https://cloud.plant.test")
	s.answers("id (account) there", "")
	s.sees("is missing")
	s.answers("id (account) there", "site: #1")
	s.answers("secret there (it is not shown)", "hush-hush")
	s.answers("The way out", "http://proxy.test:8080/proxy.pac")
	s.answers("Who vouches for users", "https://login.plant.test")
	s.answers("audience", "")
	select {
	case got := <-status:
		if got != 0 {
			t.Fatalf("status %d: %s", got, s.all.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("it has not ended in a minute")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(s.all.String(), "hush-hush") {
		t.Errorf("the secret was shown:\n%s", s.all.String())
	}
	if status, _, stderr := sitegate(t, nil, "check", "--config", file); status != 0 {
		t.Error(stderr)
	}
	c, _, err := configs.Load(file, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Node != "gw1" || c.API.URL != "https://gw1.plant.test:8443" || c.API.Listen != ":8443" || c.Cloud.SiteID != "site: #1" ||
		c.Egress.PAC.URL != "http://proxy.test:8080/proxy.pac" || c.SignIn[0].Issuer != "https://login.plant.test" {
		t.Errorf("got %+v, %+v", c, c.Cloud)
	}
	if got, err := os.ReadFile(c.Cloud.SecretFile); err != nil || string(got) != "hush-hush\n" {
		t.Errorf("the secret came out as %q, %v", got, err)
	}
	if !strings.Contains(out.String(), "sitegate serve --config "+file) {
		t.Errorf("it does not say what is next:\n%s", out.String())
	}
}

// Who leaves in the middle leaves no file, and a terminal that shows what is typed.
func TestInitIsLeftInTheMiddle(t *testing.T) {
	s := openTerminal(t)
	dir := t.TempDir()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var out bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"init", "--config", filepath.Join(dir, "sitegate.yaml")}, nil, s.tty, &out, s.tty)
	}()
	s.answers("Name of this node", "gw1")
	s.answers("desktops reach it", "")
	s.answers("Folder of what it keeps", "")
	s.answers("or none [none]", "https://cloud.plant.test")
	s.answers("id (account) there", "site-1")
	s.sees("it is not shown")
	leave() // which may come before it waits
	select {
	case got := <-status:
		if got != 1 {
			t.Errorf("status %d, want 1", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("it has not ended in a minute")
	}
	s.sees("nothing was written")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s.echoes(true)
	io.WriteString(s.end, "\n") // what waits for an answer ends, too
}

// At a terminal nobody is asked for what could not be written then.
func TestInitAsksNothingWhereAFileIsThere(t *testing.T) {
	for _, name := range []string{"cloud.secret", "proxy.password"} {
		s := openTerminal(t)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("another one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, stderr bytes.Buffer
		if status := run(t.Context(), []string{"init", "--config", filepath.Join(dir, "sitegate.yaml")}, nil, s.tty, &out, &stderr); status != 64 ||
			!strings.Contains(stderr.String(), name+" is there already") || strings.Contains(stderr.String(), "Name of this node") {
			t.Errorf("status %d: %s", status, stderr.String())
		}
	}
}
