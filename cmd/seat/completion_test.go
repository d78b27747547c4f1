package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// complete asks bash what it would complete after these words.
func complete(t *testing.T, script string, words ...string) []string {
	t.Helper()
	ask := `source "$1"; shift; COMP_WORDS=(seat "$@"); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); _seat; printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.Command("bash", append([]string{"--norc", "-c", ask, "bash", script}, words...)...)
	cmd.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(cmd.Dir, "site-ca.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

func TestBashCompletes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	r := newRig(t)
	got := r.seat("completion", "bash")
	r.expect(got, 0)
	script := r.file("seat.bash", got.out)
	for words, want := range map[string][]string{
		"wa":                           {"wait", "watch"},
		"--gateway https://x wa":       {"wait", "watch"},
		"--keyring o":                  {"on", "off"},
		"status --js":                  {"--json"},
		"run --kill":                   {"--kill-after"},
		"login --issuer-ca s":          {"site-ca.pem"},
		"--product x run --la":         {"--lang"},
		"completion po":                {"powershell"},
		"help che":                     {"checkout", "checkouts"},
		"run --product 3101 -- site-c": {"site-ca.pem"},
		"run gable site-c":             {"site-ca.pem"},
	} {
		if got := complete(t, script, strings.Fields(words)...); !slices.Equal(sortedWords(got), sortedWords(want)) {
			t.Errorf("seat %s: completed to %v, want %v", words, got, want)
		}
	}
	r.expect(r.seat("completion"), 64, "powershell")
	r.expect(r.seat("completion", "tcsh"), 64)
}

func sortedWords(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

// TestEveryShellKnowsEveryCommand: and, where the shell is here, can read its script.
func TestEveryShellKnowsEveryCommand(t *testing.T) {
	r := newRig(t)
	for _, x := range shells {
		got := r.seat("completion", x[0])
		r.expect(got, 0)
		for _, c := range commands() {
			if !strings.Contains(got.out, c.name) {
				t.Errorf("%s does not know the command %s", x[0], c.name)
			}
			for _, f := range flagsOf(own(c)) {
				if !strings.Contains(got.out, f.Name) {
					t.Errorf("%s does not know the flag --%s of %s", x[0], f.Name, c.name)
				}
			}
		}
		path, err := exec.LookPath(x[0])
		if err != nil || x[0] == "powershell" {
			continue
		}
		if out, err := exec.Command(path, "-n", r.file(x[0], got.out)).CombinedOutput(); err != nil {
			t.Errorf("%s cannot read its script: %v\n%s", x[0], err, out)
		}
	}
}

// TestManualIsReadable by man, where there is one; go generate checks that docs/seat.1
// is current.
func TestManualIsReadable(t *testing.T) {
	r := newRig(t)
	got := r.seat("manual")
	r.expect(got, 0, `.TH SEAT 1`, `\-\-kill\-after`, "SITEGATE_GATEWAY")
	path, err := exec.LookPath("man")
	if err != nil {
		t.Skip("there is no man")
	}
	if v, err := exec.Command(path, "--version").Output(); err != nil || !strings.HasPrefix(string(v), "man 2.") {
		t.Skip("man is another than man-db's")
	}
	cmd := exec.Command(path, "-l", "--warnings", r.file("seat.1", got.out))
	cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "PAGER=cat", "MANPAGER=cat")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("man: %v\n%s", err, said.String())
	}
	for _, c := range commands() {
		if !strings.Contains(string(out), "seat "+c.name) {
			t.Errorf("no command %s on the page", c.name)
		}
	}
}
