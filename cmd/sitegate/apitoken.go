package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

const apiTokenHelp = `
Usage: sitegate token create NAME --role viewer|operator|admin [--scope SCOPE,…] [--for DURATION] [--json]
       sitegate token list [--json]
       sitegate token revoke NAME

API tokens are for programs: who shows one may do what its role may, on every node,
until it expires or is revoked, which holds on all nodes at once. With --scope it is
good for a part of that only:

  read       look at what the role may see
  sessions   release sessions and users
  checkouts  check out for users, import checkouts, write them off
  licenses   move licenses, see to the mirror
  machines   block and unblock users and machines, forget machines' keys
  usage      send usage again, export it, book receipts
  audit      export the audit trail, erase names in it; all that is kept about
             a person (sitegate privacy export), and their erasure
  cluster    nodes, join tokens, settings, time, maintenance, the bypass, the way
             out's examination (sitegate doctor), the site CA's replacement;
             backups, which are downloaded with all that the site keeps; an
             admin's lets nodes in: as good as all the others
  access     tokens, accounts, trust: as good as all the others

A token is shown
once, when it is made: on standard output, alone. All commands take --url,
--token-file and --ca-file, to ask a node on another machine. Without them, one is
made on the node that leads.

Example:
  umask 077
  sitegate token create nagios --role viewer --for 90d > nagios.token
  sitegate token create helpdesk --role operator --scope read,sessions > helpdesk.token
`

func apiTokens(ctx context.Context, p *program, args []string) error {
	return p.dispatchBare(ctx, tokenList, "sitegate token", []command{
		{"create", "make an API token", tokenCreate},
		{"list", "list the API tokens that are good", tokenList},
		{"revoke", "take an API token back", tokenRevoke},
	}, args)
}

// oneName parses args into f and wants one name beside the flags.
func (p *program) oneName(f interface{ Name() string }, rest []string, err error) (string, error) {
	if err == nil && len(rest) != 1 {
		return "", usagef("%s: say one name; see sitegate %s --help", f.Name(), f.Name())
	}
	if err != nil {
		return "", err
	}
	return rest[0], nil
}

// roles are what --role may be.
const roleUsage = "what it may do: viewer, operator or admin"

func tokenCreate(ctx context.Context, p *program, args []string) error {
	f := p.flags("token create", apiTokenHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	role := f.String("role", "", roleUsage)
	scopes := f.StringSlice("scope", nil, "what of that it is good for; all of it where it is left out")
	life := f.String("for", "90d", "how long it is good: 1m to 366d")
	asJSON := f.Bool("json", false, "print it as JSON")
	rest, err := p.parse(f, args)
	name, err := p.oneName(f, rest, err)
	if err != nil {
		return err
	}
	if *role == "" {
		return usagef("token create: say --role, %s", roleUsage)
	}
	d, err := configs.ParseDuration(*life)
	if err != nil {
		return usagef("token create: --for: %w", err)
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var t api.NewAPIToken
	if err := operator(ctx, c, http.MethodPost, api.PathAPITokens, api.APITokenRequest{Name: name, Role: *role, Scopes: *scopes, ForMS: d.Milliseconds(), By: p.operatorName()}, &t); err != nil {
		return err
	}
	if *asJSON {
		return p.json(t)
	}
	fmt.Fprintf(p.stderr, "The token %s, %s (%s), good until %s. It is not shown again:\n", t.Name, t.Role, scopesOf(t.Scopes), t.Until.Format(time.RFC3339))
	_, err = fmt.Fprintln(p.stdout, t.Token)
	return err
}

func tokenList(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("token list", apiTokenHelp, args)
	if err != nil {
		return err
	}
	var list api.List[api.APIToken]
	if err := operator(ctx, c, http.MethodGet, api.PathAPITokens, nil, &list); err != nil {
		return err
	}
	if asJSON {
		return p.json(list)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROLE\tSCOPES\tUNTIL\tLAST USED\tMADE BY")
	for _, x := range list.Items {
		used := "never"
		if !x.Used.IsZero() {
			used = x.Used.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Role, scopesOf(x.Scopes), x.Until.Format(time.RFC3339), used, x.By)
	}
	return t.Flush()
}

// scopesOf is what a token is good for, to be read.
func scopesOf(names []string) string {
	if len(names) == 0 {
		return "all"
	}
	return strings.Join(names, ",")
}

func tokenRevoke(ctx context.Context, p *program, args []string) error {
	return p.takeBack(ctx, "token revoke", apiTokenHelp, api.PathAPITokens, "The token %s is good no more, on any node.\n", args)
}

// takeBack deletes what goes by a name.
func (p *program) takeBack(ctx context.Context, command, help, path, said string, args []string) error {
	f := p.flags(command, help)
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
	if err := operator(ctx, c, http.MethodDelete, path+"/"+url.PathEscape(name)+"?by="+url.QueryEscape(p.operatorName()), nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, said, name)
	return err
}
