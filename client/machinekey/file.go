package machinekey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	pemType = "PRIVATE KEY"
	maxFile = 16 << 10 // bytes
)

// Kind is where a machine's key is.
type Kind string

const (
	Auto Kind = "auto" // to ask for: the keystore where one can be used, else the file; so is the zero Kind
	File Kind = "file"
	TPM  Kind = "tpm" // or whichever keystore there is
)

// Keystore makes keys that cannot leave it.
type Keystore interface {
	// Type is that of the PEM block which keeps what Open needs.
	Type() string
	// Make makes a key, and returns what to keep of it.
	Make() ([]byte, error)
	// Open is the key again, or why it cannot be used.
	Open(kept []byte) (crypto.Signer, error)
}

// Store is what a machine has to make and keep its key. The zero Store has a file only.
type Store struct {
	Keystore Keystore // nil: none
	// Want is the kind to make, and the only one to use; Auto, or empty: the one that there
	// is, and the keystore's where there is none yet and it can be used.
	Want Kind
}

// Key is a machine's.
type Key struct {
	crypto.Signer
	Kind Kind
	// Why the keystore was not used when the key was made just now; nil: it was, or the key
	// is older.
	Why error
}

// Open reads the key that a file keeps, or makes one and keeps it there, mode 0600, whole or
// not at all: what a keystore needs to use it again, or else an Ed25519 key in PEM (PKCS #8).
// Of several that make one at once, all get the same. A key that is there is used or is an
// error, and never replaced: the machine has shown it. A file that others can read is an
// error: its key is no secret.
func (s Store) Open(path string) (Key, error) {
	switch s.Want {
	case "", Auto, File, TPM:
	default:
		return Key{}, fmt.Errorf("a key of kind %q is asked for: it is %s, %s or %s", s.Want, Auto, File, TPM)
	}
	key, err := s.read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	why, err := s.makeNew(path)
	if err != nil {
		return Key{}, fmt.Errorf("keeping this computer's key: %w", err)
	}
	key, err = s.read(path)
	if key.Kind == File {
		key.Why = why
	}
	return key, err
}

// Why is why the keystore would make no key now, and a file would keep one; nil: it would. It
// tries, and keeps nothing.
func (s Store) Why() error {
	switch {
	case s.Want == File:
		return errFileWanted
	case s.Keystore == nil:
		return errNoKeystore
	}
	_, err := s.Keystore.Make()
	return err
}

var (
	errFileWanted = errors.New("a file is asked for")
	errNoKeystore = errors.New("there is no keystore here")
)

func (s Store) read(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("reading this computer's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("reading this computer's key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return Key{}, fmt.Errorf("%s can be read by others (mode %04o), and is no secret any more: delete it, and a new key will be made", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return Key{}, fmt.Errorf("reading this computer's key: %w", err)
	}
	key, err := s.parse(path, b)
	if err == nil && (s.Want == File || s.Want == TPM) && key.Kind != s.Want {
		return Key{}, fmt.Errorf("%s is asked for, and %s holds this computer's key of kind %s, which the gateway knows: with nothing in use here, delete it, and a new key will be made; or ask for %s", s.Want, path, key.Kind, Auto)
	}
	return key, err
}

// parse reads what makeNew writes, or any other key that will do.
func (s Store) parse(path string, b []byte) (Key, error) {
	block, rest := pem.Decode(b)
	switch {
	case block == nil || len(rest) > 0:
	case s.Keystore != nil && block.Type == s.Keystore.Type():
		key, err := s.Keystore.Open(block.Bytes)
		if err != nil {
			return Key{}, &keystoreError{path, err}
		}
		return Key{Signer: key, Kind: TPM}, nil
	case block.Type == pemType:
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		key, ok := k.(crypto.Signer)
		if err == nil && ok {
			_, _, err = public(key)
		}
		if err != nil || !ok { // whose text might quote the key
			return Key{}, fmt.Errorf("%s does not hold a key that a computer can go by: delete it, and a new one will be made", path)
		}
		return Key{Signer: key, Kind: File}, nil
	}
	return Key{}, fmt.Errorf("%s does not hold a key: delete it, and a new one will be made", path)
}

// keystoreError says what to do about a key that cannot be used, which only people can
// decide: the machine goes by no other in its place.
type keystoreError struct {
	path string
	err  error
}

func (e *keystoreError) Error() string {
	return fmt.Sprintf("this computer's key (%s) cannot be used: %v. No other takes its place by itself. If it cannot be used again, delete the file, and a new key will be made; if the gateway then says that this machine is another one, have IT take the old key from it: sitegate machines forget-key", e.path, e.err)
}

func (e *keystoreError) Unwrap() error { return e.err }

// makeNew makes a key, in the keystore where that is wanted and can be, and says why not.
func (s Store) makeNew(path string) (why, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".machine-key-*") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	block, why, err := s.generate()
	if err == nil {
		_, err = tmp.Write(pem.EncodeToMemory(block))
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	// Linking fails where another was faster: then its key is the one.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return why, nil
}

func (s Store) generate() (_ *pem.Block, why, err error) {
	if s.Want != File {
		why = errNoKeystore
		if s.Keystore != nil {
			var kept []byte
			if kept, why = s.Keystore.Make(); why == nil {
				return &pem.Block{Type: s.Keystore.Type(), Bytes: kept}, nil, nil
			}
		}
		if s.Want == TPM {
			return nil, nil, fmt.Errorf("a key in the TPM is asked for, and cannot be made: %w. With %s or %s a file keeps one", why, Auto, File)
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return &pem.Block{Type: pemType, Bytes: der}, why, err
}
