package main

import (
	"context"
	"fmt"
	"net/http"

	"sitegate/api"
)

const leaveHelp = `
Usage: sitegate cluster leave [--note WHY] [--config FILE]

Takes the node that runs on this machine out of its cluster, for good: the others
count their majority without it from then on. It leads no more, hands over what
it does, and then ends. Its data folder stays, and cannot be used again: to come
back, the machine joins with a token and an empty one. The audit trail keeps why; --note
may be left out on the node's own machine only, and not with --url.

Example:
  sitegate cluster leave --note "its machine is retired"
`

func leave(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster leave", leaveHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	note := f.String("note", "", "why, for the audit trail")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	if err := operator(ctx, c, http.MethodPost, api.PathLeave, api.LeaveRequest{Note: *note}, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Node %s has left its cluster, and ends. See to it that nothing starts it again.\nTake it out of cluster.peers and api.nodes on the other nodes, and keep %s as long as you may want to look at it.\n", c.Node, c.DataDir)
	return nil
}
