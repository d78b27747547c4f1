package main

import (
	"context"
	"fmt"
	"net/http"
	"os/user"
	"strings"
	"time"

	"sitegate/api"
)

func mirror(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate mirror", []command{
		{"accept", "let in what is held back because the cloud's list has shrunk by more than half", mirrorAccept},
	}, args)
}

const mirrorAcceptHelp = `
Usage: sitegate mirror accept --note WHY [--by WHO] [--config FILE]

Accepts that the cloud's list of users and licenses has shrunk by more than half at
once. Until then nothing of that is taken away; sitegate status shows how much it
is. Accept it only if it is meant: who is no longer on the list loses the license,
and what runs by it ends after the time to save. It is accepted once, for a day;
who accepted it, and why, is kept in the audit trail.

Example:
  sitegate status
  sitegate mirror accept --note "plant sold, confirmed by the vendor, case 4711"
`

func mirrorAccept(ctx context.Context, p *program, args []string) error {
	f := p.flags("mirror accept", mirrorAcceptHelp)
	p.configFlags(f)
	note := f.String("note", "", "why, for the audit trail")
	by := f.String("by", "", "who accepts it (default: the user of this machine who asks)")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if strings.TrimSpace(*note) == "" {
		return usagef("mirror accept: say why, with --note: it is kept in the audit trail")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	if *by == "" {
		u, err := user.Current()
		if err != nil {
			return usagef("mirror accept: say who accepts it, with --by: the user who asks has no name on this machine (%w)", err)
		}
		*by = u.Username
	}
	var held api.HeldMirror
	if err := operator(ctx, c, http.MethodPost, api.PathMirror+"/accept", api.ReleaseRequest{By: *by, Note: *note}, &held); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Accepted by %s: the site may lose %s.\nIt comes in as soon as the cloud says so again, until %s; see sitegate status.\n",
		held.By, losses(held), held.Until.UTC().Format(time.RFC3339))
	return nil
}

// losses are what a mirror that is held back would lose.
func losses(h api.HeldMirror) string {
	var parts []string
	for _, part := range []struct {
		n, of int
		what  string
	}{{h.Losing.Users, h.Of.Users, "user"}, {h.Losing.Licenses, h.Of.Licenses, "license"}, {h.Losing.Assignments, h.Of.Assignments, "assignment"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d of %s", part.n, count(part.of, part.what)))
		}
	}
	return strings.Join(parts, ", ")
}
