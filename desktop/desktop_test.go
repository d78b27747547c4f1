package desktop

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNothingInANoticeIsObeyed(t *testing.T) {
	for in, want := range map[string]string{
		`WS-202 has tried to start.`: `WS-202 has tried to start.`,
		`<b>x</b> & "y" 'z'`:         `‹b›x‹/b› + “y” ’z’`,
		"--help\x1b[2J\nbye":         `help[2J bye`,
		"a\u202eb `rm` $(id) %s \\n": `ab ’rm’  (id)  s  n`,
		"Größe à l’écran":            "Größe à l’écran",
	} {
		if got := harmless(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := []rune(harmless(strings.Repeat("ä", 400))); len(got) != longest+1 {
		t.Errorf("%d runes of a long one, want %d", len(got), longest+1)
	}
}

func TestADesktopThatHangsKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []string
		free := make(chan struct{})
		n := &Notifier{show: func(_, text string) error {
			<-free
			shown = append(shown, text)
			return nil
		}}
		for _, text := range strings.Split("abcdefghijkl", "") {
			n.Show("sitegate", text)
			synctest.Wait()
		}
		began := time.Now()
		n.Flush(t.Context())
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("Flush took %v of a desktop that hangs, want ten seconds", took)
		}
		close(free)
		n.Flush(t.Context())
		if want := strings.Split("aefghijkl", ""); !slices.Equal(shown, want) {
			t.Errorf("shown %v, want the first and the last eight: %v", shown, want)
		}
		n.Show("sitegate", "later")
		n.Flush(t.Context())
		if last := shown[len(shown)-1]; last != "later" {
			t.Errorf("the last shown is %q, want what came later", last)
		}
	})
	var none *Notifier
	none.Show("sitegate", "x")
	none.Flush(t.Context())
}

func TestNoDesktopNoNotifier(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("there is one always")
	}
	for name, env := range map[string]map[string]string{
		"nothing":   {},
		"no bus":    {"DISPLAY": ":0", "XDG_RUNTIME_DIR": t.TempDir()},
		"no screen": {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/none"},
	} {
		if n := NewNotifier(func(k string) string { return env[k] }, "sitegate"); n != nil {
			t.Errorf("%s: got a notifier, want none", name)
		}
	}
}

func TestKeyringThatIsNotThere(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("there is one always")
	}
	env := map[string]string{"XDG_RUNTIME_DIR": t.TempDir()}
	k := Keyring{Getenv: func(k string) string { return env[k] }}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := k.Get(ctx, "x"); !errors.Is(err, ErrNoKeyring) {
		t.Errorf("Get without a session bus = %v, want %v", err, ErrNoKeyring)
	}
	if err := k.Set(ctx, "x", "y"); !errors.Is(err, ErrNoKeyring) {
		t.Errorf("Set without a session bus = %v, want %v", err, ErrNoKeyring)
	}
}

func TestKeyringThatHangs(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("it is not asked whether there is a bus")
	}
	k := Keyring{Getenv: func(string) string { return "unix:path=/none" }}
	over := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan struct{})
	got, err := k.ask(ctx, func() (string, error) {
		defer close(late)
		cancel()
		<-over
		return "too late", nil
	})
	if got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v; want %v", got, err, context.Canceled)
	}
	close(over)
	<-late
	if got != "" { // the race detector looks as well
		t.Errorf("then it is %q, want nothing that came too late", got)
	}
}

func TestNobodyComesFromElsewhereHere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the test may run on a terminal server")
	}
	t.Setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.8 22")
	if name, there := Origin(); there {
		t.Errorf("Origin = %q, want none: an address is no machine's name", name)
	}
}
