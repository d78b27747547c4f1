package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

func TestACheckoutFileIsHandedToTheNodeAsItIs(t *testing.T) {
	config := writeSingle(t)
	dir := filepath.Dir(config)
	file := filepath.Join(dir, "u1_LAPTOP-7.belic")
	const text = "a.b.c\r\nAAAA"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got api.CheckoutImportRequest
	m := http.NewServeMux()
	m.HandleFunc("POST /v1/checkouts/import", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		if got.Machine == "WS-1" {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: api.CodeMalformed, Detail: "the file is for the machine LAPTOP-7, not for WS-1", RequestID: "r-1"})
			return
		}
		_ = json.NewEncoder(w).Encode(api.List[api.Checkout]{Items: []api.Checkout{{ID: "c-1", Product: "3101", License: "l-1", Machine: api.Machine{Name: "LAPTOP-7"}, Until: at}}})
	})
	answerAt(t, config, m)
	line := []string{"checkouts", "import", "--config", config, "--data-dir", dir, "--by", "ida", "--note", "ship"}
	status, stdout, stderr := sitegate(t, nil, append(line, file)...)
	if want := "c-1: product 3101 is kept for LAPTOP-7 until " + at.UTC().Format("2006-01-02T15:04:05Z07:00") + " (license l-1).\n"; status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d, %q\ngot  %q\nwant %q", status, stderr, stdout, want)
	}
	if string(got.File) != text || got.By != "ida" || got.Note != "ship" || got.Machine != "" {
		t.Errorf("the node was handed %+v", got)
	}
	if status, _, stderr := sitegate(t, nil, append(line, file, "--machine", "WS-1")...); status != 1 || !strings.Contains(stderr, "not for WS-1") {
		t.Errorf("for another machine: status %d, %q", status, stderr)
	}
	for _, wrong := range [][]string{{}, {file, file}} {
		if status, _, stderr := sitegate(t, nil, append(line, wrong...)...); status != 64 || !strings.Contains(stderr, "FILE.belic") {
			t.Errorf("%d files: status %d, %q; want 64", len(wrong), status, stderr)
		}
	}
	if err := os.WriteFile(file, make([]byte, cloudapi.MaxPolicy+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sitegate(t, nil, append(line, file)...); status != 1 || !strings.Contains(stderr, "larger than") {
		t.Errorf("a large file: status %d, %q", status, stderr)
	}
}

func TestTheVendorsCertificatesAreReadFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "signers.pem")
	cloud := &emulator.Emulator{}
	var text []byte
	for range 2 {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cloud.PolicyCertificate().Raw})...)
		cloud.RotatePolicyKey()
	}
	for what, s := range map[string]struct {
		text string
		want int // -1: an error
	}{"two": {string(text), 2}, "none": {"nothing", -1}, "damaged": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", -1}} {
		if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := vendorSigners(file)
		if s.want < 0 && (err == nil || !strings.Contains(err.Error(), "relay.signer_file")) || s.want >= 0 && (err != nil || len(list) != s.want) {
			t.Errorf("%s: got %d, %v", what, len(list), err)
		}
	}
	if list, err := vendorSigners(""); list != nil || err != nil {
		t.Errorf("no file: got %d, %v", len(list), err)
	}
}
