package desktop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/zalando/go-keyring"
)

// What a keyring has not.
var (
	// ErrNoKeyring: there is none here, or it cannot be opened.
	ErrNoKeyring = errors.New("there is no keyring")
	// ErrNotKept: it has nothing of that name.
	ErrNotKept = errors.New("the keyring does not have it")
)

const keyringService = "sitegate"

// Keyring is the system's: the Credential Manager, the Keychain, or what answers to
// the Secret Service on the session bus. It is for small secrets: Windows takes 2560
// bytes, macOS about as many.
type Keyring struct {
	// Getenv is the environment, in which a session bus is looked for.
	Getenv func(string) string
}

// Get is the secret of that name. Errors: ErrNotKept, ErrNoKeyring, and the
// context's, where a person was asked to unlock the keyring and did not.
func (k Keyring) Get(ctx context.Context, name string) (secret string, err error) {
	return k.ask(ctx, func() (string, error) { return keyring.Get(keyringService, name) })
}

// Set keeps a secret, in place of one that has that name.
func (k Keyring) Set(ctx context.Context, name, secret string) error {
	_, err := k.ask(ctx, func() (string, error) { return "", keyring.Set(keyringService, name, secret) })
	return err
}

// Forget removes a secret. That there is none is no error.
func (k Keyring) Forget(ctx context.Context, name string) error {
	_, err := k.ask(ctx, func() (string, error) { return "", keyring.Delete(keyringService, name) })
	if errors.Is(err, ErrNotKept) {
		return nil
	}
	return err
}

// ask does something that may hang for as long as nobody unlocks the keyring. What
// is not over with the context goes on without the caller, and nobody hears of it.
func (k Keyring) ask(ctx context.Context, do func() (string, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if !k.reachable() {
		return "", ErrNoKeyring
	}
	type answer struct {
		secret string
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		secret, err := do()
		done <- answer{secret, err}
	}()
	select {
	case a := <-done:
		switch {
		case a.err == nil:
			return a.secret, nil
		case errors.Is(a.err, keyring.ErrNotFound):
			return "", ErrNotKept
		}
		return "", fmt.Errorf("%w that opens: %w", ErrNoKeyring, a.err)
	case <-ctx.Done():
		return "", fmt.Errorf("the keyring does not answer: %w", ctx.Err())
	}
}

// reachable reports whether there is a session bus to ask. Where there is none, the
// library would start one of its own, which nobody would end.
func (k Keyring) reachable() bool {
	switch runtime.GOOS {
	case "windows", "darwin":
		return true
	}
	return sessionBus(k.Getenv)
}

// sessionBus reports whether the user's session has a bus.
func sessionBus(getenv func(string) string) bool {
	if getenv == nil {
		return false
	}
	if v := getenv("DBUS_SESSION_BUS_ADDRESS"); v != "" {
		return v != "disabled:"
	}
	dir := getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	}
	info, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil && info.Mode()&os.ModeSocket != 0
}
