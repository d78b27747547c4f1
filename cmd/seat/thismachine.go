package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	"sitegate/client/machinekey"
)

// thisMachine is what a computer is to a gateway.
type thisMachine struct {
	Name string   `json:"name"`
	ID   string   `json:"id"`
	Key  shownKey `json:"key"`
}

// shownKey is where this computer's key is.
type shownKey struct {
	Kind string `json:"kind,omitempty"` // tpm, file; empty: there is none
	Type string `json:"type,omitempty"` // P-256, Ed25519
	File string `json:"file,omitempty"` // that keeps it, or what its TPM needs
	Why  string `json:"why,omitempty"`  // the TPM is not used, or would not be for a new key
	Err  string `json:"error,omitempty"`

	why, failed error
}

// key looks where this computer's key is, and makes none.
func (o *options) key() (k shownKey, _ error) {
	host, err := os.Hostname()
	if err != nil || o.dir == "" {
		return k, err
	}
	path := o.keyFile(host)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		k.File = path
		key, err := o.keyStore().Open(path)
		if err != nil {
			k.Err, k.failed = err.Error(), keyError(err)
			return k, nil
		}
		k.Kind = string(key.Kind)
		switch key.Public().(type) {
		case ed25519.PublicKey:
			k.Type = "Ed25519"
		case *ecdsa.PublicKey:
			k.Type = "P-256"
		}
	}
	if k.Kind != string(machinekey.TPM) {
		if k.why = o.keyStore().Why(); k.why != nil {
			k.Why = k.why.Error()
		}
	}
	return k, nil
}

// place says where the key is, and what that means.
func (k shownKey) place(asked string) string {
	switch {
	case k.Err != "":
		return "cannot be used"
	case k.Kind == string(machinekey.TPM):
		return "in the TPM of this computer (" + k.Type + "), of use here alone"
	case k.Kind == string(machinekey.File):
		return "in a file (" + k.Type + "), of use to whoever has a copy"
	}
	return "none yet: it is made when a license is used for the first time (" + asked + ")"
}

// instead says why the TPM does not keep it; empty: it does, or is not asked to.
func (k shownKey) instead(asked string) string {
	switch {
	case k.Err != "" || k.Kind == string(machinekey.TPM) || asked == string(machinekey.File):
		return ""
	case k.why == nil && k.Kind == "":
		return "it will keep the key"
	case k.why == nil:
		return "it can be used, and keeps a key that is made anew"
	}
	return "not used, since " + k.Why
}

// showMachine shows what the computer is to the gateway. It makes no key.
func showMachine(_ context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("machine takes no arguments")
	}
	m, err := o.machine()
	if err != nil {
		return usagef("%w", err)
	}
	x := thisMachine{Name: m.Name, ID: m.ID}
	if x.Key, err = o.key(); err != nil {
		return err
	}
	if o.json {
		return errors.Join(printJSON(s.stdout, x), x.Key.failed)
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, plain(value)) }
	line("this machine", x.Name)
	line("id", x.ID)
	line("key", x.Key.place(o.machineKey))
	if tpm := x.Key.instead(o.machineKey); tpm != "" {
		line("TPM", tpm)
	}
	if x.Key.File != "" {
		line("kept in", x.Key.File)
	}
	return errors.Join(w.Flush(), x.Key.failed)
}
