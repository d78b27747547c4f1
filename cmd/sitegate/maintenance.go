package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sitegate/api"
)

func maintenance(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate maintenance", []command{
		{"announce", "tell everybody when to expect work on the gateway", maintenanceAnnounce},
		{"over", "take back what was announced", maintenanceOver},
	}, args)
}

const maintenanceAnnounceHelp = `
Usage: sitegate maintenance announce --from TIME --for DURATION [--note TEXT] [--by WHO] [--config FILE]

Tells everybody who is connected, in their language, when to expect work on the
gateway; who connects later sees it, too. It decides nothing: what runs goes on.
It takes the place of what was announced before.

Example:
  sitegate maintenance announce --from 2026-03-07T18:00:00+01:00 --for 2h --note "a new version"
`

const maintenanceOverHelp = `
Usage: sitegate maintenance over [--note TEXT] [--by WHO] [--config FILE]

Takes back what was announced, and tells everybody.

Example:
  sitegate maintenance over --note "not this week"
`

func maintenanceAnnounce(ctx context.Context, p *program, args []string) error {
	f := p.flags("maintenance announce", maintenanceAnnounceHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	from := f.String("from", "", "when it begins, such as 2026-03-07T18:00:00+01:00")
	lasts := f.Duration("for", 0, "how long it takes")
	note := f.String("note", "", "what people are told besides")
	by := f.String("by", "", "who announces it (default: the user of this machine who asks)")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	begins, err := time.Parse(time.RFC3339, *from)
	if err != nil {
		return usagef("maintenance announce: say when, with --from, such as --from 2026-03-07T18:00:00+01:00 (%w)", err)
	}
	if *lasts <= 0 {
		return usagef("maintenance announce: say how long, with --for, such as --for 2h")
	}
	in := api.MaintenanceRequest{From: begins, Until: begins.Add(*lasts), By: *by, Note: *note}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	in.By = p.asker(in.By)
	if err := operator(ctx, c, http.MethodPost, api.PathMaintenance, in, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Everybody is told: maintenance from %s until %s.\n", in.From.UTC().Format(time.RFC3339), in.Until.UTC().Format(time.RFC3339))
	return nil
}

func maintenanceOver(ctx context.Context, p *program, args []string) error {
	f := p.flags("maintenance over", maintenanceOverHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	note := f.String("note", "", "what people are told besides")
	by := f.String("by", "", "who takes it back (default: the user of this machine who asks)")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	in := api.MaintenanceRequest{By: *by, Note: *note}
	in.By = p.asker(in.By)
	if err := operator(ctx, c, http.MethodPost, api.PathMaintenance, in, nil); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "No maintenance is announced any more.")
	return nil
}
