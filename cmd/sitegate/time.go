package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sitegate/api"
)

func siteTime(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate time", []command{
		{"accept", "take the time of the nodes' clocks, which are off from the site's", timeAccept},
	}, args)
}

const timeAcceptHelp = `
Usage: sitegate time accept --note WHY [--by WHO] [--config FILE]

Takes the time of the nodes' clocks for the site's. By itself the site follows its
clocks only as long as they move by less than a minute at once; where they were set,
it goes on counting from what time it was, and sitegate status says so. Set all
nodes' clocks right before: the median of them is taken. Checkouts whose end has
come by then end at once. Time never runs backwards: where the site was ahead, its
time stands until the clocks have caught up. Who accepted it, and why, is kept in
the audit trail.

Example:
  sitegate status
  sitegate time accept --note "clocks set by NTP after the move, ticket 4711"
`

func timeAccept(ctx context.Context, p *program, args []string) error {
	f := p.flags("time accept", timeAcceptHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	note := f.String("note", "", "why, for the audit trail")
	by := f.String("by", "", "who accepts it (default: the user of this machine who asks)")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if strings.TrimSpace(*note) == "" {
		return usagef("time accept: say why, with --note: it is kept in the audit trail")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	*by = p.asker(*by)
	var accepted api.AcceptedTime
	if err := operator(ctx, c, http.MethodPost, api.PathTime+"/accept", api.ReleaseRequest{By: *by, Note: *note}, &accepted); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Accepted by %s: it was %s for the site, and is %s now.\n", *by,
		accepted.Before.UTC().Format(time.RFC3339), accepted.Now.UTC().Format(time.RFC3339))
	return nil
}
