package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"sitegate/api"
)

const removeHelp = `
Usage: sitegate cluster remove NODE [--note WHY] [--force] [--rekey] [--config FILE]

Takes a node out of the cluster for good: it counts for no majority any more, and
its data folder and its certificate are refused by all others from then on. Use it
for a node whose machine or disk is lost; one that still runs leaves by itself
(sitegate cluster leave). The audit trail keeps why; --note may be left out on a node's
own machine only, and not with --url.

It is refused where the nodes that stay would have no majority, as far as is known.
--force, with a note, does it all the same.

A node that voted has had the key of the site CA. The others know it by its own key
and let it in no more, but with the CA's it can still deceive clients. Where its disk
may be read by others, --rekey, with a note, replaces the CA at once, and the old one
stays trusted for 30 days: see sitegate cluster rekey, which does it later, and with
--overlap for another time.

Example:
  sitegate cluster remove gw2 --note "disk failed"
`

func clusterRemove(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster remove", removeHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	note := f.String("note", "", "why, for the audit trail")
	force := f.Bool("force", false, "though no majority would be left; needs --note")
	rekey := f.Bool("rekey", false, "replace the site CA, whose key it may have had; the old one is trusted for 30 days more; needs --note")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("cluster remove: name one node; see sitegate cluster remove --help")
	}
	if (*force || *rekey) && *note == "" {
		return usagef("cluster remove: --force and --rekey need --note: say why")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	path := api.PathMembers + "/" + url.PathEscape(rest[0]) + "/remove"
	if err := operator(ctx, c, http.MethodPost, path, api.RemoveRequest{By: p.operatorName(), Note: *note, Force: *force}, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s is out of the cluster. Its data folder and its certificate are refused from now on.\nTake it out of api.nodes, and out of cluster.peers, in the configurations of the other nodes.\n", rest[0])
	if !*rekey {
		fmt.Fprintln(p.stdout, "If others may read its disk, which may have had the key of the site's CA: sitegate cluster rekey --note WHY")
		return nil
	}
	if err := p.rekey(ctx, c, api.RekeyRequest{Note: *note, OverlapMS: defaultOverlap.Milliseconds()}); err != nil {
		return fmt.Errorf("%s is out, and the site's CA was not replaced; try sitegate cluster rekey: %w", rest[0], err)
	}
	return nil
}
