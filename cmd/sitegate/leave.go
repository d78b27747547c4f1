package main

import (
	"context"
	"fmt"
	"net/http"

	"sitegate/api"
)

const leaveHelp = `
Usage: sitegate cluster leave [--config FILE]

Takes the node that runs on this machine out of its cluster, for good: the others
count their majority without it from then on. It leads no more, hands over what
it does, and then ends. Its data folder stays, and cannot be used again: to come
back, the machine joins with a token and an empty one.

Example:
  sitegate cluster leave --config /etc/sitegate/sitegate.yaml
`

func leave(ctx context.Context, p *program, args []string) error {
	c, err := p.asking("cluster leave", leaveHelp, args)
	if err != nil {
		return err
	}
	if err := operator(ctx, c, http.MethodPost, api.PathLeave, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Node %s has left its cluster, and ends. See to it that nothing starts it again.\nTake it out of cluster.peers and api.nodes on the other nodes, and keep %s as long as you may want to look at it.\n", c.Node, c.DataDir)
	return nil
}
