package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"sitegate/client"
	"sitegate/client/machinekey"
	"sitegate/client/tpmkey"
)

// keptBound is what a seat needs to go by this computer's key while there is no access
// token to be had: beside the token file, since it belongs to that sign-in. It is no secret.
type keptBound struct {
	client.Bound
	Machine string `json:"machine"`
	Host    string `json:"host,omitempty"`
}

// withKey has the client go by this computer's key, where there is a place to keep one.
func (s *seat) withKey(cfg *client.Config, o *options) error {
	if o.dir == "" || o.keyless {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	if o.origin != nil {
		if _, elsewhere := o.origin(); elsewhere { // the key is of the computer that seat runs on
			cfg.Host = host
		}
	}
	path := o.keyFile(host)
	key, err := o.keyStore().Open(path)
	if err != nil {
		if _, nothing := os.Stat(path); nothing != nil && o.machineKey != string(machinekey.TPM) { // nothing can be kept there
			s.sayf("going without a key of this computer: %v", err)
			return nil
		}
		return err
	}
	cfg.Key = key.Signer
	if key.Why != nil { // it was made just now: this is said once
		s.sayf("the TPM of this computer is not used (%v): a file keeps this computer's key, and is of use to whoever has a copy", key.Why)
	}
	at := boundFile(o.tokenFile)
	if b, err := os.ReadFile(at); err == nil && len(b) <= maxToken {
		var k keptBound
		if json.Unmarshal(b, &k) == nil && k.Machine == cfg.Machine.ID && k.Host == cfg.Host && k.User != "" {
			cfg.Bound = &k.Bound
		}
	}
	cfg.OnBound = func(b client.Bound) {
		if err := writeBound(at, keptBound{b, cfg.Machine.ID, cfg.Host}); err != nil {
			s.sayf("%v", err) // it goes on: without the sign-in, the next seat cannot
		}
	}
	return nil
}

// keyFile is where the key of a computer is kept: a home may be on a server, and each
// computer has its own.
func (o *options) keyFile(host string) string { return o.keeps("machine-key-" + fileName(host)) }

func (o *options) keyStore() machinekey.Store {
	return machinekey.Store{Keystore: tpmkey.TPM{Path: o.tpm}, Want: machinekey.Kind(o.machineKey)}
}

// keyKind reports whether it is a kind of key that can be asked for.
func keyKind(kind string) bool {
	switch machinekey.Kind(kind) {
	case "", machinekey.Auto, machinekey.TPM, machinekey.File:
		return true
	}
	return false
}

// keyError is why a computer's key cannot be used: what a TPM may do better a little later
// is no mistake of who has asked.
func keyError(err error) error {
	if errors.Is(err, tpmkey.ErrBusy) || errors.Is(err, tpmkey.ErrFailed) {
		return &exitError{status: exitUnavailable, err: err}
	}
	return usagef("%w", err)
}

func boundFile(tokenFile string) string { return tokenFile + ".machine" }

// forgetBound is for a sign-in that is another one, or none, from now on.
func forgetBound(tokenFile string) error {
	if err := os.Remove(boundFile(tokenFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting who this computer goes by its key for: %w", err)
	}
	return nil
}

func writeBound(path string, k keptBound) error {
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := writeWhole(path, append(b, '\n')); err != nil {
		return fmt.Errorf("keeping who this computer goes by its key for: %w", err)
	}
	return nil
}

// fileName is a host's name as a file can have it.
func fileName(host string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, strings.ToLower(host))
}

// sayByKey says, once each time, that the sign-in is out of reach and the key has taken
// its place.
func (s *seat) sayByKey(c *client.Client, was *bool, tell func(string)) {
	now := c.SignIn()
	if now.ByKey && !*was {
		tell(s.textf("your sign-in cannot be renewed: what runs goes on, and something new can be started until %s; sign in again when you can: seat login", clock(now.Until)))
	}
	*was = now.ByKey
}
