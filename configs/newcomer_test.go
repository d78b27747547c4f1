package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sitegate/configs"
)

// What is not YAML says nothing about what is missing.
func TestSyntaxIsTheOnlyProblemOfAFileThatIsNotYAML(t *testing.T) {
	file := write(t, "node: gw1\nlog:\n\tlevel: info\n")
	c, _, err := configs.Load(file, none, nil, "SITEGATE_DATADIR=/x")
	var problems configs.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Where != file+":3" || !strings.HasPrefix(problems[0].Text, "this is not YAML: ") {
		t.Errorf("got %v, want one problem in line 3", err)
	}
	if err := c.CheckFiles(); err != nil {
		t.Errorf("CheckFiles of what could not be read = %v, want nothing more", err)
	}
}

func TestVariablesThatAreNearlyKeysAreRefused(t *testing.T) {
	file := write(t, configs.SingleNode)
	for entry, want := range map[string]string{
		"SITEGATE_DATADIR=/var/x":           "environment SITEGATE_DATADIR: there is no such variable; did you mean SITEGATE_DATA_DIR?",
		"SITEGATE_data_dir=/var/x":          "did you mean SITEGATE_DATA_DIR?",
		"SITEGATE_NOD=gw1":                  "did you mean SITEGATE_NODE?",
		"SITEGATE_API_LISTN=:1":             "did you mean SITEGATE_API_LISTEN?",
		"SITEGATE_CLUSTER__LISTEN=h:1":      "did you mean SITEGATE_CLUSTER_LISTEN?",
		"SITEGATE_SIGNIN=x":                 "did you mean SITEGATE_SIGN_IN?",
		"SITEGATE_DATA_DIR=/var/x":          "",
		"SITEGATE_DATADIR=":                 "",
		"SITEGATE_CONFIG=a":                 "",
		"SITEGATE_GATEWAY=https://gw":       "",
		"SITEGATE_CA=ca.pem":                "",
		"SITEGATE_TOKEN_FILE=t":             "",
		"SITEGATE_HISTORIES=9":              "",
		"SITEGATE_PORT=tcp://10.0.0.1":      "", // as orchestrators make them for a service
		"SITEGATE_API_SERVICE_HOST=1":       "",
		"SITEGATE_NODE1_PORT_8443_TCP=tcp:": "",
		"DATADIR=x":                         "",
	} {
		_, _, err := configs.Load(file, none, nil, "HOME=/root", entry)
		if want == "" && err != nil {
			t.Errorf("%s: got %v, want it left alone", entry, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", entry, err, want)
		}
	}
	for _, s := range configs.Default().Settings(nil) {
		if name := configs.EnvironmentOf(s.Key); !strings.Contains(name, "[") {
			if _, _, err := configs.Load(file, none, nil, name+"=x"); err != nil {
				t.Errorf("%s: got %v, want a key's own variable taken", name, err)
			}
		}
	}
}

func TestDataFolderMustBeWritable(t *testing.T) {
	dir := t.TempDir()
	c := configs.Default()
	c.DataDir = filepath.Join(dir, "deep", "data")
	if err := c.CheckFiles(); err != nil {
		t.Errorf("a folder that can be made: got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v; want nothing made", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c.DataDir = range []string{file, filepath.Join(file, "data")} {
		if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "data_dir: "+file+" is not a folder") {
			t.Errorf("%s: got %v, want that it is no folder", c.DataDir, err)
		}
	}

	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	switch {
	case runtime.GOOS == "linux" && os.Geteuid() == 0:
		locked = "/proc" // where not even root makes files
	case runtime.GOOS == "windows":
		t.Skip("modes are not what protects folders there")
	}
	for folder, want := range map[string]string{locked: "cannot be written in by this user", filepath.Join(locked, "a", "data"): "cannot be made by this user in " + locked} {
		c.DataDir = folder
		err := c.CheckFiles()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "chown it to the user that runs sitegate") {
			t.Errorf("%s: got %v, want %q and what to do", folder, err, want)
		}
	}
}
