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
	Name string `json:"name"`
	ID   string `json:"id"`
	Key  struct {
		Kind string `json:"kind,omitempty"` // tpm, file; empty: there is none
		Type string `json:"type,omitempty"` // P-256, Ed25519
		File string `json:"file,omitempty"` // that keeps it, or what its TPM needs
		Err  string `json:"error,omitempty"`
	} `json:"key"`
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
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	var failed error
	if o.dir != "" {
		path := o.keyFile(host)
		switch _, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
		default:
			x.Key.File = path
			key, err := o.keyStore().Open(path)
			if err != nil {
				failed = keyError(err)
				x.Key.Err = err.Error()
				break
			}
			x.Key.Kind = string(key.Kind)
			switch key.Public().(type) {
			case ed25519.PublicKey:
				x.Key.Type = "Ed25519"
			case *ecdsa.PublicKey:
				x.Key.Type = "P-256"
			}
		}
	}
	if o.json {
		return errors.Join(printJSON(s.stdout, x), failed)
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, plain(value)) }
	line("this machine", x.Name)
	line("id", x.ID)
	switch {
	case x.Key.Kind == string(machinekey.TPM):
		line("key", "in the TPM of this computer ("+x.Key.Type+"), of use here alone")
	case x.Key.Kind == string(machinekey.File):
		line("key", "in a file ("+x.Key.Type+"), of use to whoever has a copy")
	case x.Key.Err != "":
		line("key", "cannot be used")
	default:
		line("key", "none yet: it is made when a license is used for the first time ("+o.machineKey+")")
	}
	if x.Key.File != "" {
		line("kept in", x.Key.File)
	}
	return errors.Join(w.Flush(), failed)
}
