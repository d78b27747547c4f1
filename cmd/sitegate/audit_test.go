package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// auditedNode is a node with some acts in its audit trail.
func auditedNode(t *testing.T) (config string) {
	t.Helper()
	config = writeSingle(t)
	gw, _, end := nodeAt(t, config, time.Now())
	t.Cleanup(end)
	for i := range 6 {
		if err := gw.NoteAct(t.Context(), license.NoteAct{What: "history-opened", By: "ida@acme.example", User: "ann@acme.example", About: "=cmd", Note: fmt.Sprintf("ticket, %d\nand more", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// headOf is the line that a command prints of the trail's end.
func headOf(t *testing.T, stdout string) string {
	t.Helper()
	for line := range strings.Lines(stdout) {
		if number, hash, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && len(hash) == 64 && number != "" {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no head in %q", stdout)
	return ""
}

// toolAt runs commands on a node, which end with a status, and is what they say.
func toolAt(t *testing.T, config string) func(want int, args ...string) string {
	return func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := sitegate(t, nil, append(slices.Clone(args), "--config", config, "--data-dir", filepath.Dir(config))...)
		if status != want {
			t.Fatalf("%v: status %d, %q %q; want %d", args, status, stdout, stderr, want)
		}
		return stdout + stderr
	}
}

// The whole way: acts on a node, shown, verified there, exported in both forms, and
// verified far from it. An export is noted and may not be overwritten.
func TestTheAuditTrailIsExportedAndVerified(t *testing.T) {
	config := auditedNode(t)
	tool := toolAt(t, config)
	list := tool(0, "audit", "list", "--last", "3")
	if n := strings.Count(list, "history-opened"); n != 3 || !strings.Contains(list, "ida@acme") || !strings.Contains(list, `ticket, 5\nand more`) {
		t.Errorf("listed\n%s\nwant the last three acts of ida's", list)
	}
	if bare := tool(0, "audit", "list", "--no-names"); strings.Contains(bare, "@acme") {
		t.Errorf("without names:\n%s", bare)
	}
	if before := headOf(t, tool(0, "audit", "verify")); !strings.HasPrefix(before, "6:") && !strings.HasPrefix(before, "7:") {
		t.Errorf("the head is %s", before)
	}
	dir := t.TempDir()
	for _, form := range [][]string{nil, {"--csv"}, {"--csv", "--names"}, {"--names"}} {
		file := filepath.Join(dir, "trail"+strings.Join(form, ""))
		head := headOf(t, tool(0, slices.Concat([]string{"audit", "export", file, "--by", "dora"}, form)...))
		status, stdout, stderr := sitegate(t, nil, "audit", "verify", file, "--head", head)
		if status != 0 || headOf(t, stdout) != head {
			t.Fatalf("%v: status %d, %q %q; want the head %s", form, status, stdout, stderr, head)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if named := bytes.Contains(text, []byte("ann@acme")); named != slices.Contains(form, "--names") {
			t.Errorf("%v: it names people: %t", form, named)
		}
		if bytes.Contains(text, []byte(",=cmd")) {
			t.Errorf("%v: a spreadsheet would take a text for a formula", form)
		}
		if out := tool(64, "audit", "export", file); !strings.Contains(out, "nothing is overwritten") {
			t.Errorf("exported over a file: %q", out)
		}
	}
	part := filepath.Join(dir, "part")
	tool(0, "audit", "export", part, "--after", "4")
	whole, err := os.ReadFile(filepath.Join(dir, "trail"))
	if err != nil {
		t.Fatal(err)
	}
	var fourth auditLine
	if err := json.Unmarshal(bytes.Split(whole, []byte("\n"))[3], &fourth); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sitegate(t, nil, "audit", "verify", part, "--after", fourth.Hash); status != 0 {
		t.Errorf("a part after what was exported before: %q", stderr)
	}
	if status, _, stderr := sitegate(t, nil, "audit", "verify", part, "--after", strings.Repeat("0", 64)); status != 1 || !strings.Contains(stderr, "record 5") {
		t.Errorf("a part after something else: status %d, %q", status, stderr)
	}
	if out := tool(64, "audit", "export", filepath.Join(dir, "x"), "--after", "4000"); !strings.Contains(out, "not exported yet") {
		t.Errorf("after what is not exported: %q", out)
	}
	tool(0, "audit", "erase", "user", "ann@acme.example", "--note", "request 17")
	if list := tool(0, "audit", "list"); strings.Contains(list, "ann@acme") || strings.Contains(list, "ticket") || !strings.Contains(list, "name-erased") {
		t.Errorf("after the erasure:\n%s", list)
	}
	tool(0, "audit", "verify")
	tool(64, "audit", "erase", "user")
	tool(1, "audit", "erase", "somebody", "ann")
}

// TestATamperedFileIsFound: whatever is done to an exported file, verify names the record.
func TestATamperedFileIsFound(t *testing.T) {
	var chain license.AuditChain
	var lines []auditLine
	for i := range 8 {
		x := license.Audited{Number: uint64(i + 1), At: license.Time(1_700_000_000_000 + i), What: "reload", By: "w-one", Note: "n-two", About: "'+a", Count: 3}
		before := hex.EncodeToString(chain.Hash[:])
		x.Hash = x.Sum(chain.Hash)
		if err := chain.Next(&x); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, auditLine{api.AuditRecord{Number: x.Number, At: x.At.Std(), What: x.What, By: x.By, Note: x.Note, About: x.About, Count: 3,
			Hash: hex.EncodeToString(x.Hash[:])}, before})
	}
	end := license.AuditMark{Through: chain.Number, Hash: chain.Hash}
	anew := func(from int, ls []auditLine) []auditLine { // by somebody who can count
		for i := from; i < len(ls); i++ {
			ls[i].Previous = ls[i-1].Hash
			x, err := auditedOf(&ls[i].AuditRecord)
			var before license.Digest
			if err = errors.Join(err, before.UnmarshalText([]byte(ls[i].Previous))); err != nil {
				t.Fatal(err)
			}
			sum := x.Sum(before)
			ls[i].Hash = hex.EncodeToString(sum[:])
		}
		return ls
	}
	for name, c := range map[string]struct {
		forge func(ls []auditLine) []auditLine
		at    uint64
	}{
		"as it was":        {func(ls []auditLine) []auditLine { return ls }, 0},
		"changed":          {func(ls []auditLine) []auditLine { ls[2].By = "w-other"; return ls }, 3},
		"changed time":     {func(ls []auditLine) []auditLine { ls[2].At = ls[2].At.Add(time.Microsecond); return ls }, 3},
		"dropped":          {func(ls []auditLine) []auditLine { return slices.Delete(ls, 2, 3) }, 3},
		"the first gone":   {func(ls []auditLine) []auditLine { return ls[1:] }, 0}, // what --after is for
		"the last gone":    {func(ls []auditLine) []auditLine { return ls[:7] }, 8},
		"reordered":        {func(ls []auditLine) []auditLine { ls[2], ls[3] = ls[3], ls[2]; return ls }, 3},
		"there twice":      {func(ls []auditLine) []auditLine { return slices.Insert(ls, 4, ls[3]) }, 4},
		"written anew":     {func(ls []auditLine) []auditLine { ls[2].By = "w-other"; return anew(2, ls) }, 8},
		"no hash":          {func(ls []auditLine) []auditLine { ls[5].Hash = "?"; return ls }, 6},
		"begins elsewhere": {func(ls []auditLine) []auditLine { ls[0].Previous = strings.Repeat("1", 64); return ls }, 1},
		"another previous": {func(ls []auditLine) []auditLine { ls[4].Previous = strings.Repeat("1", 64); return ls }, 5},
	} {
		for _, asCSV := range []bool{false, true} {
			var file bytes.Buffer
			w, err := newAuditWriter(&file, asCSV, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range c.forge(slices.Clone(lines)) {
				if err := w.write(l); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
			_, _, err = checkAuditFile(&file, "", end)
			var broken *license.AuditBroken
			if c.at == 0 && err != nil || c.at > 0 && (!errors.As(err, &broken) || broken.Number != c.at) {
				t.Errorf("%s (CSV %t): got %v, want record %d to be named", name, asCSV, err, c.at)
			}
		}
	}
	for _, odd := range []string{"", "\n", "{}\n", "{", "a,b,c\n", strings.Repeat("{", maxAuditLine+1), "number,at,what,by,via,user,machine,about,note,count,from,seq,hash,previous\nx\n"} {
		if _, _, err := checkAuditFile(strings.NewReader(odd), "", license.AuditMark{}); err == nil {
			t.Errorf("%.40q was taken for an audit trail", odd)
		}
	}
}

// FuzzAuditFile: no file breaks the reader, and none that it takes is other than a chain.
func FuzzAuditFile(f *testing.F) {
	f.Add([]byte(`{"number":1,"at":"2026-01-01T00:00:00Z","what":"reload","hash":"00","previous":"00"}`))
	f.Add([]byte(strings.Join(auditColumns, ",") + "\n1,2026-01-01T00:00:00Z,reload,,,,,,,0,,0,00,00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var seen uint64
		first, chain, err := checkAuditFile(bytes.NewReader(b), "", license.AuditMark{})
		_ = readAuditFile(bytes.NewReader(b), func(auditLine) error { seen++; return nil })
		if err == nil && chain.Number-first+1 != seen {
			t.Errorf("took %d records for those from %d to %d", seen, first, chain.Number)
		}
	})
}
