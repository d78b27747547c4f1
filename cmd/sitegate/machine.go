package main

import (
	"context"
	"fmt"
	"net/http"

	"sitegate/api"
)

const machineForgetKeyHelp = `
Usage: sitegate machines forget-key --user USER --machine NAME [--note TEXT] [--by WHO] [--config FILE]

Takes from a user's machine the key that it goes by, so that another one may take its
place whatever is open there: for a machine that was set up anew while a license was
checked out to it. What it has signed with the old key is good for nothing at once. USER
is a user's id or e-mail address, and NAME the machine's name, as the notice about it
has them. --url, --token-file and --ca-file ask a node on another machine, any.

Example:
  sitegate machines forget-key --user ada@acme.example --machine WS-101 --note "WS-101 has a new disk"
`

func machineForgetKey(ctx context.Context, p *program, args []string) error {
	f := p.flags("machines forget-key", machineForgetKeyHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	user := f.String("user", "", "whose machine it is, by the user's id or e-mail address")
	name := f.String("machine", "", "the machine, by its name")
	note := f.String("note", "", "why")
	by := f.String("by", "", "who does it (default: the user of this machine who asks)")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *user == "" || *name == "" {
		return usagef("machines forget-key: say whose machine, with --user, and which, with --machine")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	in := api.ForgetKeyRequest{Machine: api.Machine{Name: *name}, By: *by, Note: *note}
	in.By = p.asker(in.By)
	id, err := userID(ctx, c, *user)
	if err != nil {
		return err
	}
	var known api.SiteUser // of whom there is none nothing is forgotten
	if err := operator(ctx, c, http.MethodGet, api.Of(api.PathSiteUsers, id, ""), nil, &known); err != nil {
		return err
	}
	if err := operator(ctx, c, http.MethodPost, api.Of(api.PathUsers, id, "/forget-key"), in, nil); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "The machine goes by no key any more, until it shows one.")
	return nil
}
