package main

import (
	"fmt"
	"os"
	"syscall"
)

// openDataFolder makes the data folder if it is not there, for this user only, and
// refuses one that others can open: the state, the CA's key and credentials are in it.
func openDataFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w; give it to the user that sitegate runs as, or set another data_dir", err)
	}
	about, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the data folder: %w", err)
	}
	if st, ok := about.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return fmt.Errorf("the data folder %s belongs to user %d, and sitegate runs as %d: chown it to that user, or set another data_dir", dir, st.Uid, os.Geteuid())
	}
	if mode := about.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("the data folder %s is open to others (mode %#o): the site's keys and state are in it. Close it with: chmod 700 %s", dir, mode, dir)
	}
	return nil
}
