package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/configs"
)

const administrators = "administrators: {issuer: \"https://sign-in.example.com\", audience: administration, admins: [all], "

func TestTheConsolesClientAtTheIssuer(t *testing.T) {
	for with, want := range map[string]string{
		"client_id: console": "",
		"client_id: console, client_secret_file: c.secret": "",
		"client_secret_file: c.secret":                     "administrators.client_id: is missing",
		"client_id: site-gateway":                          "administrators.client_id: is the desktops' audience",
	} {
		_, _, err := load(t, configs.SingleNode+administrators+with+"}\n")
		if got := err != nil && strings.Contains(err.Error(), "administrators."); got != (want != "") || got && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", with, err, want)
		}
	}
}

// The client's secret is looked at before the node starts, and never told.
func TestTheConsolesSecretIsForItsUserOnly(t *testing.T) {
	file := write(t, configs.SingleNode+administrators+"client_id: console, client_secret_file: c.secret}\n")
	c, _, err := configs.Load(file, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "administrators.client_secret_file: there is no file") {
		t.Errorf("without it: got %v", err)
	}
	secret := filepath.Join(filepath.Dir(file), "c.secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "client_secret_file: "+secret+" can be read by others") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("open to others: got %v", err)
	}
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckFiles(); err != nil && strings.Contains(err.Error(), "client_secret_file") {
		t.Errorf("closed: got %v", err)
	}
}
