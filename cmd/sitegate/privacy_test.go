package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sitegate/api"
)

// What is kept about a person is written to a file that was not there, and forgotten as far
// as may be; both want a reason, and both are in the audit trail, which holds.
func TestAPersonsDataIsExportedAndErased(t *testing.T) {
	config := auditedNode(t)
	tool := toolAt(t, config)
	file := filepath.Join(t.TempDir(), "ann.json")
	if said := tool(64, "privacy", "export", "--id", "ann@acme.example"); !strings.Contains(said, "--note") {
		t.Errorf("without a reason: %q", said)
	}
	if said := tool(0, "privacy", "export", "--id", "ann@acme.example", "--note", "request 17", "--by", "dora", "--to", file); !strings.Contains(said, "7 records of the audit trail") {
		t.Errorf("got %q, want six acts and the export itself to be counted", said)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var data api.PersonalData
	if err := json.Unmarshal(raw, &data); err != nil || data.User != "ann@acme.example" || len(data.Audit) != 7 || !strings.HasPrefix(data.Audit[6].ByName, "dora") {
		t.Errorf("%v: %s", err, raw)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want a file for this user's eyes", info, err)
	}
	tool(1, "privacy", "export", "--id", "ann@acme.example", "--note", "request 17", "--to", file) // it is there
	if said := tool(0, "privacy", "erase", "--id", "ann@acme.example", "--note", "request 18", "--by", "dora"); !strings.Contains(said, "1 name.") || !strings.Contains(said, "Stays: journal") {
		t.Errorf("got %q", said)
	}
	if list := tool(0, "audit", "list"); strings.Contains(list, "ann@") || !strings.Contains(list, "request 18") {
		t.Errorf("the trail after the erasure: %s", list)
	}
	tool(0, "audit", "verify")
	var none api.Erased
	if err := json.Unmarshal([]byte(tool(0, "privacy", "erase", "--id", "ann@acme.example", "--note", "request 18", "--json")), &none); err != nil || none.Forgotten != 0 {
		t.Errorf("%v: %+v, want nothing more", err, none)
	}
}

// A report is shown as text, as CSV and as JSON, in a language, of a time that is asked for.
func TestAReportIsShown(t *testing.T) {
	config := writeSingle(t)
	_, _, end := nodeAt(t, config, time.Now())
	t.Cleanup(end)
	at := []string{"--config", config, "--data-dir", filepath.Dir(config)}
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"report"}, 0, "Products: nothing"},
		{[]string{"report", "week", "--language", "de"}, 0, "Ablehnungen: nichts"},
		{[]string{"report", "month", "--csv"}, 0, "section,item,name,measure,value"},
		{[]string{"report", "--from", "2026-01-01", "--to", "2026-01-08", "--json"}, 0, `"from": "2026-01-01T00:00:00Z"`},
		{[]string{"report", "year"}, 64, `"year" is none of day, week, month`},
		{[]string{"report", "day", "--from", "2026-01-01"}, 64, "say day, or --from and --to"},
		{[]string{"report", "--csv", "--json"}, 64, "choose one"},
		{[]string{"report", "--language", "xx"}, 64, "en, fr or de"},
		{[]string{"report", "--from", "yesterday"}, 1, "neither a day"},
	} {
		status, stdout, stderr := sitegate(t, nil, slices.Concat(test.args, at)...)
		if status != test.status || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("%v: status %d, %q %q; want %d and %q", test.args, status, stdout, stderr, test.status, test.want)
		}
	}
}

// Who exports is told how many bytes have come by now.
func TestWhatIsReadIsCounted(t *testing.T) {
	var far []uint64
	r := &counted{r: iotest.OneByteReader(strings.NewReader("abc")), far: func(n uint64) { far = append(far, n) }}
	if got, err := io.ReadAll(r); err != nil || string(got) != "abc" {
		t.Fatalf("read %q, %v", got, err)
	}
	if want := []uint64{1, 2, 3}; !slices.Equal(slices.Compact(far), want) {
		t.Errorf("told %d; want %d", far, want)
	}
}
