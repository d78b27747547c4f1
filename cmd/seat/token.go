package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sitegate/client/signin"
)

const (
	maxToken    = 64 << 10
	renewBefore = time.Minute
	staleLock   = time.Minute // a lock so old was left by a seat that is gone
	renewTime   = staleLock * 3 / 4
)

// kept is a token file: either an access token and nothing else, or what login
// has written, in JSON, which can be renewed.
type kept struct {
	signin.Tokens
	Issuer   string `json:"issuer,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Proxy    string `json:"proxy,omitempty"`
	IssuerCA string `json:"issuer_ca,omitempty"` // a file's path
}

// config says where to renew.
func (k kept) config() (signin.Config, error) {
	cfg := signin.Config{Issuer: k.Issuer, ClientID: k.ClientID}
	if k.Proxy != "" {
		u, err := url.Parse(k.Proxy)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return cfg, errors.New("the proxy is not written as http://HOST:PORT")
		}
		if u.User != nil { // others see command lines
			return cfg, errors.New("the proxy's address has credentials in it: take them out; the gateway's CONNECT door asks for none")
		}
		cfg.Proxy = u
	}
	if k.IssuerCA != "" {
		pem, err := os.ReadFile(k.IssuerCA)
		if err != nil {
			return cfg, fmt.Errorf("reading the issuer's CA: %w", err)
		}
		cfg.CA = pem
	}
	return cfg, nil
}

// tokenFile gives the access token from a file, reads it anew when it has
// changed, and renews it where it can.
type tokenFile struct {
	path string
	keys keyring // nil: none

	mu   sync.Mutex
	seen os.FileInfo // of what was read
	over bool        // the issuer has said so of what was read
	kept kept
	key  []byte // what the file is sealed with; nil: it is not
}

// tokens is the token file of the options.
func (s *seat) tokens(o *options) *tokenFile {
	return &tokenFile{path: o.tokenFile, keys: s.keys}
}

// Token is client.Config's.
func (f *tokenFile) Token(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.load(ctx)
	if err != nil {
		return "", err
	}
	if k.Expires.IsZero() || time.Until(k.Expires) > renewBefore {
		return k.Access, nil
	}
	if f.over || k.Refresh == "" || k.Issuer == "" {
		err = signin.ErrExpired
	} else {
		err = f.renew(ctx)
	}
	if err != nil && time.Until(f.kept.Expires) <= 0 {
		return "", err
	}
	return f.kept.Access, nil
}

// expired reports whether the sign-in is over for good. It does not wait for a renewal.
func (f *tokenFile) expired() bool {
	if !f.mu.TryLock() {
		return false
	}
	defer f.mu.Unlock()
	return f.over && time.Until(f.kept.Expires) <= 0
}

// load reads the file if it has changed. The caller holds the lock, or is alone.
func (f *tokenFile) load(ctx context.Context) (kept, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return kept{}, fmt.Errorf("there is no token file: sign in with seat login, or give --token-file (%w)", err)
	}
	if f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return f.kept, nil
	}
	if err := private(f.path, info); err != nil {
		return kept{}, err
	}
	if info.Size() > maxToken {
		return kept{}, fmt.Errorf("%s is too large for a token file", f.path)
	}
	b, err := os.ReadFile(f.path)
	if err != nil {
		return kept{}, fmt.Errorf("reading the token file: %w", err)
	}
	b = bytes.TrimSpace(b)
	var k kept
	var key []byte
	if bytes.HasPrefix(b, []byte("{")) {
		if b, key, err = f.unseal(ctx, b); err != nil {
			return kept{}, err
		}
		if json.Unmarshal(b, &k) != nil { // whose text might quote the token
			return kept{}, fmt.Errorf("%s is not what seat login writes: sign in again", f.path)
		}
	} else {
		k.Access = string(b)
	}
	if k.Access == "" || strings.ContainsFunc(k.Access, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return kept{}, fmt.Errorf("%s does not hold an access token", f.path)
	}
	f.seen, f.kept, f.key, f.over = info, k, key, false
	return k, nil
}

// renew gets new tokens and keeps them. A refresh token may be good once only, so
// one seat at a time does it, within the time that its lock is respected, and the
// others read what it got.
func (f *tokenFile) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	unlock, err := lock(ctx, f.path+".lock")
	if err != nil {
		return &signin.NotRenewedError{Err: err}
	}
	defer unlock()
	k, err := f.load(ctx)
	if err != nil {
		return err
	}
	if time.Until(k.Expires) > renewBefore {
		return nil // another seat was faster
	}
	cfg, err := k.config()
	if err != nil {
		return &signin.NotRenewedError{Err: err}
	}
	t, err := signin.Renew(ctx, cfg, k.Refresh)
	if err != nil {
		f.over = errors.Is(err, signin.ErrExpired)
		return err
	}
	k.Tokens = t
	f.kept = k
	if err := k.save(f.path, f.key); err != nil {
		return &signin.NotRenewedError{Err: err}
	}
	_, err = f.load(ctx)
	return err
}

// save writes a token file that only its owner can read, whole or not at all,
// sealed where there is a key.
func (k kept) save(path string, key []byte) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err == nil && key != nil {
		b, err = seal(b, key)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing the token file: %w", err)
	}
	if err := writeWhole(path, append(b, '\n')); err != nil {
		return fmt.Errorf("writing the token file: %w", err)
	}
	return nil
}

// writeWhole writes a file that only its owner can read, whole or not at all.
func writeWhole(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// lock waits for a file that only one can make.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			f.Close()
			return func() { os.Remove(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("locking the token file: %w", err)
		}
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > staleLock {
			os.Remove(path)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another seat to renew the sign-in: %w", ctx.Err())
		}
	}
}
