package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder that is made is closed to others; one that others can open is refused, with the way
// out; so is one that cannot be made.
func TestADataFolderThatOthersReadIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	if err := openDataFolder(dir); err != nil {
		t.Fatal(err)
	}
	if about, err := os.Stat(dir); err != nil || about.Mode().Perm() != 0o700 {
		t.Errorf("made is %v (%v), want 0700", about.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o755, 0o750, 0o701, 0o770} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := openDataFolder(dir); err == nil || !strings.Contains(err.Error(), "chmod 700 "+dir) {
			t.Errorf("mode %#o: %v, want it refused with what to do", mode, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openDataFolder(file + "/data"); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("below a file: %v, want it refused with what to do", err)
	}
}
