//go:build !windows && !darwin

package desktop

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Where a session need not have a desktop, a bus or a keyring.

func TestNoDesktopNoNotifier(t *testing.T) {
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
