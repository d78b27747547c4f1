package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"

	"sitegate/configs"
)

const checkHelp = `
Usage: sitegate check [--config FILE]

Reads a configuration as "serve" would, without starting anything. All that is
wrong is listed at once, with line, key and the way out (exit status 64). If
nothing is, it shows every setting and where it comes from: the file, the
environment, a flag, or the default. Secrets are in files of their own, which are
looked into and not shown.

Example:
  sitegate check --config /etc/sitegate/sitegate.yaml
`

func check(_ context.Context, p *program, args []string) error {
	f := p.flags("check", checkHelp)
	p.configFlags(f)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, origins, err := p.loadChecked(f)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, s := range c.Settings(origins) {
		fmt.Fprintf(t, "%s\t%s\t(%s)\n", s.Key, cmp.Or(s.Value, "-"), s.Origin)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	_, joined, err := readMembership(c)
	switch {
	case err != nil:
		return err
	case !c.Cluster.Made() && joined:
		fmt.Fprintln(p.stdout, "\nNo cluster is set: its data folder says which one it has joined, or began.")
	case !c.Cluster.Made():
		fmt.Fprintln(p.stdout, "\nNo cluster is set: this node stands alone, until others join it.")
	}
	if (joined || c.Cluster.Made()) && c.Privacy.Hashes() && c.Privacy.KeyFile == "" {
		fmt.Fprintf(p.stdout, "\nThe key for hashed names is %s. Nodes that join are given the same; one that joined before that was so, or was set up otherwise, "+
			"writes other hashes of the same name, unless it has a copy of it there, or privacy.key_file names the same key on all.\n", privacyKey(c))
	}
	if c.Connect != nil && c.Relay == nil && c.Connect.Relayed != configs.RelayedTunnel {
		fmt.Fprintln(p.stdout, "\nThe forward proxy is set, and relay is not: discovery, entitlement and usage of the vendor's own client are neither relayed nor tunnelled to. "+
			"The PAC file leaves those hosts to the site's own way; a desktop that sends everything to the forward proxy does not reach them.")
	}
	if c.Cloud == nil {
		fmt.Fprintln(p.stdout, "\nNo cloud is set: nothing is mirrored, so nobody can be granted anything yet.")
	}
	fmt.Fprintln(p.stdout, "\nThe configuration is in order.")
	return nil
}
