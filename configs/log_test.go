package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/configs"
)

func TestLogTargets(t *testing.T) {
	for text, want := range map[string]string{
		"target: stderr":                             "",
		"target: file":                               "log.file: is missing",
		"{target: file, file: a.log}":                "",
		"{target: file, file: a.log, file_mb: 0}":    "log.file_mb",
		"{file_keep: 101}":                           "log.file_keep",
		"target: syslog":                             "log.syslog: is missing",
		"target: sysog":                              "did you mean syslog?",
		"{target: syslog, syslog: unix:///dev/log}":  "",
		"{target: syslog, syslog: unix://dev/log}":   "three slashes",
		"{target: syslog, syslog: udp://logs:514}":   "",
		"{target: syslog, syslog: udp://logs}":       "is not udp://host:port",
		"{target: syslog, syslog: tcp://logs:601/x}": "is not tcp://host:port",
		"{target: syslog, syslog: tls://logs:6514}":  "",
		"{target: syslog, syslog: tls://:6514}":      "log.syslog",
		"{syslog: https://logs:6514}":                "neither unix",
		"{syslog: tcp://a:b@logs:601}":               "is not tcp",
		"{syslog_ca_file: x.pem}":                    "for tls:// only",
	} {
		if !strings.HasPrefix(text, "{") {
			text = "{" + text + "}"
		}
		_, _, err := load(t, configs.SingleNode+"log: "+text+"\n")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "a:b") {
			t.Errorf("%s: the error repeats credentials: %v", text, err)
		}
	}
}

func TestALogFileMustBeWritable(t *testing.T) {
	c := configs.Default()
	c.DataDir = t.TempDir()
	c.Log.Target, c.Log.File = configs.LogFile, filepath.Join(t.TempDir(), "nowhere", "sitegate.log")
	if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "log.file: "+c.Log.File+" cannot be written") {
		t.Errorf("got %v, want that it cannot be written", err)
	}
	c.Log.File = filepath.Join(t.TempDir(), "sitegate.log")
	if err := c.CheckFiles(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Log.File); err == nil {
		t.Error("a check leaves a file behind")
	}
}
