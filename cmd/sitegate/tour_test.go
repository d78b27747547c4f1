package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What goes through all commands finds each with its flags and its help, and carries
// none out.
func TestTheTourFindsEveryCommand(t *testing.T) {
	all := stops(t.Context())
	seen := map[string]bool{}
	for _, s := range all {
		if seen[s.name] {
			t.Errorf("%q is there twice", s.name)
		}
		seen[s.name] = true
		if s.table == nil && (s.flags == nil || !strings.Contains(s.help, "sitegate "+s.name) && !strings.Contains(s.help, "sitegate "+strings.TrimSuffix(s.name, " list"))) {
			t.Errorf("sitegate %s has no help of its own: it begins %.60q", s.name, strings.TrimSpace(s.help))
		}
		for _, c := range s.table {
			if !slices.ContainsFunc(all, func(x stop) bool { return x.name == strings.TrimSpace(s.name+" "+c.name) }) {
				t.Errorf("sitegate %s: the tour does not come to %s", s.name, c.name)
			}
		}
	}
	if len(all) < 60 {
		t.Errorf("the tour comes to %d commands and tables only", len(all))
	}
}

func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	dir := t.TempDir()
	_, script, _ := sitegate(t, nil, "completion", "bash")
	asked := `source "$1"; sitegate() { printf '%s\n' "${@:4}" > asked; cat answer; }; shift; COMP_WORDS=(sitegate "$@"); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); _sitegate; printf '%s\n' "${COMPREPLY[@]}"`
	for _, file := range []string{"script", "site.pem"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for words, want := range map[string][]string{
		"clust":                     {"cluster"},
		"un":                        {"unblock"},
		"cluster jo":                {"join"},
		"help":                      {"help"},
		"bench star":                {"starts"},
		"audit list --la":           {"--last"},
		"licenses --sta":            {"--state"},
		"licenses mo":               {"move"},
		"sessions --user x --mach":  {"--machine"},
		"sessions --user=x --capp":  {"--capped"},
		"sessions --user = x --cap": {"--capped"}, // as bash takes it apart
		"completion f":              {"fish"},
		"status --ca-file site":     {"site.pem"}, // the shell's own
		"no-such-command --nothing": {},
	} {
		answer := ""
		args := append([]string{"completion", "words", "--"}, strings.Fields(words)...)
		status, out, errs := sitegate(t, nil, args...)
		if status != 0 || errs != "" {
			t.Fatalf("%q: status %d, %s", words, status, errs)
		}
		answer = out
		if err := os.WriteFile(filepath.Join(dir, "answer"), []byte(answer), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(bash, append([]string{"--norc", "-c", asked, "bash", "./script"}, strings.Fields(words)...)...)
		cmd.Dir = dir
		got, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", words, err, got)
		}
		if found := strings.Fields(string(got)); !slices.Equal(found, want) {
			t.Errorf("sitegate %s: completed to %v, want %v", words, found, want)
		}
		given, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil || strings.Join(strings.Fields(string(given)), " ") != words {
			t.Errorf("bash asks for %q, %v; want %q", given, err, words)
		}
	}
	for shell := range completions {
		status, out, _ := sitegate(t, nil, "completion", shell)
		path, err := exec.LookPath(shell)
		if status != 0 || err != nil {
			continue // the shell is not here
		}
		file := filepath.Join(dir, shell)
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s cannot read its script: %v\n%s", shell, err, out)
		}
	}
	if status, _, errs := sitegate(t, nil, "completion", "tcsh"); status != 64 || !strings.Contains(errs, "bash, zsh or fish") {
		t.Errorf("completion tcsh: status %d, %q", status, errs)
	}
}
