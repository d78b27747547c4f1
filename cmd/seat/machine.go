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

// keptID is the computer's id: made at the first time, then kept. What is kept belongs
// to the user, whose home may be on a server and be the same on several computers: each
// of them has an id of its own.
func (o *options) keptID(host string) (string, error) {
	kept, err := o.keptSeed()
	if err != nil {
		return "", err
	}
	return uuid.NewSHA1(kept, []byte(strings.ToLower(host))).String(), nil
}

func (o *options) keptSeed() (uuid.UUID, error) {
	if o.dir == "" {
		return uuid.Nil, errors.New("there is no place to keep this computer's id: give --machine-id, or set HOME")
	}
	path := o.keeps("machine-id")
	id, err := readID(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	fresh, err := uuid.NewRandom()
	if err != nil {
		return uuid.Nil, err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return uuid.Nil, fmt.Errorf("keeping this computer's id: %w", err)
	}
	tmp := path + "." + fresh.String()
	if err := os.WriteFile(tmp, []byte(fresh.String()+"\n"), 0o600); err != nil {
		return uuid.Nil, fmt.Errorf("keeping this computer's id: %w", err)
	}
	defer os.Remove(tmp)
	// Linking fails where another seat was faster: then its id is the one.
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return uuid.Nil, fmt.Errorf("keeping this computer's id: %w", err)
	}
	return readID(path)
}

func readID(path string) (uuid.UUID, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading this computer's id: %w", err)
	}
	id, err := uuid.Parse(strings.TrimSpace(string(b)))
	if err != nil {
		return uuid.Nil, fmt.Errorf("%s does not hold a computer's id: delete it, and a new one will be made", path)
	}
	return id, nil
}
