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

const (
	maxSecret = 4 << 10
	maxKeys   = 1 << 20 // of a key, keytab or credential cache
)

// ReadSecret reads a secret from a file of one line, without its line end. A file that others than its owner can read is refused
// (on systems that keep such modes), as is one that is empty, has control characters in it, or is larger than 4 KiB.
func ReadSecret(file string) (string, error) {
	b, err := readPrivate(file, maxSecret)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	switch {
	case s == "":
		return "", fmt.Errorf("%s is empty", file)
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		return "", errors.New(file + " has more than one line, or control characters in it")
	}
	return s, nil
}

// CheckPrivate reads a key, keytab or credential cache, and says what keeps it from being used: that others than its owner can read it, or that
// it is empty, no plain file, or larger than 1 MiB.
func CheckPrivate(file string) error {
	b, err := readPrivate(file, maxKeys)
	if err == nil && len(b) == 0 {
		err = fmt.Errorf("%s is empty", file)
	}
	return err
}

// readPrivate reads a file of at most so many bytes that only its owner can read.
func readPrivate(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", file)
	}
	if m := st.Mode().Perm(); m&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): set it to 0600", file, m)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", file, most)
	}
	return b, err
}
