package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sitegate/configs"
	"sitegate/emulator"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/raftstore"
	"sitegate/upstream/cloudapi"
)

// sealed is a node without a link, its operator's socket, and a vendor to whom files
// are carried.
type sealed struct {
	file   string // its configuration
	gw     *gateway.Gateway
	store  *raftstore.Store
	door   *usageDoor
	vendor *emulator.Emulator
	used   int
}

func newSealed(t *testing.T) *sealed {
	t.Helper()
	s := &sealed{file: writeSingle(t), vendor: &emulator.Emulator{}}
	dir := filepath.Dir(s.file)
	quiet := slog.New(slog.DiscardHandler)
	c, _, err := configs.Load(s.file, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.DataDir = dir
	peers, err := openPeering(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	node := &nodeLog{}
	if s.store, err = raftstore.Open(raftstore.Config{Dir: storeDir(c), Node: c.Node, Cluster: peers.cluster, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.store.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	node.store.Store(s.store)
	s.gw = gateway.New(gateway.Config{Log: node, Logger: quiet})
	pem, err := s.vendor.ReceiptKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	c.Usage.ReceiptKeyFile = filepath.Join(t.TempDir(), "vendor.pem")
	if err := os.WriteFile(c.Usage.ReceiptKeyFile, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	ep := endpointOf(t, s.gw)
	if s.door, err = newUsageDoor(c, s.gw, peers.keys, ep.Refuse, quiet); err != nil {
		t.Fatal(err)
	}
	s.door.install(ep.Administer)
	answerAt(t, s.file, ep.Operator())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	led := false
	_ = s.store.Lead(ctx, func(context.Context) { led = true; cancel() })
	if !led {
		t.Fatal("a node alone does not lead within a minute")
	}
	m := license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{
		{Account: &license.Account{ID: "a", AutonomyUncapped: 7 * 24 * time.Hour}},
		{Product: &license.Product{ID: "view", Capped: license.CappedNo}}, {License: &license.License{ID: "all", Product: "view", Kind: license.Commercial}},
		{User: &license.User{ID: "ann", Country: "DE"}}, {User: &license.User{ID: "bob", Country: "FR"}}}}
	if _, err := s.store.Propose(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return s
}

// use has users start and stop n times.
func (s *sealed) use(t *testing.T, n int) {
	t.Helper()
	for range n {
		s.used++
		user := license.UserID("ann")
		if s.used%2 == 0 {
			user = "bob"
		}
		id, m := license.ID{1, byte(s.used), byte(s.used >> 8)}, license.Machine{Name: fmt.Sprint("WS-", s.used)}
		a, err := s.gw.Start(t.Context(), license.Start{ID: id, User: user, Product: "view", Machine: m})
		if err == nil && a.Outcome.Denial == nil {
			a, err = s.gw.Stop(t.Context(), license.Stop{ID: id, User: user, Machine: m})
		}
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("use %d: %v, %+v", s.used, err, a.Outcome.Denial)
		}
	}
}

func (s *sealed) run(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	args = append(args, "--config", s.file, "--data-dir", filepath.Dir(s.file))
	status, stdout, stderr := sitegate(t, nil, append([]string{"usage"}, args...)...)
	if status != want {
		t.Fatalf("%v: status %d, want %d\n%s%s", args, status, want, stdout, stderr)
	}
	return stdout, stderr
}

// carry takes a file in dir to the vendor and puts the receipt beside it.
func (s *sealed) carry(t *testing.T, dir string, number uint64) (receipt string, err error) {
	t.Helper()
	var manifest cloudapi.Signed
	b, err := os.ReadFile(filepath.Join(dir, usageManifestName(number)))
	if err == nil {
		err = json.Unmarshal(b, &manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m, err := openManifest(manifest, s.door.keys.CAPEM()); err != nil || m.Number != number || m.File != usageFileName(number) {
		t.Fatalf("the manifest of file %d is %+v, %v", number, m, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, usageFileName(number)))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.vendor.TakeUsageFile(manifest, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	b, err = json.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	receipt = filepath.Join(dir, fmt.Sprintf("usage-%06d.receipt.json", number))
	return receipt, os.WriteFile(receipt, b, 0o600)
}

// The whole way: exported, carried, taken by the vendor, the receipts brought back.
func TestUsageIsCarriedToTheVendorAndAcknowledged(t *testing.T) {
	s := newSealed(t)
	stick := t.TempDir()
	s.use(t, 5)
	out, _ := s.run(t, 0, "export", stick, "--by", "ida")
	if !strings.Contains(out, "1 file written") || !strings.Contains(out, "File 1: 5 records") || !strings.Contains(out, "No gap.") {
		t.Errorf("the first export says\n%s", out)
	}
	s.use(t, 4)
	out, _ = s.run(t, 0, "export", stick, "--by", "ida")
	if !strings.Contains(out, "1 file written") || !strings.Contains(out, "File 2: 4 records") {
		t.Errorf("the second export says\n%s", out)
	}
	if out, _ = s.run(t, 0, "export", stick, "--by", "ida"); !strings.Contains(out, "0 files written") {
		t.Errorf("with nothing new it says\n%s", out)
	}

	// What is lost on the way is written again, the same.
	was, err := os.ReadFile(filepath.Join(stick, usageFileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(string) error{os.Remove, func(f string) error { return os.WriteFile(f, []byte("x"), 0o600) }} {
		if err := spoil(filepath.Join(stick, usageFileName(1))); err != nil {
			t.Fatal(err)
		}
		s.run(t, 0, "export", stick, "--by", "ida")
		if now, err := os.ReadFile(filepath.Join(stick, usageFileName(1))); err != nil || !bytes.Equal(was, now) {
			t.Errorf("it was written again otherwise, %v", err)
		}
	}

	// So is a manifest, also where there is one of another file.
	other, err := os.ReadFile(filepath.Join(stick, usageManifestName(2)))
	if err != nil {
		t.Fatal(err)
	}
	for _, is := range [][]byte{nil, []byte("x"), other} {
		if err := os.WriteFile(filepath.Join(stick, usageManifestName(1)), is, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, _ := s.run(t, 0, "export", stick, "--by", "ida"); !strings.Contains(out, "1 file written") {
			t.Errorf("with a manifest of %d bytes that is not its own:\n%s", len(is), out)
		}
	}

	// The vendor takes them in their order; the receipts come back in any.
	if _, err := s.carry(t, stick, 2); err == nil {
		t.Error("the vendor takes the second file without the first")
	}
	s.vendor.RefuseUsageOf("bob")
	first, err := s.carry(t, stick, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.vendor.RefuseUsageOf()
	second, err := s.carry(t, stick, 2)
	if err != nil {
		t.Fatal(err)
	}
	out, _ = s.run(t, 0, "import-receipt", second, "--by", "ida")
	if !strings.Contains(out, "Receipt for file 2: 4 records") {
		t.Errorf("the receipt says %s", out)
	}
	if out, _ = s.run(t, 0, "export", stick, "--by", "ida"); !strings.Contains(out, "that of a file before it is not") {
		t.Errorf("with the second receipt alone:\n%s", out)
	}
	if out, _ = s.run(t, 0, "import-receipt", first, "--by", "ida"); !strings.Contains(out, "2 records refused") {
		t.Errorf("the receipt with refusals says %s", out)
	}
	if out, _ = s.run(t, 0, "import-receipt", first, "--by", "ida"); !strings.Contains(out, "before") {
		t.Errorf("the receipt once more: %s", out)
	}
	var waiting uint64
	var head license.Head
	s.gw.View(func(st *license.State) { waiting, head = st.UsageWaiting(), st.Head() })
	if waiting != 0 || head.UsageKept != 7 || head.UsageMade != 9 || len(s.vendor.Usage()) != 7 {
		t.Errorf("%d wait, %d of %d count as delivered, the vendor has %d", waiting, head.UsageKept, head.UsageMade, len(s.vendor.Usage()))
	}
	a, err := s.gw.Audit(t.Context())
	if err != nil || !a.Clean() || a.SetAside != 2 {
		t.Errorf("the audit has found %+v, %v", a.Findings, err)
	}
}

// Only the vendor's own receipt for the very file deletes anything.
func TestReceiptsOfOthersAreNotTaken(t *testing.T) {
	s := newSealed(t)
	stick := t.TempDir()
	s.use(t, 3)
	s.run(t, 0, "export", stick, "--by", "ida")
	good, err := s.carry(t, stick, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	var signed cloudapi.Signed
	if err := json.Unmarshal(b, &signed); err != nil {
		t.Fatal(err)
	}
	var receipt cloudapi.UsageFileReceipt
	if err := json.Unmarshal(signed.Document, &receipt); err != nil {
		t.Fatal(err)
	}
	other := &emulator.Emulator{}
	manifest, err := os.ReadFile(filepath.Join(stick, usageManifestName(1)))
	if err != nil {
		t.Fatal(err)
	}
	var m cloudapi.Signed
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(stick, usageFileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.TakeUsageFile(m, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	edited := signed
	edited.Document = bytes.Replace(signed.Document, []byte(`"accepted":3`), []byte(`"accepted":2`), 1)
	asManifest := m // signed by this site, and something else
	for name, doc := range map[string]cloudapi.Signed{"another vendor's": forged, "edited": edited, "a manifest": asManifest, "unsigned": {Document: signed.Document}} {
		file := filepath.Join(t.TempDir(), "receipt.json")
		b, err := json.Marshal(doc)
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, stderr := s.run(t, 1, "import-receipt", file, "--by", "ida"); !strings.Contains(stderr, "not taken") {
			t.Errorf("%s: %s", name, stderr)
		}
	}
	var waiting uint64
	s.gw.View(func(st *license.State) { waiting = st.UsageWaiting() })
	if waiting != 3 {
		t.Errorf("%d records wait, want all 3", waiting)
	}
	s.run(t, 64, "import-receipt", filepath.Join(stick, usageFileName(1)), "--by", "ida")
	s.run(t, 64, "import-receipt", filepath.Join(stick, "nothing"))
	s.run(t, 64, "export", filepath.Join(stick, "nowhere"))
	s.run(t, 64, "export", stick, "--until", "yesterday")
	s.run(t, 64, "export")
	s.run(t, 0, "import-receipt", good, "--by", "ida")
}

// What the vendor says of a record is kept, however it is written and as far as there is
// room for it.
func TestWhatTheVendorSaysOfARefusalCanBeKept(t *testing.T) {
	for _, detail := range []string{"", "no such user", strings.Repeat("é", 150), "a" + strings.Repeat("é", 150), strings.Repeat("\xff", 300)} {
		if got := clipped(detail); len(got) > license.MaxName || !utf8.ValidString(got) || len(detail) < 200 && got != detail {
			t.Errorf("of %q %q is kept", detail, got)
		}
	}
}

// A day is up to its beginning: what ended later is not in the file.
func TestOnlyWhatEndedInTimeIsExported(t *testing.T) {
	s := newSealed(t)
	stick := t.TempDir()
	s.use(t, 2)
	out, _ := s.run(t, 0, "export", "--until", "2001-01-01", stick)
	if !strings.Contains(out, "0 files written") || !strings.Contains(out, "2 records not exported") {
		t.Errorf("it says\n%s", out)
	}
	if report, err := os.ReadFile(filepath.Join(stick, "gaps.txt")); err != nil || !strings.Contains(string(report), "2 records not exported") {
		t.Errorf("the report is %q, %v", report, err)
	}
}
