package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
)

func TestBackupSettings(t *testing.T) {
	file := write(t, configs.SingleNode+"\nbackup:\n  folder: backups\n")
	c, _, err := configs.Load(file, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(filepath.Dir(file), "backups")
	if want := (configs.Backup{Folder: folder, Every: 24 * time.Hour, Keep: 7}); *c.Backup != want {
		t.Errorf("got %+v, want %+v", *c.Backup, want)
	}
	if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "backup.folder: "+folder+" is not there") {
		t.Errorf("without the folder: %v", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckFiles(); err != nil && strings.Contains(err.Error(), "backup.folder") {
		t.Errorf("with the folder: %v", err)
	}
	_, _, err = load(t, configs.SingleNode+"\nbackup:\n  every: 1m\n  keep: 1\n")
	for _, want := range []string{"backup.folder: is missing", "backup.every: is 1m0s", "backup.keep: is 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
