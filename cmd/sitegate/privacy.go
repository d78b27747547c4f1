package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"sitegate/api"
)

const privacyHelp = `
Usage: sitegate privacy export USER --note WHY [--name NAME]… [--to FILE] [--id] [--by WHO] [--config FILE]
       sitegate privacy erase USER --note WHY [--name NAME]… [--json] [--id] [--by WHO] [--config FILE]

"export" writes all that the site keeps about a person as one JSON document: records,
what they started, checked out and were refused, what usage the vendor is told, and the
audit trail's records about them. Hand it out after reading it: records may name others.

"erase" has the audit trail forget whose the person's pseudonyms are, so that nobody can
find out by trying names either; its records stay and hold. It says what else is kept,
why, and what to do about it. It may be run again.

USER is a user's id or e-mail address; with --id it is an id, of somebody whom the account
may not have any more. --name adds what the person is called besides, as the name of an
administrator's account. The audit trail keeps the reason: write no name into it.
docs/operator/privacy.md says what is kept where, and for how long.

Examples:
  sitegate privacy export ada@acme.example --note "request 17" --to ada.json
  sitegate privacy erase --id u-4711 --name ada --note "request 18"
`

func privacy(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate privacy", []command{
		{"export", "write all that is kept about a person", privacyExport},
		{"erase", "forget a person, as far as that may be", privacyErase},
	}, args)
}

// aPerson reads the flags of a command about a person, with more, and asks the node.
func (p *program) aPerson(ctx context.Context, name, act string, args []string, more func(d deed)) (*http.Response, error) {
	f := p.flags(name, privacyHelp)
	d := p.act(f)
	names := f.StringArray("name", nil, "what the person is called besides; may be given several times")
	byID := f.Bool("id", false, "USER is an id, which the account may not have any more")
	more(d)
	rest, err := p.parse(f, args)
	user, err := p.oneName(f, rest, err)
	if err != nil {
		return nil, err
	}
	c, said, err := d.ready(p)
	if err != nil {
		return nil, err
	}
	if !*byID {
		if user, err = userID(ctx, c, user); err != nil {
			return nil, err
		}
	}
	return askOperator(ctx, c, http.MethodPost, api.Of(api.PathUsers, user, act), api.PersonRequest{By: said.By, Note: said.Note, Names: *names})
}

func privacyExport(ctx context.Context, p *program, args []string) error {
	var to *string
	resp, err := p.aPerson(ctx, "privacy export", "/personal-data", args, func(d deed) {
		to = d.f.String("to", "", "the file to write, which must not be there yet (default: the standard output)")
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	bar := p.progress("exporting", "bytes", 0)
	raw, err := io.ReadAll(&counted{r: resp.Body, far: bar.at})
	bar.end()
	if err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return fmt.Errorf("the node's answer is not what this version understands: %w", err)
	}
	text.WriteByte('\n')
	if *to == "" {
		_, err := text.WriteTo(p.stdout)
		return err
	}
	if err := writeNew(*to, text.Bytes()); err != nil {
		return err
	}
	var got api.PersonalData
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("the node's answer is not what this version understands: %w", err)
	}
	fmt.Fprintf(p.stdout, "%s: %s, %s, %s, %s.\n", *to, count(len(got.Records), "record"), count(len(got.Events), "event"), count(len(got.Usage), "use"), count(len(got.Audit), "record")+" of the audit trail")
	if got.More {
		fmt.Fprintln(p.stdout, "There is more, older events mostly, which is left out.")
	}
	return nil
}

// writeNew writes a file for this user's eyes, which must not be there yet.
func writeNew(file string, data []byte) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", file, err), os.Remove(file))
	}
	return nil
}

func privacyErase(ctx context.Context, p *program, args []string) error {
	var asJSON *bool
	resp, err := p.aPerson(ctx, "privacy erase", "/erase", args, func(d deed) { asJSON = d.f.Bool("json", false, "print it as JSON") })
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got api.Erased
	if err := readAnswer(resp.Body, &got); err != nil {
		return err
	}
	if *asJSON {
		return p.json(got)
	}
	fmt.Fprintf(p.stdout, "The audit trail has forgotten %s. Its records are as they were: sitegate audit verify.\n", count(got.Forgotten, "name"))
	for _, s := range got.Stays {
		fmt.Fprintf(p.stdout, "Stays: %s (%d). %s\n", s.Kind, s.Count, shown(s.Text))
	}
	return nil
}
