package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/uuid"
)

// configDir is where seat keeps what belongs to the user on this computer.
func configDir(getenv func(string) string) string {
	var base string
	switch runtime.GOOS {
	case "windows":
		base = getenv("AppData")
	case "darwin":
		if home := getenv("HOME"); home != "" {
			base = filepath.Join(home, "Library", "Application Support")
		}
	default:
		base = getenv("XDG_CONFIG_HOME")
		if home := getenv("HOME"); base == "" && home != "" {
			base = filepath.Join(home, ".config")
		}
	}
	if base == "" {
		return ""
	}
	return filepath.Join(base, "sitegate")
}

func (o *options) keeps(name string) string { return filepath.Join(o.dir, name) }

// keptID is the computer's id: made at the first time, then kept.
func (o *options) keptID() (string, error) {
	if o.dir == "" {
		return "", errors.New("there is no place to keep this computer's id: give --machine-id, or set HOME")
	}
	path := o.keeps("machine-id")
	id, err := readID(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	fresh, err := uuid.NewRandom()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return "", fmt.Errorf("keeping this computer's id: %w", err)
	}
	tmp := path + "." + fresh.String()
	if err := os.WriteFile(tmp, []byte(fresh.String()+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping this computer's id: %w", err)
	}
	defer os.Remove(tmp)
	// Linking fails where another seat was faster: then its id is the one.
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keeping this computer's id: %w", err)
	}
	return readID(path)
}

func readID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading this computer's id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if uuid.Validate(id) != nil {
		return "", fmt.Errorf("%s does not hold a computer's id: delete it, and a new one will be made", path)
	}
	return id, nil
}
