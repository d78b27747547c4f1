package configs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
)

func none(string) string { return "" }

// load writes text to a file and loads it.
func load(t *testing.T, text string) (configs.Config, configs.Origins, error) {
	t.Helper()
	return configs.Load(write(t, text), none, nil)
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sitegate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The example shows the defaults: what it sets beyond them is what a site has to
// bring along.
func TestExampleEqualsTheDefaultsItShows(t *testing.T) {
	file := write(t, configs.Example)
	got, _, err := configs.Load(file, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Default()
	want.API.URL, want.API.Nodes = "https://127.0.0.1:8443", []string{"https://127.0.0.1:8443"}
	want.Cloud = &configs.Cloud{
		URL: "https://entitlements.example.com", SiteID: "site-4711", Issuer: "https://sign-in.example.com",
		SecretFile: filepath.Join(filepath.Dir(file), "cloud.secret"), AskTimeout: 5 * time.Second,
	}
	want.Egress.Direct = true
	want.SignIn = []configs.SignIn{{Issuer: "https://sign-in.example.com", Audience: "site-gateway"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example gives\n%+v, want\n%+v", got, want)
	}
}

// Every key that the example has commented out is understood, too, and every key
// there is stands in it.
func TestExampleWithEverythingSet(t *testing.T) {
	text := regexp.MustCompile(`(?m)^#(\S| +\S)`).ReplaceAllStringFunc(configs.Example, func(s string) string {
		if strings.HasPrefix(s, "# ") && !strings.HasPrefix(s, "#  ") {
			return s // a sentence
		}
		return s[1:]
	})
	text = strings.Replace(text, "  direct: true\n", "", 1) // the alternative to a proxy
	c, origins, err := load(t, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, s := range c.Settings(origins) {
		key := s.Key
		switch key {
		case "egress.direct", "egress.proxy.kerberos.cache_file", "egress.pac.file", "connect.pac.file": // the alternatives
			continue
		}
		if o := origins[key]; o.Kind != configs.File {
			t.Errorf("%s is not in the example: it came from %s", key, o)
		}
	}
	if c.Cluster == nil || c.Connect == nil || c.Egress.Proxy == nil || len(c.Egress.ExtraCA) != 1 || c.Rules.AutonomyUncapped == nil {
		t.Errorf("sections are missing: %+v", c)
	}
}

func TestSingleNodeIsTenLinesAndEnough(t *testing.T) {
	if n := strings.Count(configs.SingleNode, "\n"); n > 10 {
		t.Errorf("it has %d lines, want at most 10", n)
	}
	c, _, err := load(t, configs.SingleNode)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cluster != nil || c.API.URL != "https://127.0.0.1:8443" || c.Node != "node1" {
		t.Errorf("got %+v", c)
	}
}
