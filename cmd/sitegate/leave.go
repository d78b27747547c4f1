package main

import (
	"context"
	"fmt"
	"net/http"
)

// pathLeave is where the operator's socket takes a node out of its cluster.
const pathLeave = "/v1/cluster/leave"

const leaveHelp = `
Usage: sitegate cluster leave [--config FILE]

Takes the node that runs on this machine out of its cluster, for good: the others
count their majority without it from then on. It leads no more, hands over what
it does, and then ends. Its data folder stays, and cannot be used to join again.

Example:
  sitegate cluster leave --config /etc/sitegate/sitegate.yaml
`

func leave(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster leave", leaveHelp)
	p.configFlags(f)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	if c.Cluster == nil {
		return usagef("node %s stands alone: there is no cluster in its configuration to leave", c.Node)
	}
	if err := operator(ctx, c, http.MethodPost, pathLeave, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Node %s has left cluster %s, and ends. See to it that nothing starts it again.\nTake it out of cluster.peers and api.nodes on the other nodes, and keep %s as long as you may want to look at it.\n", c.Node, c.Cluster.ID, c.DataDir)
	return nil
}
