package configs_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sitegate/configs"
)

// least is what a configuration cannot be without.
func least(more ...configs.Value) []configs.Value {
	return append([]configs.Value{
		{Key: "egress.direct", Text: "true", Raw: true},
		{Key: "sign_in.issuer", Text: "https://login.plant.test"}, {Key: "sign_in.audience", Text: "gate"},
	}, more...)
}

// A configuration that is written has what it was told, the defaults for the rest, and all
// the comments of the example.
func TestWrittenConfigurationsSayWhatTheyWereTold(t *testing.T) {
	everything := []configs.Value{
		{Key: "node", Text: "gw1"}, {Key: "data_dir", Text: "/srv/a: b #c"},
		{Key: "api.listen", Text: ":8443"}, {Key: "api.url", Text: "https://gw1.plant.test:8443"},
		{Key: "cloud.url", Text: "https://cloud.test"}, {Key: "cloud.site_id", Text: "4711"}, {Key: "cloud.secret_file", Text: "cloud.secret"},
		{Key: "egress.proxy.address", Text: "proxy.test:8080"}, {Key: "egress.proxy.username", Text: `CORP\svc #1`}, {Key: "egress.proxy.password_file", Text: "p"},
		{Key: "egress.pac.url", Text: "http://wpad.test/proxy.pac"},
		{Key: "egress.extra_ca", Text: `[{file: "ca.pem", hosts: ["cloud.test"]}]`, Raw: true},
		{Key: "sign_in.issuer", Text: "https://login.plant.test"}, {Key: "sign_in.audience", Text: "yes"},
	}
	for name, values := range map[string][]configs.Value{"the least": least(), "everything": everything} {
		text, err := configs.Write(values)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := load(t, text)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, text)
		}
		want := configs.Default()
		want.API, want.Egress, want.SignIn, want.Cloud, want.Node, want.DataDir = c.API, c.Egress, c.SignIn, c.Cloud, c.Node, c.DataDir
		if !reflect.DeepEqual(c, want) {
			t.Errorf("%s: got\n%+v, want the defaults\n%+v", name, c, want)
		}
		told := map[string]string{}
		for _, s := range c.Settings(nil) {
			told[s.Key] = s.Value
		}
		if name == "the least" {
			if c.Cloud != nil || !c.Egress.Direct || c.SignIn[0].Issuer != "https://login.plant.test" || c.Node != "node1" {
				t.Errorf("got %+v", c)
			}
			continue
		}
		if c.Egress.Direct || c.Cloud.SiteID != "4711" || c.Egress.Proxy.Username != `CORP\svc #1` || c.DataDir != "/srv/a: b #c" ||
			c.SignIn[0].Audience != "yes" || len(c.Egress.ExtraCA) != 1 || c.Egress.PAC.URL != "http://wpad.test/proxy.pac" || told["api.url"] != "https://gw1.plant.test:8443" {
			t.Errorf("got %+v", c)
		}
	}
	text, err := configs.Write(least())
	if err != nil {
		t.Fatal(err)
	}
	sentence := regexp.MustCompile(`^[# ]*# (.*)$`)
	for line := range strings.Lines(configs.Example) {
		if m := sentence.FindStringSubmatch(strings.TrimSpace(line)); m != nil && !strings.Contains(text, m[1]) {
			t.Errorf("the comment %q is lost", m[1])
		}
	}
}

func TestNothingThatTheExampleLacksIsWritten(t *testing.T) {
	if _, err := configs.Write(least(configs.Value{Key: "api.colour", Text: "red"})); err == nil || !strings.Contains(err.Error(), "api.colour") {
		t.Errorf("got %v, want that there is no such key", err)
	}
	if _, err := configs.Write(least(configs.Value{Key: "node", Text: "a\nb: c"})); err == nil {
		t.Error("a value of several lines was written")
	}
}

func TestOneValueIsJudgedByItself(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"node", "gw1", ""},
		{"node", "gw 1", "is not a name"},
		{"api.url", "https://gw1:8443", ""},
		{"api.url", "http://gw1:8443", "is not https"},
		{"cloud.url", "", "is missing"},
		{"cloud.site_id", "x", ""},
		{"egress.proxy.address", "http://p:1", "is a URL"},
		{"egress.pac.url", "ftp://x", "http"},
		{"cloud.ask_timeout", "5", "is not a duration"},
	} {
		err := configs.Wrong(c.key, c.text)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q: got %v, want %q", c.key, c.text, err, c.want)
		}
	}
}
