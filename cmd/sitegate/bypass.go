package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"sitegate/api"
)

const bypassHelp = `
Usage: sitegate bypass start --note WHY [--by WHO] [--json] [--config FILE]
       sitegate bypass stop --note WHY [--by WHO] [--config FILE]
       sitegate bypass show [--json] [--config FILE]

For an emergency: start has the gateway withhold nothing of what it relays to the
vendor's cloud, at the whole site, for fifteen minutes. The cloud still decides; what
would have been refused is journalled (sitegate refusals). Asked for again it lasts
fifteen minutes from then on. It ends by itself, or with stop --note WHY. Who began or
ended it, and why, is in the audit trail; administrators are told, an alert is sent, and
every page of the console says so.

What desktops ask this gateway itself for is decided as ever.

start is taken on the socket of the node that leads, or with --url and an API token of
the role operator.

Examples:
  sitegate bypass start --note "nobody can start anything, ticket 4711"
  sitegate bypass stop --note "the mirror is right again"
`

func bypass(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate bypass", []command{
		{"start", "withhold nothing of what is relayed, for fifteen minutes", bypassStart},
		{"stop", "judge what is relayed again", bypassStop},
		{"show", "show whether one lasts", bypassShow},
	}, args)
}

// bypassing reads the flags of what begins or ends a bypass, and asks for it.
func (p *program) bypassing(ctx context.Context, name, path string, args []string, out any) (asJSON bool, err error) {
	f := p.flags(name, bypassHelp)
	d := p.act(f)
	if out != nil {
		f.BoolVar(&asJSON, "json", false, "print it as JSON")
	}
	if err := p.parseNone(f, args); err != nil {
		return asJSON, err
	}
	c, said, err := d.ready(p)
	if err != nil {
		return asJSON, err
	}
	return asJSON, operator(ctx, c, http.MethodPost, path, said, out)
}

func bypassStart(ctx context.Context, p *program, args []string) error {
	var b api.Bypass
	asJSON, err := p.bypassing(ctx, "bypass start", api.PathBypass, args, &b)
	if err != nil {
		return err
	}
	if asJSON {
		return p.json(b)
	}
	_, err = fmt.Fprintf(p.stdout, "Nothing that is relayed is withheld until %s. To end it before: sitegate bypass stop --note WHY\n", b.Until.UTC().Format(time.RFC3339))
	return err
}

func bypassStop(ctx context.Context, p *program, args []string) error {
	if _, err := p.bypassing(ctx, "bypass stop", api.PathBypass+"/over", args, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, "What is relayed is judged again.")
	return err
}

func bypassShow(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("bypass show", bypassHelp, args)
	if err != nil {
		return err
	}
	var s api.Status
	if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
		return err
	}
	if asJSON {
		return p.json(struct {
			Bypass *api.Bypass `json:"bypass"`
		}{s.Bypass})
	}
	words := "No bypass lasts: what is relayed is judged."
	if s.Bypass != nil {
		words = "Nothing that is relayed is withheld " + bypassWords(s.Bypass) + "."
	}
	_, err = fmt.Fprintln(p.stdout, words)
	return err
}

// bypassWords say until when, by whom and why.
func bypassWords(b *api.Bypass) string {
	words := "until " + b.Until.UTC().Format(time.RFC3339)
	if b.By != "" {
		words += fmt.Sprintf(", by %s: %s", shown(b.By), shown(cmp.Or(b.Note, "-")))
	}
	return words
}
