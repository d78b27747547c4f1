package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitegate/configs"
	"sitegate/upstream/cloudapi"
)

const usageExportHelp = `
Usage: sitegate usage export [--until T] [--by WHO] DIR [--config FILE]

Writes usage records that the cloud does not have into files in DIR, for a site
without a link: somebody carries them to the vendor, and brings the receipts back
(sitegate usage import-receipt). T is a day (2026-11-21) or an RFC 3339 time, of
when the use ended; now where it is left out.

Each file has a number, up to 50,000 records as JSON, one a line, and a manifest
that this node has signed: usage-000001.jsonl, usage-000001.manifest.json. The
numbers of a site have no gap, and each file begins where the one before ended.
Nothing is deleted before the vendor's receipt for it has come in. Files that wait
for their receipts and are not in DIR are written again.

gaps.txt in DIR, and the last lines of the output, say what is missing: receipts,
files, records. Exit status 1 says that DIR does not have all it should.

The files have names and machines in them, as the vendor needs them: only their
owner can read them.

Example:
  sitegate usage export --until 2026-12-01 /media/stick
`

func usageExport(ctx context.Context, p *program, args []string) error {
	f := p.flags("usage export", usageExportHelp)
	p.configFlags(f)
	until := f.String("until", "", "what ended up to this day or time (default: now)")
	by := f.String("by", "", "who exports it (default: the user of this machine who asks)")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("usage export: name one folder to write to; see sitegate usage export --help")
	}
	end := time.Now()
	if *until != "" {
		if end, err = dayOrTime(*until); err != nil {
			return usagef("usage export: --until: %w", err)
		}
	}
	who := p.asker(*by)
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	dir := rest[0]
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usagef("usage export: %s is no folder; make it, or mount what it is on", dir)
	}
	var last exportedUsage
	for done := false; !done; {
		if done, err = exportNext(ctx, c, exportRequest{Until: end, By: who}, &last); err != nil {
			return err
		}
	}
	all, err := exportsWith(ctx, c, last.Number)
	if err != nil {
		return err
	}
	return p.writeExports(ctx, c, dir, all)
}

// exportsWith are the files that wait for their receipts, once the node knows of one:
// where it does not lead, it may be a moment behind.
func exportsWith(ctx context.Context, c configs.Config, number uint64) (all exportsAnswer, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; {
		err = patientOperator(ctx, c, http.MethodGet, pathExports, nil, &all)
		if err != nil || all.Exported >= number || time.Now().After(end) {
			return all, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return all, ctx.Err()
		}
	}
}

// exportNext has the node note the next file; done: there is none.
func exportNext(ctx context.Context, c configs.Config, in exportRequest, next *exportedUsage) (done bool, err error) {
	resp, err := askOperator(ctx, c, http.MethodPost, pathExports, in)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return true, nil
	}
	return false, json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(next)
}

// writeExports writes the files that wait for their receipts and are not in dir, and
// tells what is missing.
func (p *program) writeExports(ctx context.Context, c configs.Config, dir string, all exportsAnswer) error {
	var records, written uint64
	for _, x := range all.Open {
		records += x.Records
	}
	bar := p.progress("exporting", "records", records)
	files := 0
	for _, x := range all.Open {
		fresh, err := writeExport(ctx, c, dir, x)
		if err != nil {
			bar.end()
			return fmt.Errorf("file %d: %w", x.Number, err)
		}
		if fresh {
			files++
		}
		written += x.Records
		bar.at(written)
	}
	bar.end()
	report, whole := gapReport(dir, all)
	if _, err := writeWhole(filepath.Join(dir, "gaps.txt"), func(w io.Writer) error { _, err := io.WriteString(w, report); return err }); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s written to %s.\n%s", count(files, "file"), dir, report)
	if !whole {
		return fmt.Errorf("%s does not have all it should: see gaps.txt there", dir)
	}
	return nil
}

// writeExport writes one file and its manifest, unless they are there and right.
func writeExport(ctx context.Context, c configs.Config, dir string, x exportedUsage) (fresh bool, err error) {
	file := filepath.Join(dir, usageFileName(x.Number))
	if sum, err := sumOf(file); err != nil {
		return false, err
	} else if sum != x.SHA256 {
		resp, err := askOperator(ctx, c, http.MethodGet, fmt.Sprint(pathExports, "/", x.Number), nil)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		hash := sha256.New()
		_, err = writeWhole(file, func(w io.Writer) error {
			_, err := io.Copy(io.MultiWriter(w, hash), resp.Body)
			if err == nil && hex.EncodeToString(hash.Sum(nil)) != x.SHA256 {
				err = errors.New("what came is not what was exported")
			}
			return err
		})
		if err != nil {
			return false, err
		}
		fresh = true
	}
	manifest := filepath.Join(dir, usageManifestName(x.Number))
	if isManifestOf(manifest, x) {
		return fresh, nil
	}
	var signed cloudapi.Signed
	if err := patientOperator(ctx, c, http.MethodGet, fmt.Sprint(pathExports, "/", x.Number, "/manifest"), nil, &signed); err != nil {
		return fresh, err
	}
	b, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		return fresh, err
	}
	_, err = writeWhole(manifest, func(w io.Writer) error { _, err := w.Write(append(b, '\n')); return err })
	return true, err
}

// isManifestOf reports whether a file is the manifest of what was exported: a stick may
// have one of an earlier file of that number.
func isManifestOf(file string, x exportedUsage) bool {
	b, err := readBounded(file, maxDocument)
	if err != nil || len(b) > maxDocument {
		return false
	}
	var signed cloudapi.Signed
	var m cloudapi.UsageManifest
	return json.Unmarshal(b, &signed) == nil && json.Unmarshal(signed.Document, &m) == nil && m.Number == x.Number && m.SHA256 == x.SHA256
}

// sumOf is the SHA-256 of a file; empty: it is not there.
func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// gapReport says what is missing, and whether dir has all that it should.
func gapReport(dir string, all exportsAnswer) (report string, whole bool) {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("Site %s, %s exported so far.", all.Site, count(int(all.Exported), "file"))
	whole = true
	var inFiles uint64
	for i, x := range all.Open {
		inFiles += x.Records
		if i > 0 && (x.Number != all.Open[i-1].Number+1 || x.After != all.Open[i-1].Through) {
			say("GAP: file %d does not follow on file %d.", x.Number, all.Open[i-1].Number)
			whole = false
		}
		sum, err := sumOf(filepath.Join(dir, usageFileName(x.Number)))
		switch {
		case err != nil || sum == "":
			say("GAP: file %d is not in this folder.", x.Number)
			whole = false
		case sum != x.SHA256:
			say("GAP: file %d in this folder is not as it was exported.", x.Number)
			whole = false
		}
		state := "no receipt yet"
		if x.Received {
			state = "its receipt is in, that of a file before it is not"
		}
		say("File %d: %s, exported %s by %s; %s.", x.Number, count(int(x.Records), "record"), x.At.UTC().Format("2006-01-02 15:04:05 UTC"), x.By, state)
	}
	if n := len(all.Open); n > 0 && all.Open[n-1].Number != all.Exported {
		say("GAP: the last file was %d.", all.Exported)
		whole = false
	}
	switch {
	case inFiles > all.Waiting:
		say("GAP: the files have %d records, and %d wait for the cloud.", inFiles, all.Waiting)
		whole = false
	case all.Waiting > inFiles:
		say("%s not exported: of what ended later.", count(int(all.Waiting-inFiles), "record"))
	}
	if all.Refused > 0 {
		say("%s refused by the vendor: see sitegate usage refused.", count(int(all.Refused), "record"))
	}
	if whole {
		say("No gap.")
	}
	return b.String(), whole
}

const usageReceiptHelp = `
Usage: sitegate usage import-receipt FILE [--by WHO] [--config FILE]

Takes the vendor's receipt for a file of usage records that was carried there. It is
taken only if it is signed with the key in usage.receipt_key_file, and is of a file as
this site has exported it. What a receipt acknowledges is then deleted in time, after
the receipts of all files before it. Records that the vendor refuses are kept: see
sitegate usage refused.

Example:
  sitegate usage import-receipt /media/stick/usage-000001.receipt.json
`

func usageReceipt(ctx context.Context, p *program, args []string) error {
	f := p.flags("usage import-receipt", usageReceiptHelp)
	p.configFlags(f)
	by := f.String("by", "", "who brings it in (default: the user of this machine who asks)")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("usage import-receipt: name one file; see sitegate usage import-receipt --help")
	}
	who := p.asker(*by)
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	data, err := readBounded(rest[0], maxDocument)
	if err != nil {
		return usagef("usage import-receipt: %w", err)
	}
	var signed cloudapi.Signed
	if len(data) > maxDocument || json.Unmarshal(data, &signed) != nil || len(signed.Document) == 0 {
		return usagef("usage import-receipt: %s is not a receipt", rest[0])
	}
	var got receiptAnswer
	if err := patientOperator(ctx, c, http.MethodPost, pathReceipts+"?by="+url.QueryEscape(who), signed, &got); err != nil {
		return err
	}
	if got.Repeat {
		fmt.Fprintf(p.stdout, "The receipt for file %d had been taken before.\n", got.Number)
		return nil
	}
	fmt.Fprintf(p.stdout, "Receipt for file %d: %s with the vendor.\n", got.Number, count(got.Accepted, "record"))
	if got.Refused > 0 {
		fmt.Fprintf(p.stdout, "%s refused; see sitegate usage refused.\n", count(got.Refused, "record"))
	}
	return nil
}

// dayOrTime reads a day in GMT or an RFC 3339 time.
func dayOrTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a day (2026-11-21) nor an RFC 3339 time", text)
}

// asker is who asks: by, or the user of this machine.
func (p *program) asker(by string) string { return cmp.Or(by, p.operatorName()) }
