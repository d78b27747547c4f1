package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"sitegate/api"
	"sitegate/configs"
)

func audit(ctx context.Context, p *program, args []string) error {
	return p.dispatchBare(ctx, auditList, "sitegate audit", []command{
		{"list", "show the last records of the audit trail", auditList},
		{"verify", "say whether the audit trail holds, on a node or in a file", auditVerify},
		{"export", "write the audit trail to a file, so that old records may be dropped", auditExport},
		{"erase", "have the audit trail forget a name", auditErase},
	}, args)
}

const auditListHelp = `
Usage: sitegate audit [list] [--last N] [--after NUMBER] [--no-names] [--json] [--config FILE]

Shows records of the audit trail: what administrators have done, and whom nobody let
in. People and machines are pseudonyms in it; whose they are is shown as far as it was
not erased.

Example:
  sitegate audit --last 20
`

func auditList(ctx context.Context, p *program, args []string) error {
	f := p.flags("audit list", auditListHelp)
	p.configFlags(f)
	last := f.Uint64("last", 50, "how many of the last records")
	after := f.Uint64("after", 0, "the records after this one, in place of the last")
	bare := f.Bool("no-names", false, "do not say whose the pseudonyms are")
	asJSON := f.Bool("json", false, "print it as JSON")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	if !f.Changed("after") {
		var end api.AuditPage
		if err := operator(ctx, c, http.MethodGet, api.PathTrail+"?limit=1", nil, &end); err != nil {
			return err
		}
		*after = end.Trail.Number - min(*last, end.Trail.Number)
	}
	var all api.AuditPage
	err = auditPages(ctx, c, *after, 0, !*bare, func(page api.AuditPage) error {
		all.Items, all.Trail = append(all.Items, page.Items...), page.Trail
		return nil
	})
	if err != nil {
		return err
	}
	if *asJSON {
		return p.json(all)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tWHEN (GMT)\tWHAT\tBY\tCONCERNS\tWHY")
	for _, r := range all.Items {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Number, moment(r.At, "2006-01-02 15:04:05", "-"), r.What, shown(cmp.Or(r.ByName, r.By)), auditAbout(r), shown(cmp.Or(r.NoteText, r.Note)))
	}
	return t.Flush()
}

// auditAbout is what a record concerns, in short.
func auditAbout(r api.AuditRecord) string {
	var words []string
	add := func(format, text string) {
		if text != "" {
			words = append(words, fmt.Sprintf(format, text))
		}
	}
	add("%s", shown(cmp.Or(r.UserName, r.User)))
	add("on %s", shown(cmp.Or(r.MachineName, r.Machine)))
	add("%s", shown(r.About))
	add("from %s", r.From)
	add("via %s", r.Via)
	if r.Count > 1 {
		words = append(words, fmt.Sprintf("%d times", r.Count))
	}
	return strings.Join(words, " ")
}

// auditPages reads records after one, up to another (zero: the last), page by page.
func auditPages(ctx context.Context, c configs.Config, after, through uint64, names bool, f func(api.AuditPage) error) error {
	for {
		var page api.AuditPage
		path := fmt.Sprintf("%s?after=%d&names=%t", api.PathTrail, after, names)
		if err := patientOperator(ctx, c, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		for i, r := range page.Items {
			if through > 0 && r.Number > through {
				page.Items = page.Items[:i]
				break
			}
		}
		if err := f(page); err != nil || len(page.Items) == 0 {
			return err
		}
		after = page.Items[len(page.Items)-1].Number
		if after == through || after >= page.Trail.Number {
			return nil
		}
	}
}

const auditEraseHelp = `
Usage: sitegate audit erase (who|user|machine) NAME [--note WHY] [--by WHO] [--config FILE]

Has the audit trail forget a name: of an administrator (who), a user, or a machine. Its
records stay as they are, and the trail still holds; but nobody can find out any more
who was meant, by trying names either. The reasons that were given in those records
are forgotten with it. Do not write the name into --note: it would be kept there.

It says nothing about the journal of events, backups and files that were exported with
names: see docs/operator/audit.md.

Example:
  sitegate audit erase user ann@acme.example --note "request 17"
`

func auditErase(ctx context.Context, p *program, args []string) error {
	f := p.flags("audit erase", auditEraseHelp)
	p.configFlags(f)
	in := api.AuditErase{}
	f.StringVar(&in.Note, "note", "", "why")
	f.StringVar(&in.By, "by", "", "who has it erased (default: the user of this machine who asks)")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return usagef("audit erase: say of what kind the name is, and the name; see sitegate audit erase --help")
	}
	in.Kind, in.Name = rest[0], rest[1]
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	in.By = p.asker(in.By)
	if err := operator(ctx, c, http.MethodPost, api.PathTrail+"/erase", in, nil); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "The audit trail knows the name no more. Records are as they were: sitegate audit verify.")
	return nil
}
