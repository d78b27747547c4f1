package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"sitegate/client"
	"sitegate/client/signin"
)

func logoutFlags(fs *pflag.FlagSet, o *options) {
	fs.BoolVar(&o.anyway, "anyway", false, "forget the sign-in here even if the gateway does not answer; what runs ends with its lease")
}

// logout ends what the user runs on this machine (R8: who changes the machine signs
// out), has the issuer take the sign-in back, and forgets it.
func logout(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("logout takes no arguments")
	}
	f := s.tokens(o)
	if _, err := os.Stat(f.path); f.path == "" || errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(s.stdout, s.textf("Nobody is signed in here."))
		return nil
	}
	err := s.ask(ctx, o, func(ctx context.Context, c *client.Client) error { return c.SignOut(ctx) })
	ended := s.textf("what you ran on this machine has ended")
	switch {
	case err == nil:
	case errors.Is(err, client.ErrUnauthorized):
		ended = s.textf("the sign-in was over already; what still runs here ends with its lease")
	case !o.anyway:
		e := &exitError{err: fmt.Errorf("you are still signed in: %w", err),
			next: []string{"Try again when the gateway can be reached.", "Or forget the sign-in here, and let what runs end with its lease: seat logout --anyway"}}
		e.status, _ = s.explain(err)
		return e
	default:
		s.sayf("%v", err)
		ended = s.textf("what still runs here ends with its lease")
	}
	unlock, err := lock(ctx, f.path+".lock") // a renewal would write the file anew
	if err != nil {
		return err
	}
	defer unlock()
	s.takeBack(ctx, o, f)
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the token file: %w", err)
	}
	if err := forgetBound(f.path); err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, s.textf("Signed out; %s.", ended))
	return nil
}

// takeBack has the issuer forget the refresh token and the keyring the key, as well as
// they can: the file is what counts, and it goes.
func (s *seat) takeBack(ctx context.Context, o *options, f *tokenFile) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.load(ctx)
	if err == nil && k.Refresh != "" && k.Issuer != "" {
		cfg, err := k.config()
		if err == nil {
			err = signin.Revoke(ctx, cfg, k.Refresh)
		}
		if err != nil {
			s.sayf("the sign-in could not be taken back at %s and ends there by itself: %v", k.Issuer, err)
		}
	}
	if f.key != nil || err != nil {
		if err := f.keys.Forget(ctx, f.keyName()); err != nil && f.key != nil {
			s.sayf("the key could not be taken out of the keyring: %v", err)
		}
	}
}
