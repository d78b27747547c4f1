package egress

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"
)

const maxSecret = 4 << 10

// ReadSecret reads a secret from a file of one line, without its line end. A file that others than its owner can read is refused
// (on systems that keep such modes), as is one that is empty, has control characters in it, or is larger than 4 KiB.
func ReadSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a plain file", file)
	}
	if m := st.Mode().Perm(); m&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s can be read by others (mode %04o): set it to 0600", file, m)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s is larger than %d bytes", file, maxSecret)
	case s == "":
		return "", fmt.Errorf("%s is empty", file)
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		return "", errors.New(file + " has more than one line, or control characters in it")
	}
	return s, nil
}
