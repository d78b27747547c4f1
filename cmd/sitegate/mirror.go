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

func mirror(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate mirror", []command{
		{"status", "show how fresh the mirror is, and what of the cloud's list cannot be understood", mirrorStatus},
		{"import", "fill the mirror from CSV files, where the cloud offers no feed", mirrorImport},
		{"accept", "let in what is held back because the cloud's list has shrunk by more than half", mirrorAccept},
	}, args)
}

const mirrorStatusHelp = `
Usage: sitegate mirror status [--config FILE] [--json]

Shows what the node that runs on this machine knows of the cloud's list: how many
records, how fresh they are, what is held back, and each record that could not be
understood, with why. Such a record counts as deleted until the cloud mends it;
the list is for the vendor.

Example:
  sitegate mirror status
`

// mirrorReport is what mirror status prints as JSON.
type mirrorReport struct {
	api.MirrorStatus
	Link   api.LinkState         `json:"link"`
	Counts api.Counts            `json:"counts"`
	List   []api.MalformedRecord `json:"malformed_records"`
}

func mirrorStatus(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("mirror status", mirrorStatusHelp, args)
	if err != nil {
		return err
	}
	var s api.Status
	if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
		return err
	}
	var odd api.List[api.MalformedRecord]
	if err := operator(ctx, c, http.MethodGet, api.PathMirror+"/malformed", nil, &odd); err != nil {
		return err
	}
	if asJSON {
		return p.json(mirrorReport{s.Mirror, s.Link, s.Counts, odd.Items})
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "link\t%s\n", linkWords(s))
	fmt.Fprintf(t, "records\t%s, %s, %s, %d of them assigned\n",
		count(s.Counts.Users, "user"), count(s.Counts.Products, "product"), count(s.Counts.Licenses, "license"), s.Counts.Assigned)
	switch {
	case !s.Mirror.Filled:
		fmt.Fprintf(t, "read\tnot to its end yet\n")
	case s.Mirror.Source == "file":
		fmt.Fprintf(t, "from\tfiles, imported %s\n", ago(s.Time, s.Mirror.Imported))
	case s.Mirror.Read.IsZero(): // which is told once in a while
		fmt.Fprintf(t, "from\tthe cloud's feed, read to its end\n")
	default:
		fmt.Fprintf(t, "from\tthe cloud's feed, read to its end %s\n", ago(s.Time, s.Mirror.Read))
	}
	if h := s.Mirror.Held; h != nil {
		fmt.Fprintf(t, "held\tfor %s, it lacks %s\n", span(s.Time.Sub(h.Since)), losses(*h))
	}
	fmt.Fprintf(t, "malformed\t%s\n", count(len(odd.Items), "record"))
	for _, q := range odd.Items {
		fmt.Fprintf(t, "\t%s %s: %s (since %s)\n", q.Kind, q.ID, q.Why, q.Since.UTC().Format(time.RFC3339))
	}
	return t.Flush()
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
	p.remoteFlags(f)
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
	var held api.HeldMirror
	if err := operator(ctx, c, http.MethodPost, api.PathMirror+"/accept", api.ReleaseRequest{By: p.asker(*by), Note: *note}, &held); err != nil {
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
