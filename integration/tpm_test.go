package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/machinekey"
	"sitegate/client/tpmkey"
	"sitegate/client/tpmkey/tpmtest"
	"sitegate/emulator"
)

// TestADayWithATPM: a computer goes by a key that its TPM has made. What it starts is that
// key's to renew and to stop: not the sign-in's, and not that of a computer which has a copy
// of all its files.
func TestADayWithATPM(t *testing.T) {
	t.Parallel()
	tpm, foreign := tpmtest.New(t), tpmtest.New(t)
	s := NewSite(t, 1, 20)
	home := filepath.Join(s.Dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	ca, token := filepath.Join(home, "ca.pem"), filepath.Join(home, "token")
	access := s.Token(t, emulator.UserA)
	for path, content := range map[string]string{ca: string(s.CAPEM), token: access} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seatAt := func(at *tpmtest.TPM, home string, args ...string) *Process {
		t.Helper()
		env := []string{"SITEGATE_GATEWAY=" + s.Nodes[0].URL, "SITEGATE_CA=" + ca, "SITEGATE_TOKEN_FILE=" + filepath.Join(home, "token"), "SITEGATE_TPM=" + at.Path,
			"SITEGATE_NOTIFY=off", "LC_ALL=C", "HOME=" + home, "XDG_CONFIG_HOME=" + home}
		return StartProcess(t, "seat "+args[0], env, Program(t, "seat"), append([]string{"--machine-name", "WS-101", "--machine-id", "id-101"}, args...)...)
	}
	does := func(at *tpmtest.TPM, home string, want int, text string, args ...string) {
		t.Helper()
		p := seatAt(at, home, args...)
		if got := p.Wait(t, time.Minute); got != want || !strings.Contains(p.Output(), text) {
			t.Errorf("seat %v ended with %d, want %d and %q; it wrote:\n%s", args, got, want, text, p.Output())
		}
	}
	does(tpm, home, 0, "none yet", "machine")
	run := seatAt(tpm, home, "run", "--product", emulator.ProductCapped, "--", "sh", "-c", "trap 'echo saved; exit 0' TERM; echo running; while :; do sleep 0.1; done")
	says(t, run, time.Minute, "running")
	does(tpm, home, 0, "in the TPM of this computer (P-256)", "machine")

	// The session is renewed by what the TPM signs, and by nothing less.
	keys, err := filepath.Glob(filepath.Join(home, "sitegate", "machine-key-*"))
	if err != nil || len(keys) != 1 {
		t.Fatalf("there are %q (%v), want one file of a key", keys, err)
	}
	key, err := machinekey.Store{Keystore: tpmkey.TPM{Path: tpm.Path}}.Open(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var bound client.Bound
	if b, err := os.ReadFile(token + ".machine"); err != nil || json.Unmarshal(b, &bound) != nil {
		t.Fatalf("what the gateway has told is not kept: %v", err)
	}
	shown, _, err := machinekey.Session{User: bound.User, Cluster: bound.Cluster, Machine: "id-101", At: time.Now()}.Token(key)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, by string, in, out any) (int, string) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.Nodes[0].URL+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+by)
		req.Header.Set("Content-Type", "application/json")
		resp, err := s.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		text.ReadFrom(resp.Body)
		if out != nil {
			if err := json.Unmarshal(text.Bytes(), out); err != nil {
				t.Fatal(err)
			}
		}
		return resp.StatusCode, text.String()
	}
	var me api.Me
	if status, text := ask("GET", "/v1/me", access, nil, &me); status != 200 || len(me.Sessions) != 1 {
		t.Fatalf("the user has %d %s, want one session", status, text)
	}
	at := "/v1/sessions/" + me.Sessions[0].ID
	beat := api.MachineRequest{Machine: api.Machine{ID: "id-101", Name: "WS-101"}}
	if status, text := ask("POST", at+"/heartbeat", shown, beat, nil); status != 200 {
		t.Errorf("a heartbeat by the TPM's key: %d %s", status, text)
	}
	for what, path := range map[string]string{"POST": at + "/heartbeat", "DELETE": at + "?machine=id-101"} {
		if status, text := ask(what, path, access, beat, nil); status != 403 || !strings.Contains(text, string(client.ErrKeyNeeded)) {
			t.Errorf("%s %s by the sign-in alone: %d %s, want %s", what, path, status, text, client.ErrKeyNeeded)
		}
	}

	// A computer with a copy of everything has another TPM; one that makes a key is a clone.
	copied := filepath.Join(s.Dir, "copied")
	if err := os.CopyFS(copied, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	key2 := filepath.Join(copied, "sitegate", filepath.Base(keys[0]))
	for _, path := range []string{key2, filepath.Join(copied, "token")} {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	does(foreign, copied, 64, "the key's file is of another computer", "run", "--product", emulator.ProductCapped, "--", "true")
	if err := os.Remove(key2); err != nil {
		t.Fatal(err)
	}
	does(foreign, copied, 77, "WS-101", "run", "--product", emulator.ProductCapped, "--", "true")

	// A TPM that is away says so, and is no reason to go by another key; what runs goes on,
	// and stops when its program does.
	tpm.Off()
	does(tpm, home, 64, "No other takes its place", "status")
	tpm.On()
	does(tpm, home, 0, "this machine", "status")
	run.cmd.Process.Signal(syscall.SIGTERM)
	if status := run.Wait(t, time.Minute); status != 0 {
		t.Errorf("run ended with %d, want its program's 0", status)
	}
	says(t, run, time.Minute, "saved")
	Eventually(t, time.Minute, "the session is over", func() error {
		var me api.Me
		if status, text := ask("GET", "/v1/me", access, nil, &me); status != 200 || len(me.Sessions) > 0 {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})

	// It was cleared, with nothing in use: a new key takes the old one's place.
	tpm.Clear()
	does(tpm, home, 64, "cleared or replaced", "run", "--product", emulator.ProductCapped, "--", "true")
	if err := os.Remove(keys[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	does(tpm, home, 0, "", "run", "--machine-key", "tpm", "--product", emulator.ProductCapped, "--", "true")
	does(tpm, home, 64, "is asked for", "status", "--machine-key", "file")
}
