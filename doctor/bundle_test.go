package doctor

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator/proxy"
)

// unzip is each file of a bundle, by name.
func unzip(t *testing.T, file string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
	}
	return files
}

// Nothing that is secret, and no name of an account, a person or a place on this machine, gets into a bundle, wherever it was.
func TestBundleTellsNoSecretAndNoName(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{Users: map[string]string{user: "another"}})
	keytab := s.file(t, "jane.keytab", "\x05\x02")
	s.file(t, "mails.password", "mail-secret-2\n")
	s.text = strings.Replace(s.text, "egress:\n", "alerts: {mail: {server: \"mail.example.com:587\", username: paula, password_file: mails.password, from: gate@example.com, to: [paul@example.com]}, webhooks: [{name: chat, url: \"https://hooks.example.com:8443/services/T0/B0/t0ken-of-the-chat\", secret_file: mails.password}]}\nusage: {receipt_key_file: "+s.file(t, "doe.pem", "x")+"}\nbackup: {folder: "+s.dir+"}\negress:\n  proxies: [{name: south, address: \"127.0.0.1:1\", kerberos: {principal: erika.mustermann@CORP.EXAMPLE, keytab_file: "+keytab+", spn: HTTP/p}}, {name: east, address: \"127.0.0.1:1\", username: lotte, password_file: lottes.password}]\n", 1)
	s.file(t, "lottes.password", "another-one\n")
	c := s.config(t)
	c.Status = &api.Status{Node: "gw1", Time: time.Now(), Mirror: api.MirrorStatus{Filled: true, Cursor: "cursor-of-joan", Held: &api.HeldMirror{By: "max.moritz", Note: "as Lena says"}},
		Backup: &api.BackupStatus{Folder: "/home/otto/backups"}, Egress: []api.EgressStatus{{Name: "main", Kind: "http", Address: s.proxy.Addr(), State: "well",
			Problem: `The proxy p refused CONNECT with 403 Forbidden: 'Sorry, Anna Schmidt (OTHER\aschmidt).' Look into /home/anna/secrets/proxy.password of anna@corp.example and svc-licenses.`}}}
	r := Run(t.Context(), c)
	r.Checks = append(r.Checks, Check{Step: "x", State: Fail, Found: "mail-secret-2 of paula, cloud-secret-1 and " + password + " of " + user + " in " + c.File + ` and Post "https://HOOKS.example.com:8443/services/T0/B0/t0ken-of-the-chat": EOF, /services/T0/B0/t0ken-of-the-chat`, Action: "Ask SVC-Licenses, or Erika.Mustermann."})
	file := filepath.Join(s.dir, "bundle.zip")
	if err := WriteBundle(file, c, r); err != nil {
		t.Fatal(err)
	}
	files := unzip(t, file)
	if len(files) != 5 {
		t.Fatalf("got %d files, want 5", len(files))
	}
	for name, text := range files {
		low := strings.ToLower(text)
		for _, no := range []string{"mail-secret-2", "paul", "mails.pass", "cloud-secret-1", password, `p@ss`, "svc-licenses", "erika", "mustermann", "joan", "moritz", "lena", "otto", "anna", "schmidt", "jane", "lotte", "doe.pem", s.dir, filepath.Base(filepath.Dir(s.dir)), "sitegate.yaml", "/proxy.pass", "/cloud.sec", "ca.pem", "t0ken"} {
			if strings.Contains(low, strings.ToLower(no)) {
				t.Errorf("%s has %q in it:\n%s", name, no, text)
			}
		}
	}
	for name, want := range map[string]string{"config.txt": "egress.proxy.address: " + s.proxy.Addr(), "report.json": "https://HOOKS.example.com:8443/…", "report.txt": "proxy_auth_rejected", "status.json": `"mirror_filled": true`, "version.txt": "sitegate v1"} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %q:\n%s", name, want, files[name])
		}
	}
	var back Report
	if err := json.Unmarshal([]byte(files["report.json"]), &back); err != nil || len(back.Checks) != len(r.Checks) || len(back.Firewall) != len(r.Firewall) {
		t.Errorf("got %d checks and %d rows, %v; want all of them", len(back.Checks), len(back.Firewall), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file for this user's eyes", info, err)
	}
	if err := WriteBundle(file, c, r); err == nil {
		t.Error("a file that is there was overwritten")
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the first bundle is gone: %v", err)
	}
}
