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

// Open reads the key that a file keeps, or makes one and keeps it there: an Ed25519 key in
// PEM (PKCS #8), mode 0600, whole or not at all. Of several that make one at once, all
// get the same. A file that others can read is an error: its key is no secret.
func Open(path string) (crypto.Signer, error) {
	key, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeNew(path); err != nil {
		return nil, fmt.Errorf("keeping this computer's key: %w", err)
	}
	return read(path)
}

func read(path string) (crypto.Signer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading this computer's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading this computer's key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o), and is no secret any more: delete it, and a new key will be made", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading this computer's key: %w", err)
	}
	return parse(path, b)
}

// parse reads what makeNew writes, or any other key that will do.
func parse(path string, b []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(rest) > 0 {
		return nil, fmt.Errorf("%s does not hold a key: delete it, and a new one will be made", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := k.(crypto.Signer)
	if err == nil && ok {
		_, _, err = public(key)
	}
	if err != nil || !ok { // whose text might quote the key
		return nil, fmt.Errorf("%s does not hold a key that a computer can go by: delete it, and a new one will be made", path)
	}
	return key, nil
}

func makeNew(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".machine-key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// Linking fails where another was faster: then its key is the one.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
