package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/license"
)

const auditVerifyHelp = `
Usage: sitegate audit verify [--config FILE]
       sitegate audit verify EXPORTED [--after HASH] [--head NUMBER:HASH]

Without a file: the node that runs on this machine reads all records on its disk and
holds them against the hash on which the nodes have agreed.

With a file, that sitegate audit export has written: its records are held against each
other, wherever it is. What is said with --head (export prints it, status shows it) must
be its end, or a record in it; what is said with --after must be the hash before its first record,
which is the end of the file before. Without them a file that was written anew as a
whole cannot be told from the right one.

Exit status: 0 it holds, 1 it does not, and the number of the record is named.

Example:
  sitegate audit verify
  sitegate audit verify /srv/archive/audit-2026.jsonl --head 4711:9f2c…
`

func auditVerify(ctx context.Context, p *program, args []string) error {
	f := p.flags("audit verify", auditVerifyHelp)
	p.configFlags(f)
	head := f.String("head", "", "a record's number and hash, as export has printed them")
	before := f.String("after", "", "the hash before the first record of the file")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) > 1 {
		return usagef("audit verify: name one file, or none; see sitegate audit verify --help")
	}
	if len(rest) == 1 {
		return p.verifyAuditFile(rest[0], *head, *before)
	}
	if *head != "" || *before != "" {
		return usagef("audit verify: --head and --after are for a file")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var v api.AuditVerified
	if err := patientOperator(ctx, c, http.MethodGet, api.PathTrail+"/verify", nil, &v); err != nil {
		return err
	}
	if !v.Holds {
		return &license.AuditBroken{Number: v.Broken, Why: v.Why}
	}
	fmt.Fprintf(p.stdout, "The audit trail holds: records %d to %d. Its head is\n%d:%s\n", v.First, v.Number, v.Number, v.Hash)
	return nil
}

// verifyAuditFile holds the records of a file against each other.
func (p *program) verifyAuditFile(file, head, before string) error {
	var end license.AuditMark
	if head != "" {
		number, hash, ok := strings.Cut(head, ":")
		n, err := strconv.ParseUint(number, 10, 64)
		if err == nil && ok {
			err = end.Hash.UnmarshalText([]byte(hash))
		}
		if err != nil || !ok || n == 0 {
			return usagef("audit verify: --head is a number, a colon and a hash, as sitegate audit export prints it")
		}
		end.Through = n
	}
	r, err := os.Open(file)
	if err != nil {
		return usagef("audit verify: %w", err)
	}
	defer r.Close()
	first, chain, err := checkAuditFile(r, before, end)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(p.stdout, "%s holds: records %d to %d. Its end is\n%d:%s\n", file, first, chain.Number, chain.Number, hex.EncodeToString(chain.Hash[:]))
	if head == "" {
		fmt.Fprintln(p.stdout, "Whether that is the right end was not looked at: say it with --head.")
	}
	return nil
}

// checkAuditFile checks a file; before and end are what is known of it, where it is.
func checkAuditFile(r io.Reader, before string, end license.AuditMark) (first uint64, chain license.AuditChain, err error) {
	seen := end.Through == 0
	err = readAuditFile(r, func(l auditLine) error {
		x, err := auditedOf(&l.AuditRecord)
		if err != nil {
			return err
		}
		if first == 0 {
			first = x.Number
			chain.Number = x.Number - min(1, x.Number)
			if err := chain.Hash.UnmarshalText([]byte(l.Previous)); err != nil || before != "" && before != l.Previous ||
				chain.Number == 0 && chain.Hash != (license.Digest{}) {
				return &license.AuditBroken{Number: x.Number, Why: "what came before it is not what is said"}
			}
		}
		if was := hex.EncodeToString(chain.Hash[:]); l.Number == chain.Number+1 && l.Previous != was {
			return &license.AuditBroken{Number: x.Number, Why: "it does not follow on the record before"}
		}
		if err := chain.Next(&x); err != nil {
			return err
		}
		if x.Number == end.Through {
			seen = true
			return chain.Ends(end.Through, end.Hash)
		}
		return nil
	})
	switch {
	case err != nil:
		return first, chain, err
	case first == 0:
		return first, chain, errors.New("there is no record in it")
	case !seen && chain.Number < end.Through:
		return first, chain, chain.Ends(end.Through, end.Hash)
	case !seen:
		return first, chain, &license.AuditBroken{Number: end.Through, Why: "it is not in the file"}
	}
	return first, chain, nil
}

const auditExportHelp = `
Usage: sitegate audit export FILE [--csv] [--names] [--after NUMBER] [--by WHO] [--config FILE]

Writes the audit trail up to its end into FILE, as JSON Lines, or CSV with --csv. The file
is verified as it is written, and FILE is there as a whole or not at all. Only then are
the records noted as exported: from then on the node may drop them, once they are
older than audit.retention. Its last line on the screen is the head: keep it apart from the
file, and verify the file with it.

People and machines are pseudonyms in it; --names adds whose they are. A name that is
erased later stays in such a file.

With --after only the records after one are written, which must have been exported
before; best the end of the file before.

Example:
  sitegate audit export /srv/archive/audit-2026-11.jsonl --after 4711
`

func auditExport(ctx context.Context, p *program, args []string) error {
	f := p.flags("audit export", auditExportHelp)
	p.configFlags(f)
	asCSV := f.Bool("csv", false, "write CSV")
	names := f.Bool("names", false, "say whose the pseudonyms are")
	after := f.Uint64("after", 0, "only the records after this one")
	by := f.String("by", "", "who exports it (default: the user of this machine who asks)")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("audit export: name one file to write to; see sitegate audit export --help")
	}
	who := p.asker(*by)
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	file := filepath.Clean(rest[0])
	if _, err := os.Lstat(file); err == nil {
		return usagef("audit export: %s is there already, and nothing is overwritten", file)
	}
	var mark api.AuditExport
	if err := operator(ctx, c, http.MethodPost, api.PathTrail+"/export", api.AuditExport{By: who}, &mark); err != nil {
		return err
	}
	now, err := auditAt(ctx, c, mark.Through)
	if err != nil {
		return err
	}
	switch {
	case *after > now.Trail.Exported:
		return usagef("audit export: the records from %d on were not exported yet: use --after %d, or leave it out", now.Trail.Exported+1, now.Trail.Exported)
	case *after >= mark.Through:
		return usagef("audit export: there is no record after %d", *after)
	}
	bar := p.progress("exporting", "records", mark.Through-max(*after, now.Trail.After))
	_, err = writeWhole(file, func(w io.Writer) error { return writeAudit(ctx, c, w, *asCSV, *names, *after, mark, bar.at) })
	bar.end()
	if err != nil {
		return err
	}
	if err := operator(ctx, c, http.MethodPost, api.PathTrail+"/export", mark, nil); err != nil {
		return fmt.Errorf("%s was written, and is not noted as exported: %w", file, err)
	}
	fmt.Fprintf(p.stdout, "The audit trail is in %s. Its head is\n%d:%s\n", file, mark.Through, mark.Hash)
	return nil
}

// auditAt is how the audit trail stands once a record is on the node's disk: where it does
// not lead, it may be a moment behind.
func auditAt(ctx context.Context, c configs.Config, number uint64) (now api.AuditPage, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; {
		err = operator(ctx, c, http.MethodGet, api.PathTrail+"?limit=1", nil, &now)
		if err != nil || now.Trail.Number >= number || time.Now().After(end) {
			return now, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

// writeAudit writes records up to a mark, and makes sure that they are the chain that
// ends there. written hears how many there are by now.
func writeAudit(ctx context.Context, c configs.Config, w io.Writer, asCSV, names bool, after uint64, mark api.AuditExport, written func(uint64)) error {
	out, err := newAuditWriter(w, asCSV, names)
	if err != nil {
		return err
	}
	var end license.AuditMark
	if err := end.Hash.UnmarshalText([]byte(mark.Hash)); err != nil {
		return fmt.Errorf("the node's answer: %w", err)
	}
	chain, begun, done := license.AuditChain{}, false, uint64(0)
	begin := func(page api.AuditPage) error {
		begun = true
		if after > page.Trail.After {
			return auditPages(ctx, c, after-1, after, false, func(one api.AuditPage) error { // for its hash
				for _, r := range one.Items {
					x, err := auditedOf(&r)
					if err != nil {
						return err
					}
					chain = license.AuditChain{Number: x.Number, Hash: x.Hash}
				}
				return nil
			})
		}
		chain.Number = page.Trail.After
		return chain.Hash.UnmarshalText([]byte(page.Trail.Anchor))
	}
	err = auditPages(ctx, c, after, mark.Through, names, func(page api.AuditPage) error {
		if !begun {
			if err := begin(page); err != nil {
				return err
			}
		}
		for _, r := range page.Items {
			x, err := auditedOf(&r)
			before := hex.EncodeToString(chain.Hash[:])
			if err == nil {
				err = chain.Next(&x)
			}
			if err == nil {
				err = out.write(auditLine{r, before})
			}
			if err != nil {
				return err
			}
		}
		done += uint64(len(page.Items))
		written(done)
		return nil
	})
	if err == nil {
		err = chain.Ends(mark.Through, end.Hash)
	}
	if err != nil {
		return err
	}
	return out.flush()
}
