package main

import (
	"context"
	"net/url"

	"sitegate/api"
)

const machinesHelp = `
Usage: sitegate machines show NAME [--id] [--reason WHY] [--json] [--config FILE]

Shows what is open on a machine, and with --reason what happened there lately, too: who
looked, where and why is in the audit trail. The machine is meant by its name, or with
--id by its id.

Examples:
  sitegate machines show WS-101
  sitegate machines show WS-101 --reason "ticket 4711: whose was it on Monday"
`

func machines(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate machines", []command{
		{"show", "show what is open on a machine, and with a reason what happened lately", machinesShow},
		{"forget-key", "take from a machine the key that it goes by", machineForgetKey},
	}, args)
}

func machinesShow(ctx context.Context, p *program, args []string) error {
	f := p.flags("machines show", machinesHelp)
	byID := f.Bool("id", false, "NAME is the machine's id")
	asJSON := f.Bool("json", false, "print it as JSON")
	var why looked
	why.add(f)
	p.configFlags(f)
	p.remoteFlags(f)
	rest, err := p.parse(f, args)
	name, err := p.oneName(f, rest, err)
	if err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	key := "machine"
	if *byID {
		key = "machine_id"
	}
	var all struct {
		Open    []api.Open        `json:"open"`
		History []api.HistoryItem `json:"history,omitempty"`
	}
	if all.Open, all.History, err = p.lately(ctx, c, url.Values{key: {name}}, why); err != nil {
		return err
	}
	if *asJSON {
		return p.json(all)
	}
	return p.showLately(all.Open, all.History, why)
}
