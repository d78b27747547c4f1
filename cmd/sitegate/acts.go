package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/configs"
)

// deed is what a command that does something to somebody is told besides: why, and by
// whom, which the audit trail keeps.
type deed struct {
	f    *pflag.FlagSet
	note *string
	by   *string
	may  bool // why may be left out
}

// act adds the flags of one.
func (p *program) act(f *pflag.FlagSet) deed {
	d := deed{f: f, note: f.String("note", "", "why, for the audit trail"), by: f.String("by", "", "who does it (default: the user of this machine who asks)")}
	p.configFlags(f)
	p.remoteFlags(f)
	return d
}

// ready is the node to ask, and what it is told.
func (d deed) ready(p *program) (c configs.Config, said api.ReleaseRequest, err error) {
	if !d.may && strings.TrimSpace(*d.note) == "" {
		return c, said, usagef("%s: say why, with --note: the audit trail keeps it", d.f.Name())
	}
	if c, _, err = p.load(d.f); err != nil {
		return c, said, err
	}
	by := p.asker(*d.by)
	return c, api.ReleaseRequest{By: by, Note: *d.note}, nil
}

const releaseHelp = `
Usage: sitegate release session ID --note WHY [--by WHO] [--config FILE]
       sitegate release user USER --note WHY [--by WHO] [--config FILE]
       sitegate release checkout ID --note WHY [--by WHO] [--config FILE]

"session" and "user" free a license that is in use: one session, or all of a user's. The
desktop is told, and asks its user to save; the session is renewed no more, so that the
license is free when the program ends, or at the latest when the session's lease is
over. sitegate sessions shows the ids. USER is a user's id or e-mail address.

"checkout" writes a checkout off, for a machine that will not return it: see
docs/operator/checkouts.md for what that means at the vendor's.

Examples:
  sitegate release session 0197a5b2-7c4e-7d1a-9f00-000000000001 --note "left it running, on leave"
  sitegate release user ada@acme.example --note "machine is in repair"
`

func release(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate release", []command{
		{"session", "free the license of a session", releaseSession},
		{"user", "free the licenses of all sessions of a user", releaseUser},
		{"checkout", "write a checkout off, which will not be returned", releaseCheckout},
	}, args)
}

// done carries an act out on what args name, by a path that is made of it. may: why may be
// left out.
func (p *program) done(ctx context.Context, name, help string, may bool, args []string, out any, path func(c configs.Config, what string) (string, error)) (what string, err error) {
	f := p.flags(name, help)
	a := p.act(f)
	a.may = may
	rest, err := p.parse(f, args)
	if what, err = p.oneName(f, rest, err); err != nil {
		return "", err
	}
	c, said, err := a.ready(p)
	if err != nil {
		return "", err
	}
	at, err := path(c, what)
	if err != nil {
		return "", err
	}
	return what, patientOperator(ctx, c, http.MethodPost, at, said, out)
}

// ofID is the path of something that is named by its id.
func ofID(of, act string) func(configs.Config, string) (string, error) {
	return func(_ configs.Config, id string) (string, error) { return api.Of(of, id, act), nil }
}

// ofUser is the path of a user.
func ofUser(ctx context.Context, act string) func(configs.Config, string) (string, error) {
	return func(c configs.Config, name string) (string, error) {
		id, err := userID(ctx, c, name)
		return api.Of(api.PathUsers, id, act), err
	}
}

func releaseSession(ctx context.Context, p *program, args []string) error {
	var s api.Session
	if _, err := p.done(ctx, "release session", releaseHelp, false, args, &s, ofID(api.PathSessions, "/release")); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s on %s is told to end; the license is free when it has, or when its lease is over.\n", s.ID, shown(cmp.Or(s.Machine.Name, s.Machine.ID)))
	return nil
}

func releaseUser(ctx context.Context, p *program, args []string) error {
	user, err := p.done(ctx, "release user", releaseHelp, false, args, nil, ofUser(ctx, "/release"))
	if err == nil {
		fmt.Fprintf(p.stdout, "All sessions of %s are told to end; each license is free when its program has ended, or when its lease is over.\n", shown(user))
	}
	return err
}

func releaseCheckout(ctx context.Context, p *program, args []string) error {
	var x api.Checkout
	if _, err := p.done(ctx, "release checkout", releaseHelp, false, args, &x, ofID(api.PathCheckouts, "/write-off")); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The checkout %s to %s is written off.\n", x.ID, shown(cmp.Or(x.Machine.Name, x.Machine.ID)))
	return nil
}

const blockHelp = `
Usage: sitegate block user USER --note WHY [--by WHO] [--config FILE]
       sitegate block machine NAME [--id] --note WHY [--by WHO] [--config FILE]
       sitegate block [list] [--json] [--config FILE]
       sitegate unblock user USER [--note WHY] [--by WHO] [--config FILE]
       sitegate unblock machine NAME [--id] [--note WHY] [--by WHO] [--config FILE]

Keeps a user or a machine out of the site, or lets them in again. It holds on all nodes
at once: what runs is told to end, checkouts are shown as without a right. A machine is
meant by its name, or with --id by its id; the keys it has shown are kept out with it, by
whatever name. USER is a user's id or e-mail address.

Examples:
  sitegate block machine WS-101 --note "stolen, ticket 4711"
  sitegate unblock user ada@acme.example --note "found again"
`

func block(ctx context.Context, p *program, args []string) error {
	return p.dispatchBare(ctx, blockList, "sitegate block", []command{
		{"user", "keep a user out", blocksUser("block", "is kept out")},
		{"machine", "keep a machine out", blocksMachine("block", "is kept out")},
		{"list", "show who and what is kept out", blockList},
	}, args)
}

func unblock(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate unblock", []command{
		{"user", "let a user in again", blocksUser("unblock", "may come in again")},
		{"machine", "let a machine in again", blocksMachine("unblock", "may come in again")},
	}, args)
}

func blocksUser(verb, now string) func(context.Context, *program, []string) error {
	return func(ctx context.Context, p *program, args []string) error {
		user, err := p.done(ctx, verb+" user", blockHelp, verb == "unblock", args, nil, ofUser(ctx, "/"+verb))
		if err == nil {
			fmt.Fprintf(p.stdout, "User %s %s.\n", shown(user), now)
		}
		return err
	}
}

func blocksMachine(verb, now string) func(context.Context, *program, []string) error {
	return func(ctx context.Context, p *program, args []string) error {
		f := p.flags(verb+" machine", blockHelp)
		byID := f.Bool("id", false, "NAME is the machine's id")
		a := p.act(f)
		a.may = verb == "unblock"
		rest, err := p.parse(f, args)
		name, err := p.oneName(f, rest, err)
		if err != nil {
			return err
		}
		c, said, err := a.ready(p)
		if err != nil {
			return err
		}
		in := api.MachineBlockRequest{Machine: api.Machine{Name: name}, By: said.By, Note: said.Note}
		if *byID {
			in.Machine = api.Machine{ID: name}
		}
		if err := patientOperator(ctx, c, http.MethodPost, api.PathMachines+"/"+verb, in, nil); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Machine %s %s.\n", shown(name), now)
		return nil
	}
}

func blockList(ctx context.Context, p *program, args []string) error {
	l := p.listing("block list", blockHelp, api.PathBlocks, "after")
	if err := p.parseNone(l.FlagSet, args); err != nil {
		return err
	}
	all, _, err := read[api.Block](ctx, p, l, nil)
	if err != nil {
		return err
	}
	return show(p, l, all, "Nobody and nothing is kept out.", "USER|MACHINE|KEYS|SINCE (GMT)|BY|WHY", func(x api.Block) []string {
		m, keys := "", ""
		if x.Machine != nil {
			m, keys = onMachine(*x.Machine), strconv.Itoa(x.Keys)
		}
		return []string{x.User, m, keys, stamp(x.Since), x.By, x.Note}
	})
}
