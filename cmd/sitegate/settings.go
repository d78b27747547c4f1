package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"text/tabwriter"

	"sitegate/api"
)

const settingsHelp = `
Usage: sitegate settings [--json] [--config FILE]

Shows the settings that are in effect: what the rules go by on all nodes and whether that
is the default, for which of the vendor's own client's traffic they are enforced or only
observed, and what this node goes by, where each value is set, and whether a change is
taken by a reload or waits for a restart. Secrets are files, of which only the name is
shown. What the node goes by is for operators and administrators.

Examples:
  sitegate settings
  sitegate settings --json
`

func settings(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("settings", settingsHelp, args)
	if err != nil {
		return err
	}
	var all struct {
		api.SiteSettings
		Node []api.NodeSetting `json:"node,omitempty"` // missing: who asks may not see it
	}
	if err := operator(ctx, c, http.MethodGet, api.PathSettings, nil, &all.SiteSettings); err != nil {
		return err
	}
	var own api.List[api.NodeSetting]
	err = operator(ctx, c, http.MethodGet, api.PathNodeSettings, nil, &own)
	if no, is := errors.AsType[*nodeRefused](err); err != nil && !(is && no.code == api.CodeForbidden) {
		return err
	}
	if all.Node = own.Items; asJSON {
		return p.json(all)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULES OF THE SITE\tVALUE\tFROM\tWHAT IT IS")
	for _, x := range all.Items {
		from := map[bool]string{false: "default", true: "set"}[x.Set]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", x.Name, shown(x.Value), from, shown(x.About))
	}
	fmt.Fprintln(t, "\nRELAYED: PRODUCT\tNETWORK\tMODE")
	for _, m := range all.Modes {
		fmt.Fprintf(t, "%s\t%s\t%s\n", shown(cmp.Or(m.Product, "all")), shown(cmp.Or(m.Network, "all")), m.Mode)
	}
	if len(all.Modes) == 0 {
		fmt.Fprintln(t, "all\tall\ton")
	}
	if err != nil {
		fmt.Fprintln(t, "\nWhat this node goes by is shown to operators and administrators.")
		return t.Flush()
	}
	fmt.Fprintln(t, "\nTHIS NODE\tVALUE\tFROM\tA CHANGE")
	for _, x := range all.Node {
		change := map[bool]string{false: "waits for a restart", true: "is taken by a reload"}[x.Reload]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", x.Key, cmp.Or(shown(x.Value), "-"), shown(x.From), change)
	}
	return t.Flush()
}
