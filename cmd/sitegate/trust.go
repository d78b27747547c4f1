package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
)

func trust(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate trust", []command{
		{"show", "show which keys of which issuers the site goes by, and what is held back", trustShow},
		{"accept", "have all nodes take the keys of an issuer that are held back", trustAccept},
	}, args)
}

const trustShowHelp = `
Usage: sitegate trust show [--config FILE] [--json]

Shows the keys by which the site knows the issuers of its users' and administrators'
sign-ins, by their thumbprints (RFC 7638, SHA-256), as all nodes see them. An issuer
changes its keys one by one. One that lists other keys only all of a sudden may be
somebody in its place: such a set is held back, and shown with its digest and the
nodes that see it.

Example:
  sitegate trust show
`

func trustShow(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("trust show", trustShowHelp, args)
	if err != nil {
		return err
	}
	var list api.List[api.TrustedIssuer]
	if err := operator(ctx, c, http.MethodGet, api.PathTrust, nil, &list); err != nil {
		return err
	}
	if asJSON {
		return p.json(list)
	}
	if len(list.Items) == 0 {
		_, err := fmt.Fprintln(p.stdout, "No node has read an issuer's keys yet.")
		return err
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, is := range list.Items {
		fmt.Fprintf(t, "%s\tknown on %s\n", is.Issuer, strings.Join(is.Nodes, ", "))
		for _, k := range is.Keys {
			fmt.Fprintf(t, "  key\t%s\n", k)
		}
		for _, h := range is.Held {
			fmt.Fprintf(t, "  HELD BACK\t%s, since %s, as %s see it\n", h.Set, h.Since.UTC().Format(time.RFC3339), strings.Join(h.Nodes, ", "))
			for _, k := range h.Keys {
				fmt.Fprintf(t, "    key\t%s\n", k)
			}
			if h.Accepted {
				fmt.Fprintf(t, "    \taccepted, and taken in a moment\n")
			}
		}
	}
	return t.Flush()
}

const trustAcceptHelp = `
Usage: sitegate trust accept --issuer URL --set DIGEST --note WHY [--by WHO] [--config FILE]

Has all nodes take a set of keys that they hold back, because the issuer lists none of
the keys any more that the site knows. Ask whoever runs the issuer for the thumbprints
of its keys first, by another way than its own address, and compare them with those of
sitegate trust show: whoever has these keys can sign in as anybody whom the issuer
vouches for. The digest is that of the set, as it is shown there; another set is not
accepted by it. Who accepted it, and why, is kept in the audit trail.

It is taken on the socket of the node that leads, or with --url and an API token of
the role admin.

Example:
  sitegate trust show
  sitegate trust accept --issuer https://sign-in.example.com --note "keys replaced after a leak, confirmed by phone" \
    --set 8J4Yc7nq0b1mZsVtq1m5p9e6y3o2k8u7i4r1w0x5v6A
`

func trustAccept(ctx context.Context, p *program, args []string) error {
	f := p.flags("trust accept", trustAcceptHelp)
	d := p.act(f)
	issuer := f.String("issuer", "", "whose keys")
	set := f.String("set", "", "the digest of the set, as sitegate trust show has it")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *issuer == "" || *set == "" {
		return usagef("trust accept: name the issuer and the digest of the set, with --issuer and --set: sitegate trust show has them")
	}
	c, said, err := d.ready(p)
	if err != nil {
		return err
	}
	var list api.List[api.TrustedIssuer]
	if err := operator(ctx, c, http.MethodPost, api.PathTrust+"/accept", api.AcceptKeysRequest{Issuer: *issuer, Set: *set, By: said.By, Note: said.Note}, &list); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Accepted by %s: all nodes take the keys of %s within seconds; see sitegate trust show.\n", said.By, *issuer)
	return err
}
