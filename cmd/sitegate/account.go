package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
)

const accountHelp = `
Usage: sitegate account create NAME --role viewer|operator|admin
       sitegate account list [--json]
       sitegate account reset NAME --role viewer|operator|admin
       sitegate account remove NAME

Local accounts are people's, for the console, when the company's sign-in cannot be
reached: five at most. The password is asked for, or read from the first line of
standard input. Over the socket of the node that leads this works whenever the
site works; --url, --token-file and --ca-file ask a node on another machine, any.

Example:
  sitegate account create ida --role admin
`

func localAccounts(ctx context.Context, p *program, args []string) error {
	return p.dispatchBare(ctx, accountList, "sitegate account", []command{
		{"list", "list the local accounts", accountList},
		{"create", "make a local account", accountCreate},
		{"reset", "give a local account another password and role", accountReset},
		{"remove", "take a local account away", accountRemove},
	}, args)
}

func accountList(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("account list", accountHelp, args)
	if err != nil {
		return err
	}
	var list api.List[api.LocalAccount]
	if err := operator(ctx, c, http.MethodGet, api.PathAccounts, nil, &list); err != nil {
		return err
	}
	if asJSON {
		return p.json(list)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROLE\tSINCE\tPASSWORD OF\tMADE BY")
	for _, a := range list.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.Name, a.Role, a.Since.Format(time.DateOnly), a.Changed.Format(time.DateOnly), a.By)
	}
	return t.Flush()
}

func accountCreate(ctx context.Context, p *program, args []string) error {
	return p.setAccount(ctx, "account create", args, func(string) string { return api.PathAccounts })
}

func accountReset(ctx context.Context, p *program, args []string) error {
	return p.setAccount(ctx, "account reset", args, func(name string) string { return api.PathAccounts + "/" + url.PathEscape(name) + "/reset" })
}

func (p *program) setAccount(ctx context.Context, command string, args []string, path func(name string) string) error {
	f := p.flags(command, accountHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	role := f.String("role", "", roleUsage)
	rest, err := p.parse(f, args)
	name, err := p.oneName(f, rest, err)
	if err != nil {
		return err
	}
	if *role == "" {
		return usagef("%s: say --role, %s", command, roleUsage)
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	password, err := p.newPassword(ctx, name)
	if err != nil {
		return err
	}
	if err := operator(ctx, c, http.MethodPost, path(name), api.LocalAccountRequest{Name: name, Role: *role, Password: password, By: p.operatorName()}, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "The account %s is %s and has the password that was given.\n", name, *role)
	return err
}

func accountRemove(ctx context.Context, p *program, args []string) error {
	return p.takeBack(ctx, "account remove", accountHelp, api.PathAccounts, "The account %s is gone, and who was signed in by it is signed out.\n", args)
}

// newPassword asks for a password twice where there is a terminal, and reads a line where
// there is none. It is never an argument: those are in process lists.
func (p *program) newPassword(ctx context.Context, name string) (string, error) {
	if t := p.terminal(); t != nil {
		q := &questions{ctx: ctx, t: t}
		first := q.secret("New password for " + name)
		again := q.secret("The same again")
		if q.err != nil {
			return "", q.err
		}
		if first != again {
			return "", errors.New("the two passwords differ; nothing was changed")
		}
		return first, nil
	}
	line, err := bufio.NewReader(io.LimitReader(p.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password from standard input: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usagef("no password: give it as the first line of standard input, or run this at a terminal")
	}
	return line, nil
}
