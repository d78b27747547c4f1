package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/license"
	"sitegate/upstream/egress"
)

// A node goes by what it has begun with and, of what a reload takes, by what was taken last.
func TestSettingsAreThoseThatHold(t *testing.T) {
	begun := setting{Config: configs.Default(), from: configs.Origins{"node": {Kind: configs.File, Place: "sitegate.yaml:2"}}}
	begun.Node, begun.Egress.Direct = "n1", true
	taken := begun
	taken.Node, taken.Egress.Direct = "n2", false
	taken.from = configs.Origins{"egress.direct": {Kind: configs.Environment, Place: "SITEGATE_EGRESS_DIRECT"}}
	found := map[string]api.NodeSetting{}
	for _, x := range (&reloading{begun: begun, taken: taken}).settings() {
		if _, twice := found[x.Key]; twice {
			t.Errorf("%s is there twice", x.Key)
		}
		found[x.Key] = x
	}
	for _, want := range []api.NodeSetting{{Key: "node", Value: "n1", From: "file sitegate.yaml:2"}, {Key: "egress.direct", Value: "false", From: "environment SITEGATE_EGRESS_DIRECT", Reload: true}, {Key: "log.level", Value: found["log.level"].Value, From: "default"}} {
		if got := found[want.Key]; got != want {
			t.Errorf("got %+v; want %+v", got, want)
		}
	}
}

// What waits for a restart is not what a node goes by, be it in the file already.
func TestSettingsThatWaitForARestartDoNotHold(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	file := func(line string) configs.Origin {
		return configs.Origin{Kind: configs.File, Place: "sitegate.yaml:" + line}
	}
	connect := func(listen, allow string) *configs.Connect {
		return &configs.Connect{Listen: listen, Allow: []string{allow}}
	}
	origins := func(line string) configs.Origins {
		from := configs.Origins{}
		for _, key := range []string{"node", "egress.direct", "connect.listen", "connect.allow"} {
			from[key] = file(line)
		}
		return from
	}
	for name, test := range map[string]struct {
		begun, read   *configs.Connect
		listen, allow string // and its line; empty: there is none
	}{
		"connect has come":   {nil, connect("127.0.0.1:2", "b.test:443"), "", ""},
		"connect has gone":   {connect("127.0.0.1:1", "a.test:443"), nil, "127.0.0.1:1 file sitegate.yaml:1", "a.test:443 file sitegate.yaml:1"},
		"connect is another": {connect("127.0.0.1:1", "a.test:443"), connect("127.0.0.1:2", "b.test:443"), "127.0.0.1:1 file sitegate.yaml:1", "b.test:443 file sitegate.yaml:2"},
	} {
		t.Run(name, func(t *testing.T) {
			begun := setting{Config: configs.Default(), from: origins("1"), file: "sitegate.yaml"}
			begun.Node, begun.DataDir, begun.Egress.Direct, begun.Connect = "n1", t.TempDir(), true, test.begun
			begun.Cloud = &configs.Cloud{URL: "https://a.test"}
			read := setting{Config: begun.Config, from: origins("2"), file: "sitegate.yaml"}
			read.Node, read.DataDir, read.Egress.Direct, read.Connect = "n2", t.TempDir(), false, test.read
			read.Egress.Proxy = &configs.Proxy{Address: "127.0.0.1:9"}
			read.Rules.Modes = []configs.RuleMode{{Mode: "observe"}}
			var modes []license.Mode
			read.Cloud = &configs.Cloud{URL: "https://b.test"}
			d, err := egress.New(wayOut(begun.Config, log))
			if err != nil {
				t.Fatal(err)
			}
			r := &reloading{again: func() (setting, error) { return read, nil }, begun: begun, taken: begun, dialer: d, log: log}
			r.also = append(r.also, modesAgain(func(m []license.Mode) { modes = m }))
			for i := range 2 {
				now, err := r.take()
				if err != nil {
					t.Fatal(err)
				}
				if now.Modes != (i == 0) {
					t.Errorf("reload %d says that the modes have changed: %t", i, now.Modes)
				}
				if slices.Contains(now.Waits, "rules.modes") {
					t.Errorf("%q wait for a restart", now.Waits)
				}
			}
			if len(modes) != 1 || !modes[0].Observe || len(r.taken.Rules.Modes) != 1 {
				t.Errorf("the site is to go by the modes %+v, and the node by %+v", modes, r.taken.Rules.Modes)
			}
			if r.taken.DataDir != begun.DataDir || r.taken.Cloud.URL != "https://a.test" || r.taken.Egress.Proxy == nil {
				t.Errorf("the doctor would examine %+v", r.taken.Config)
			}
			found := map[string]string{}
			for _, x := range r.settings() {
				found[x.Key] = strings.TrimSpace(x.Value + " " + x.From)
			}
			for key, want := range map[string]string{"node": "n1 file sitegate.yaml:1", "egress.direct": "false file sitegate.yaml:2", "cloud.url": "https://a.test default", "connect.listen": test.listen, "connect.allow": test.allow} {
				if found[key] != want {
					t.Errorf("%s: got %q, want %q", key, found[key], want)
				}
			}
		})
	}
}
