package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"sitegate/api"
	"sitegate/configs"
)

const usageRefusedHelp = `
Usage: sitegate usage refused [--resend [--note WHY] [--by WHO]] [--json] [--config FILE]

Lists usage records that the cloud has refused for good. They are kept apart so that
they do not keep back those behind them, and are sent again every hour. Ask the
vendor what is wrong with them; --resend sends them now. Where that takes longer than
a few seconds the node goes on with it, and what is listed is not taken yet. The audit
trail has who asked for it, and why.

Example:
  sitegate usage refused
  sitegate usage refused --resend --note 'the vendor has mended the account'
`

func usageRefused(ctx context.Context, p *program, args []string) error {
	f := p.flags("usage refused", usageRefusedHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	resend := f.Bool("resend", false, "send them again now")
	by := f.String("by", "", "who has them sent (default: the user of this machine who asks)")
	note := f.String("note", "", "why they are sent, for the audit trail")
	asJSON := f.Bool("json", false, "print it as JSON")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var list api.List[api.RefusedUsage]
	pending := false
	if *resend {
		if pending, err = resendRefused(ctx, c, api.ResendRequest{By: p.asker(*by), Note: *note}, &list); err != nil {
			return err
		}
	} else if err := patientOperator(ctx, c, http.MethodGet, api.PathRefused, nil, &list); err != nil {
		return err
	}
	if *asJSON {
		return p.json(list)
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(p.stdout, "The cloud refuses no usage record.")
		return nil
	}
	if pending {
		fmt.Fprintf(p.stdout, "They are being sent. By now %s not taken; see sitegate usage refused again in a minute.\n", count(len(list.Items), "record"))
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REFUSED (GMT)\tKIND\tUSER\tMACHINE\tPRODUCT\tFROM\tTO\tWHY")
	layout := "2006-01-02 15:04"
	for _, r := range list.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", moment(r.Refused, layout, "-"), r.Kind, shown(r.User), shown(r.Machine), shown(r.Product),
			moment(r.Started, layout, "-"), moment(r.Ended, layout, "-"), shown(r.Why))
	}
	return t.Flush()
}

// resendRefused has what the cloud refuses sent again, and lists what it has not taken.
// pending: not all of that has been sent by now.
func resendRefused(ctx context.Context, c configs.Config, in api.ResendRequest, list *api.List[api.RefusedUsage]) (pending bool, err error) {
	resp, err := askOperator(ctx, c, http.MethodPost, api.PathRefused+"/resend", in)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusAccepted, readAnswer(resp.Body, list)
}

// shown is text from elsewhere as a terminal may show it: whatever is no printable letter is
// written out, as \x1b. Quotes and backslashes stay as they are.
func shown(s string) string {
	q := strconv.Quote(s)
	return asTyped.Replace(q[1 : len(q)-1])
}

var asTyped = strings.NewReplacer(`\"`, `"`, `\\`, `\`)

const usageAuditHelp = `
Usage: sitegate usage audit [--json] [--config FILE]

Holds what was granted against what the cloud has acknowledged, in the journal of the
node that runs on this machine, as far back as that goes: whatever began must run or
have one usage record, each record is with the cloud, waits for it, or is refused, and
the cloud has acknowledged as many as there are. What is missing or there twice is
listed, and the exit status is 1.

It cannot see into the cloud's books. Of the ways that usage takes, only the site API
and files that are carried make a record count once there, however often it is sent;
over realtime and csv it is there at least once, with the same ids, and twice perhaps
after a lost answer. The output says how many records went which way.

Example:
  sitegate usage audit
`

func usageAudit(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("usage audit", usageAuditHelp, args)
	if err != nil {
		return err
	}
	var a api.UsageAudit
	if err := patientOperator(ctx, c, http.MethodGet, api.PathAudit, nil, &a); err != nil {
		return err
	}
	if asJSON {
		err = p.json(a)
	} else {
		p.auditText(a)
	}
	if err == nil && len(a.Findings) > 0 {
		err = fmt.Errorf("the audit has found %s", count(len(a.Findings)+int(a.More), "gap"))
	}
	return err
}

func (p *program) auditText(a api.UsageAudit) {
	fmt.Fprintf(p.stdout, "Events %d to %d: %d began, %d of an earlier time ended, %d run or are out now.\n", a.From, a.Through, a.Began, a.Before, a.Open)
	fmt.Fprintf(p.stdout, "Usage records: %d. With the cloud %d, waiting %d, refused %d.\n", a.Ended, a.Acknowledged, a.Waiting, a.Refused)
	for _, w := range a.Ways {
		how := "each counts once"
		if !w.Once {
			how = "AT LEAST ONCE ONLY: what was sent again after a lost answer may be there twice, with the same ids"
		}
		fmt.Fprintf(p.stdout, "  %s: %d records, %s.\n", w.Way, w.Records, how)
	}
	for _, x := range a.Findings {
		about := ""
		if x.Record != "" {
			about = fmt.Sprintf(" record %s", shown(x.Record))
		}
		if x.User != "" {
			about += fmt.Sprintf(" of %s", shown(x.User))
		}
		fmt.Fprintf(p.stdout, "GAP at event %d, %s:%s %s.\n", x.Seq, x.Kind, about, x.Detail)
	}
	if a.More > 0 {
		fmt.Fprintf(p.stdout, "and %d more.\n", a.More)
	}
	if len(a.Findings) == 0 {
		fmt.Fprintln(p.stdout, "No gap, and nothing twice.")
	}
}
