package configs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
)

func TestReportsOfAConfiguration(t *testing.T) {
	good := configs.SingleNode + `
alerts:
  mail: {server: mail.example.com:587, from: gate@example.com, to: [desk@example.com]}
reports:
  every: [month, day]
`
	c, _, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Reports; r == nil || !slices.Equal(r.Every, []string{"month", "day"}) || r.At != 6*time.Hour || r.Language != "en" || r.Names {
		t.Errorf("got %+v", r)
	}
	if c, _, err := load(t, strings.Replace(good, "\n  every: [month, day]", " {names: true}", 1)); err != nil || !slices.Equal(c.Reports.Every, []string{"week"}) {
		t.Errorf("by default: %+v, %v; want one a week", c.Reports, err)
	}
	for name, test := range map[string]struct{ from, to, want string }{
		"no way":          {"alerts:\n  mail: {server: mail.example.com:587, from: gate@example.com, to: [desk@example.com]}\n", "", "reports: has no way to leave by"},
		"never":           {"[month, day]", "[]", "reports.every: is empty"},
		"too seldom":      {"[month, day]", "[year]", `reports.every[1]: "year" is not one of day, week, month`},
		"twice":           {"[month, day]", "[day, day]", `reports.every[2]: "day" is there twice`},
		"after noon":      {"every:", "at: 25h\n  every:", "reports.at: is 25h"},
		"an odd language": {"every:", "language: it\n  every:", "reports.language: "},
		"an odd receiver": {"every:", "to: [desk]\n  every:", `reports.to[1]: "desk" is no address`},
		"no mail":         {"mail: {server: mail.example.com:587, from: gate@example.com, to: [desk@example.com]}\nreports:", "webhooks: [{name: chat, url: https://hooks.example.com/x, secret_file: s}]\nreports:\n  to: [desk@example.com]", "reports.to: is who gets a mail"},
	} {
		if _, _, err := load(t, strings.Replace(good, test.from, test.to, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
