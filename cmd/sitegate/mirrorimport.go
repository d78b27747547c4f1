package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"sitegate/api"
	"sitegate/configs"
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
	if *encoding != "utf-8" && *encoding != "windows-1252" {
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
	d, err := diffPortal(now, read)
	if err != nil {
		return err
	}
	d.show(p.stdout)
	if !*yes {
		fmt.Fprintln(p.stdout, "Nothing was changed. To do it: the same with --yes")
		return nil
	}
	bar := p.progress("importing", "changes", uint64(len(d.changes)))
	err = d.send(ctx, c, who, *note, func(done int) { bar.at(uint64(done)) })
	bar.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Imported by %s.\n", who)
	return nil
}

// readPortals reads the files: one of users, one of licenses, or both.
func readPortals(files []string, encoding string) ([]*portalFile, error) {
	var read []*portalFile
	for _, name := range files {
		data, err := readBounded(name, maxPortalBytes)
		if err != nil {
			return nil, fmt.Errorf("reading what is to be imported: %w", err)
		}
		f, err := readPortal(name, data, encoding)
		if err != nil {
			return nil, err
		}
		read = append(read, f)
	}
	if len(read) == 2 && read[0].licenses == read[1].licenses {
		return nil, usagef("mirror import: both files are of the same: one is to be of users and one of licenses")
	}
	slices.SortFunc(read, func(a, b *portalFile) int { return cmp.Compare(fmt.Sprint(a.licenses), fmt.Sprint(b.licenses)) }) // users first
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

// portalDiff is what files would change.
type portalDiff struct {
	changes []api.MirrorRecord // in the order in which they are sent
	lines   []string           // the first of them, in words
	counts  map[string]int     // by "new user", "changed license", "user gone", …
	notes   []string
}

type recordKey struct{ kind, id string }

// diffPortal compares what there is with what the files say.
func diffPortal(now []api.MirrorRecord, read []*portalFile) (*portalDiff, error) {
	d := &portalDiff{counts: map[string]int{}}
	old := make(map[recordKey]api.MirrorRecord, len(now))
	for _, r := range now {
		old[recordKey{r.Kind, r.ID}] = r
	}
	said := map[recordKey]bool{}
	whole := map[string]bool{}  // kinds that the files are whole lists of
	whom := map[string]string{} // users by id, and by e-mail in lower case; "" for several
	know := func(id, email string) {
		whom[id] = id
		if email = strings.ToLower(email); email != "" {
			if other, twice := whom[email]; twice && other != id {
				id = ""
			}
			whom[email] = id
		}
	}
	if read[0].licenses { // no file of users: those there are
		for _, r := range now {
			if r.Kind == "user" {
				know(r.ID, r.Email)
			}
		}
	}
	for _, f := range read {
		nobody := 0
		for i, r := range f.records {
			switch r.Kind {
			case "user":
				know(r.ID, r.Email)
			case "license":
				switch user, known := whom[strings.ToLower(r.Assignee)]; {
				case r.Assignee == "" || whom[r.Assignee] == r.Assignee:
				case strings.EqualFold(r.Assignee, "Not Found User"):
					r.Assignee = ""
					nobody++
				case !known:
					return nil, &fileError{f.name, f.lines[i], "", fmt.Sprintf("license %s is assigned to %q, who is no user by id or e-mail: import the file of users, too", r.ID, r.Assignee)}
				case user == "":
					return nil, &fileError{f.name, f.lines[i], "", fmt.Sprintf("several users have the e-mail address %q: the file has to have their User ID", r.Assignee)}
				default:
					r.Assignee = user
				}
			}
			d.compare(old, r)
			said[recordKey{r.Kind, r.ID}] = true
		}
		if whole["user"] = whole["user"] || !f.licenses; f.licenses {
			whole["license"], whole["product"] = true, true
		}
		if nobody > 0 {
			d.notes = append(d.notes, fmt.Sprintf("%s of a user who is not found any more: assigned to nobody here; only the vendor can mend it", count(nobody, "license")))
		}
		if f.noCap > 0 {
			d.notes = append(d.notes, fmt.Sprintf("a product is not capped, says %s of %s: a file cannot say that, and the cloud is asked at each start", count(f.noCap, "row"), f.name))
		}
	}
	slices.SortStableFunc(d.changes, func(a, b api.MirrorRecord) int { return cmp.Compare(putRank(a), putRank(b)) })
	var gone []api.MirrorRecord
	for _, r := range now {
		if whole[r.Kind] && !said[recordKey{r.Kind, r.ID}] {
			gone = append(gone, api.MirrorRecord{Kind: r.Kind, ID: r.ID, Gone: true})
			d.note("-", r.Kind+" gone", describe(r))
		}
	}
	slices.SortStableFunc(gone, func(a, b api.MirrorRecord) int { return cmp.Compare(putRank(b), putRank(a)) })
	d.changes = append(d.changes, gone...)
	return d, nil
}

// putRank has what is pointed at come before what points at it.
func putRank(r api.MirrorRecord) int {
	return slices.Index([]string{"product", "user", "license"}, r.Kind)
}

func (d *portalDiff) compare(old map[recordKey]api.MirrorRecord, r api.MirrorRecord) {
	was, known := old[recordKey{r.Kind, r.ID}]
	if known {
		bare := was
		bare.Source, bare.AsOf = "", r.AsOf
		if same(bare, r) {
			return
		}
	}
	d.changes = append(d.changes, r)
	if known {
		d.note("~", "changed "+r.Kind, describe(was)+" → "+describe(r))
	} else {
		d.note("+", "new "+r.Kind, describe(r))
	}
}

// same compares records, of which times may be in several zones.
func same(a, b api.MirrorRecord) bool {
	times := a.AssignedAt.Equal(b.AssignedAt) && a.Starts.Equal(b.Starts) && a.Ends.Equal(b.Ends)
	a.AssignedAt, a.Starts, a.Ends = b.AssignedAt, b.Starts, b.Ends
	return times && a == b
}

func (d *portalDiff) note(sign, what, line string) {
	d.counts[what]++
	if len(d.lines) < importShown {
		d.lines = append(d.lines, sign+" "+line)
	}
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

func (d *portalDiff) show(w io.Writer) {
	for _, line := range d.lines {
		fmt.Fprintln(w, line)
	}
	if more := len(d.changes) - len(d.lines); more > 0 {
		fmt.Fprintf(w, "and %s more\n", count(more, "change"))
	}
	for _, n := range d.notes {
		fmt.Fprintln(w, n)
	}
	var parts []string
	for _, kind := range []string{"user", "product", "license"} {
		for _, what := range []string{"new " + kind, "changed " + kind, kind + " gone"} {
			if n := d.counts[what]; n > 0 {
				parts = append(parts, fmt.Sprintf("%s: %d", what, n))
			}
		}
	}
	if len(parts) == 0 {
		parts = []string{"the site knows all of it already"}
	}
	fmt.Fprintln(w, strings.Join(parts, ", "))
}

// send brings the changes in, part by part. A part that was lost is sent again with the
// next try of the command. told hears how many are in.
func (d *portalDiff) send(ctx context.Context, c configs.Config, by, note string, told func(done int)) error {
	for rest, last := d.changes, false; !last; {
		n := min(len(rest), importPart)
		part := rest[:n]
		rest = rest[n:]
		last = len(rest) == 0
		if part == nil {
			part = []api.MirrorRecord{}
		}
		if err := operator(ctx, c, http.MethodPost, api.PathMirror+"/import", api.ImportRequest{By: by, Note: note, Records: part, Last: last}, nil); err != nil {
			return fmt.Errorf("importing, with %s still to do (the same command goes on): %w", count(len(rest)+n, "change"), err)
		}
		told(len(d.changes) - len(rest))
	}
	return nil
}
