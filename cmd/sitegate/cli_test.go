package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"sitegate/configs"
)

// sitegate runs a command line with an environment of "NAME=value" and returns
// its exit status and what it wrote.
func sitegate(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, env, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// writeSingle writes the shortest configuration with the files it names.
func writeSingle(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"sitegate.yaml": configs.SingleNode, "cloud.secret": "s3cret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "sitegate.yaml")
}

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		want   string // on either output
	}{
		{"", 64, "say what to do"},
		{"help", 0, "Usage: sitegate COMMAND"},
		{"--help", 0, "Usage: sitegate COMMAND"},
		{"help check", 0, "Usage: sitegate check"},
		{"help nothing", 64, `"nothing" is not a command`},
		{"chekc", 64, "did you mean check?"},
		{"xyzzyplugh", 64, "there are"},
		{"version", 0, "sitegate "},
		{"--version", 0, "sitegate "},
		{"version now", 64, `"now" is too much`},
		{"check --confg f", 64, "did you mean --config?"},
		{"check --config", 64, "needs an argument"},
		{"check --config /nowhere/sitegate.yaml", 64, "there is no configuration at /nowhere/sitegate.yaml"},
		{"cluster", 64, "Usage: sitegate cluster COMMAND"},
		{"cluster ini", 64, "did you mean init?"},
		{"cluster init", 64, "name a folder and the nodes"},
		{"bench", 64, "Usage: sitegate bench COMMAND"},
		{"bench start", 64, "did you mean starts?"},
		{"bench starts now", 64, `"now" is too much`},
		{"bench starts --nodes 2", 64, "--nodes is 1, 3 or 5, not 2"},
		{"bench starts --clients 0", 64, "--clients must be at least 1"},
		{"bench starts --clients -1", 64, "--clients is 1 to 20,000, not -1"},
		{"bench starts --time 0s", 64, "--time must be longer than nothing"},
		{"bench starts --at some", 64, `--at is leader or all, not "some"`},
		{"bench starts --url http://127.0.0.1 --tokens f --product 1", 64, "--url is https://host:port"},
		{"bench starts --url https://127.0.0.1:1", 64, "--url needs --tokens"},
		{"bench starts --url https://127.0.0.1:1 --tokens /nowhere/tokens --product 1", 64, "reading --tokens"},
		{"bench starts --tokens f", 64, "go with --url"},
		{"bench denials --rate -1", 64, "--rate is calls a second, not -1"},
		{"bench heartbeats --users 10 --websockets 11", 64, "--websockets is at most the number of users, 10, not 11"},
		{"bench failover --tries 0", 64, "--tries is 1 to 10,000, not 0"},
		{"bench failover --nodes 1", 64, "one node has none to fail over to"},
		{"bench failover --pause --term", 64, "contradict each other"},
		{"bench failover --cut --step-down", 64, "contradict each other"},
		{"bench failover --tempo metro", 64, "--tempo is lan, vm or wan"},
		{"bench restart --users 10 --open 10", 64, "--open is less than --users, 10, not 10"},
		{"bench store --users 10 --clients 11", 64, "--users is at least 11"},
		{"bench store --cpu-profil f", 64, "did you mean --cpu-profile?"},
	} {
		t.Run(c.args, func(t *testing.T) {
			status, stdout, stderr := sitegate(t, nil, strings.Fields(c.args)...)
			if status != c.status || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("status %d, want %d; wrote %q, want something with %q", status, c.status, stdout+stderr, c.want)
			}
			if (status == 0) != (stderr == "") {
				t.Errorf("status %d, and on standard error: %q", status, stderr)
			}
		})
	}
}

// Every command has help with an example, and a row that says what it is for.
func TestEveryCommandHelps(t *testing.T) {
	for _, x := range stops(t.Context()) {
		if x.brief == "" && x.name != "" {
			t.Errorf("%s says not what it is for", x.name)
		}
		if x.table != nil {
			continue
		}
		status, stdout, stderr := sitegate(t, nil, append(strings.Fields(x.name), "--help")...)
		full := "sitegate " + x.name
		if status != 0 || stderr != "" || !strings.Contains(stdout, "Usage: sitegate") || !strings.Contains(stdout, full) && !strings.Contains(stdout, strings.TrimSuffix(full, " list")) || !strings.Contains(stdout, "\nExample") {
			t.Errorf("%s --help: status %d, %q, %q; want its usage and an example", full, status, stdout, stderr)
		}
		if strings.HasSuffix(strings.TrimSpace(stdout), "Flags:") {
			t.Errorf("%s --help ends with a heading that nothing follows:\n%s", full, stdout)
		}
	}
}

func TestCheckShowsWhereEverythingComesFrom(t *testing.T) {
	file := writeSingle(t)
	status, stdout, stderr := sitegate(t, []string{"SITEGATE_CONFIG=" + file, "SITEGATE_LOG_LEVEL=debug"}, "check", "--node", "gw9")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	lines := map[string]string{}
	for line := range strings.Lines(stdout) {
		if f := strings.Fields(line); len(f) > 1 {
			lines[f[0]] = strings.Join(f[1:], " ")
		}
	}
	for key, want := range map[string]string{
		"node":              "gw9 (flag --node)",
		"log.level":         "debug (environment SITEGATE_LOG_LEVEL)",
		"api.url":           "https://127.0.0.1:8443 (from api.listen)",
		"cloud.site_id":     "site-4711 (file " + file + ":4)",
		"rules.lease_ttl":   "3m (default)",
		"cloud.secret_file": filepath.Join(filepath.Dir(file), "cloud.secret") + " (file " + file + ":5)",
		"api.cert_file":     "- (default)",
	} {
		if lines[key] != want {
			t.Errorf("%s: %q, want %q", key, lines[key], want)
		}
	}
	if strings.Contains(stdout, "s3cret") {
		t.Errorf("the secret is shown:\n%s", stdout)
	}
	if !strings.Contains(stdout, "this node stands alone") || !strings.Contains(stdout, "in order") {
		t.Errorf("got\n%s", stdout)
	}
}

// What is wrong with the settings and what is wrong with the files they name
// comes at once.
func TestCheckListsAllProblems(t *testing.T) {
	file := writeSingle(t)
	if err := os.Remove(filepath.Join(filepath.Dir(file), "cloud.secret")); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := sitegate(t, nil, "check", "--config", file, "--log-level", "loud", "--api-listen", "8443")
	if status != 64 || stdout != "" {
		t.Errorf("status %d and %q, want 64 and nothing", status, stdout)
	}
	for _, want := range []string{"has 3 problems", `flag --log-level: log.level: "loud" is not one of`, `flag --api-listen: api.listen: "8443" is not host:port`, "cloud.secret_file: there is no file"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	setting := func(kv ...string) (s []debug.BuildSetting) {
		for i := 0; i < len(kv); i += 2 {
			s = append(s, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return s
	}
	for want, info := range map[string]*debug.BuildInfo{
		"unknown": nil,
		"devel":   {Main: debug.Module{Version: "(devel)"}},
		"devel-0123456789ab+dirty (2026-01-02T03:04:05Z)": {Main: debug.Module{Version: "(devel)"},
			Settings: setting("vcs.revision", "0123456789abcdef", "vcs.modified", "true", "vcs.time", "2026-01-02T03:04:05Z")},
		"v1.2.3 (2026-01-02T03:04:05Z)": {Main: debug.Module{Version: "v1.2.3"}, Settings: setting("vcs.revision", "01", "vcs.time", "2026-01-02T03:04:05Z")},
	} {
		if got := versionOf(info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMisspeltVariableIsRefused(t *testing.T) {
	status, _, stderr := sitegate(t, []string{"SITEGATE_DATA_DRI=x"}, "check", "--config", writeSingle(t))
	if status != exitUsage || !strings.Contains(stderr, "SITEGATE_DATA_DIR") {
		t.Errorf("got status %d and %q, want %d and the name that was meant", status, stderr, exitUsage)
	}
}

// A forward proxy alone leads to nothing that decides who may work; that is said before it is found out.
func TestCheckTellsOfAForwardProxyThatDoesNotRelay(t *testing.T) {
	const said = "relay is not"
	door := []string{"SITEGATE_CONNECT_LISTEN=127.0.0.1:3128"}
	for _, x := range []struct {
		env  []string
		want bool
	}{{door, true}, {append(slices.Clone(door), "SITEGATE_CONNECT_RELAYED=tunnel"), false}, {append(slices.Clone(door), "SITEGATE_RELAY_URL=https://licenses.example.com"), false}, {nil, false}} {
		status, stdout, stderr := sitegate(t, x.env, "check", "--config", writeSingle(t))
		if status != 0 || strings.Contains(stdout, said) != x.want {
			t.Errorf("%q: got %d, %s%s; want %q: %t", x.env, status, stdout, stderr, said, x.want)
		}
	}
}
