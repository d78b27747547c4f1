package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/portal"
)

const mirrorImportHelp = `
Usage: sitegate mirror import FILE [FILE] [--yes] [--by WHO] [--note WHY]
                              [--encoding utf-8|windows-1252] [--config FILE]

For a site whose cloud offers no change feed: fills the mirror from what the
vendor's portal exports as CSV, one file of users, one of licenses, or both. Each
is a whole list: what it lacks is taken out. Without --yes it only shows what would
change.

The first line names the columns; others than these are ignored:
  users     User ID, Country, and if there: Email, Name (or First name, Last name), Blocked
  licenses  License ID, Product ID, End date, and if there: Application, Start date,
            User ID or Email or Assigned user, Assigned on, Capped

Where the mirror follows the cloud's feed nothing is imported: the feed is newer and
more certain. A file cannot say that a product is not capped, so that each start by
it needs the cloud's agreement.

Examples:
  sitegate mirror import users.csv licenses.csv
  sitegate mirror import users.csv licenses.csv --yes --note "portal of 22 November"
`

const (
	importPart  = 500 // records in one request
	importShown = 40  // changes that are shown one by one
)

func mirrorImport(ctx context.Context, p *program, args []string) error {
	f := p.flags("mirror import", mirrorImportHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	yes := f.Bool("yes", false, "do it; without, only show what would change")
	note := f.String("note", "", "why, for the audit trail")
	by := f.String("by", "", "who imports it (default: the user of this machine who asks)")
	encoding := f.String("encoding", "utf-8", "how the files are written: utf-8 or windows-1252; a byte order mark goes first")
	files, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(files) < 1 || len(files) > 2 {
		return usagef("mirror import: name one file, or one of users and one of licenses")
	}
	if *encoding != portal.UTF8 && *encoding != portal.Windows1252 {
		return usagef("mirror import: --encoding is utf-8 or windows-1252")
	}
	who := p.asker(*by)
	read, err := readPortals(files, *encoding)
	if err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var s api.Status
	if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
		return err
	}
	if s.Mirror.Cursor != "" {
		return fmt.Errorf("this site follows the cloud's feed, last read %s: change it in the vendor's portal, it is here within seconds; nothing was imported", ago(s.Time, s.Mirror.Read))
	}
	now, err := mirrored(ctx, c)
	if err != nil {
		return err
	}
	d, err := portal.Compare(now, read...)
	if err != nil {
		return err
	}
	showDiff(p.stdout, d, read)
	if !*yes {
		fmt.Fprintln(p.stdout, "Nothing was changed. To do it: the same with --yes")
		return nil
	}
	bar := p.progress("importing", "changes", uint64(len(d.Changes)))
	err = sendDiff(ctx, c, d, who, *note, func(done int) { bar.at(uint64(done)) })
	bar.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Imported by %s.\n", who)
	return nil
}

// readPortals reads the files: one of users, one of licenses, or both.
func readPortals(files []string, encoding string) ([]*portal.File, error) {
	var read []*portal.File
	for _, name := range files {
		data, err := readBounded(name, portal.MaxBytes)
		if err != nil {
			return nil, fmt.Errorf("reading what is to be imported: %w", err)
		}
		f, err := portal.Read(name, data, encoding)
		if faults, bad := errors.AsType[portal.Faults](err); bad && encoding == portal.UTF8 && faults[0].Reason == "file-encoding" {
			return nil, fmt.Errorf("%w Or, where it is windows-1252, say --encoding windows-1252", err)
		}
		if err != nil {
			return nil, err
		}
		read = append(read, f)
	}
	return read, nil
}

// readBounded reads a file up to one byte more than most, which is too many.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// mirrored reads what the site knows.
func mirrored(ctx context.Context, c configs.Config) ([]api.MirrorRecord, error) {
	resp, err := askOperator(ctx, c, http.MethodGet, api.PathMirror+"/records", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var list api.List[api.MirrorRecord]
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("reading what the site has mirrored: %w", err)
	}
	return list.Items, nil
}

func describe(r api.MirrorRecord) string {
	switch r.Kind {
	case "user":
		text := strings.TrimSpace(fmt.Sprintf("user %s %s %s", r.ID, r.Email, r.Country))
		if r.Blocked {
			text += ", blocked"
		}
		return text
	case "product":
		return fmt.Sprintf("product %s %s, capped %s", r.ID, r.Name, r.Capped)
	}
	whose := "nobody"
	if r.Assignee != "" {
		whose = r.Assignee
	}
	return fmt.Sprintf("license %s of %s for %s until %s", r.ID, r.Product, whose, r.Ends.UTC().Format("2006-01-02"))
}

// changeLine is a change in words.
func changeLine(c portal.Change) string {
	switch {
	case c.Was == nil:
		return "+ " + describe(*c.Now)
	case c.Now == nil:
		return "- " + describe(*c.Was)
	}
	return "~ " + describe(*c.Was) + " → " + describe(*c.Now)
}

func showDiff(w io.Writer, d *portal.Diff, read []*portal.File) {
	counts := map[string]int{}
	for i, c := range d.Changes {
		if i < importShown {
			fmt.Fprintln(w, changeLine(c))
		}
		switch {
		case c.Was == nil:
			counts["new "+c.Kind()]++
		case c.Now == nil:
			counts[c.Kind()+" gone"]++
		default:
			counts["changed "+c.Kind()]++
		}
	}
	if more := len(d.Changes) - importShown; more > 0 {
		fmt.Fprintf(w, "and %s more\n", count(more, "change"))
	}
	if d.Nobody > 0 {
		fmt.Fprintf(w, "%s of a user who is not found any more: assigned to nobody here; only the vendor can mend it\n", count(d.Nobody, "license"))
	}
	for _, f := range read {
		if f.Uncapped > 0 {
			fmt.Fprintf(w, "a product is not capped, says %s of %s: a file cannot say that, and the cloud is asked at each start\n", count(f.Uncapped, "row"), f.Name)
		}
	}
	var parts []string
	for _, kind := range []string{"user", "product", "license"} {
		for _, what := range []string{"new " + kind, "changed " + kind, kind + " gone"} {
			if n := counts[what]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s: %d", what, n))
			}
		}
	}
	if len(parts) == 0 {
		parts = []string{"the site knows all of it already"}
	}
	fmt.Fprintln(w, strings.Join(parts, ", "))
}

// sendDiff brings the changes in, part by part. A part that was lost is sent again with the
// next try of the command. told hears how many are in.
func sendDiff(ctx context.Context, c configs.Config, d *portal.Diff, by, note string, told func(done int)) error {
	for rest, last := d.Changes, false; !last; {
		n := min(len(rest), importPart)
		part := make([]api.MirrorRecord, n)
		for i := range part {
			part[i] = rest[i].Record()
		}
		rest = rest[n:]
		last = len(rest) == 0
		if err := operator(ctx, c, http.MethodPost, api.PathMirror+"/import", api.ImportRequest{By: by, Note: note, Records: part, Last: last}, nil); err != nil {
			return fmt.Errorf("importing, with %s still to do (the same command goes on): %w", count(len(rest)+n, "change"), err)
		}
		told(len(d.Changes) - len(rest))
	}
	return nil
}
