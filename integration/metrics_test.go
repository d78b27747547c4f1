package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sitegate/emulator"
)

// deployed is where the files for Prometheus and Grafana are.
const deployed = "../deploy"

// ruleExprs are the expressions of the alerting rules.
func ruleExprs(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed, "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			all = append(all, r.Expr)
		}
	}
	return all
}

// panelExprs are those of the dashboard.
func panelExprs(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed, "grafana", "sitegate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Query any }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, x := range p.Targets {
			all = append(all, x.Expr)
		}
	}
	for _, v := range board.Templating.List {
		all = append(all, fmt.Sprint(v.Query))
	}
	return all
}

// metricNames are the names of metrics in an expression: of ours, and of the process.
var metricNames = regexp.MustCompile(`\b(sitegate|process|go)_[a-z0-9_]+`)

// served are the names of what a node serves at /metrics, and its text.
func (s *Site) served(t testing.TB, n *Node) (map[string]bool, string, error) {
	t.Helper()
	resp, err := s.HTTP().Get(n.URL + "/metrics")
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s, %w", resp.Status, err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			names[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	return names, string(text), nil
}

// showsFiles has a node show a certificate of files of its own, which are its peers' at
// first: one of the site CA's, too.
func (s *Site) showsFiles(t testing.TB, n *Node) {
	t.Helper()
	folder := filepath.Dir(n.Config)
	n.env = append(n.env, "SITEGATE_API_CERT_FILE="+filepath.Join(folder, "node.pem"), "SITEGATE_API_KEY_FILE="+filepath.Join(folder, "node.key"))
	n.Stop(t)
	s.start(t, n)
	s.AwaitReady(t, n)
}

// What the alerting rules and the dashboard ask for is there at a node that has been
// used a little, and docs/operator/metrics.md tells of everything that a node serves.
func TestRulesAndDashboardNameWhatANodeServes(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 20, "SITEGATE_BACKUP_FOLDER="+t.TempDir(),
		"SITEGATE_ALERTS_MAIL_SERVER=127.0.0.1:9", "SITEGATE_ALERTS_MAIL_FROM=gate@site.test", "SITEGATE_ALERTS_MAIL_TO=desk@site.test")
	n := s.Nodes[0]
	s.showsFiles(t, n)
	ctx := deadline(t, 2*time.Minute)
	a, b := s.Client(t, emulator.UserA, "WS-101", 0), s.Client(t, emulator.UserA, "WS-102", 0)
	if _, err := a.Start(ctx, emulator.ProductCapped); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Start(ctx, emulator.ProductCapped); err == nil {
		t.Fatal("a second machine was let in")
	}
	req, err := http.NewRequestWithContext(ctx, "GET", n.URL+"/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer of.nobody.known")
	resp, err := s.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	wanted := map[string]string{}
	exprs := append(ruleExprs(t), panelExprs(t)...)
	for _, e := range exprs {
		for _, name := range metricNames.FindAllString(e, -1) {
			wanted[name] = e
		}
	}
	if len(exprs) < 50 || len(wanted) < 40 {
		t.Fatalf("%d metrics in %d expressions: these cannot be all", len(wanted), len(exprs))
	}
	var names map[string]bool
	var text string
	Eventually(t, 20*time.Second, "a node serves what is asked for", func() error {
		if names, text, err = s.served(t, n); err != nil {
			return err
		}
		var lacking []string
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			if !names[name] {
				lacking = append(lacking, fmt.Sprintf("%s of %q", name, wanted[name]))
			}
		}
		if len(lacking) > 0 {
			return fmt.Errorf("the node does not serve\n%s", strings.Join(lacking, "\n"))
		}
		return nil
	})
	for _, want := range []string{`sitegate_cluster_voters 1`, `sitegate_cluster_voters_reached 1`, `sitegate_cluster_leading 1`, `sitegate_clock_held 0`, `sitegate_state_diverged 0`} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("/metrics lacks %q", want)
		}
	}

	told, err := os.ReadFile("../docs/operator/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		name, isType := strings.CutPrefix(line, "# TYPE sitegate_")
		if name, _, _ = strings.Cut(name, " "); isType && !strings.Contains(string(told), "`sitegate_"+name) {
			t.Errorf("docs/operator/metrics.md does not tell of sitegate_%s", name)
		}
	}
}
