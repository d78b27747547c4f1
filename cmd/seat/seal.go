package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sitegate/desktop"
)

const (
	keyBytes   = 32
	sealedFor  = "sitegate seat token"
	unlockTime = 45 * time.Second // for a person to unlock the keyring
)

// sealed is a token file that the keyring's key opens. The keyring holds a key and
// not the tokens, because those of many an issuer are larger than what Windows and
// macOS keep, and because several programs share and renew them.
type sealed struct {
	Sealed []byte `json:"sealed"` // AES-256-GCM: nonce, then what it holds
}

func seal(plain, key []byte) ([]byte, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{a.Seal(nil, nil, plain, []byte(sealedFor))})
}

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// unseal opens a token file that is sealed, and leaves one that is not as it is.
func (f *tokenFile) unseal(ctx context.Context, b []byte) (plain, key []byte, _ error) {
	var s sealed
	if json.Unmarshal(b, &s) != nil || s.Sealed == nil {
		return b, nil, nil
	}
	if f.keys == nil {
		return nil, nil, errors.New("the sign-in is sealed with a key in a keyring")
	}
	if key = f.key; key != nil {
		if plain, err := open(s.Sealed, key); err == nil {
			return plain, key, nil
		} // signed in anew meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, unlockTime)
	defer cancel()
	text, err := f.keys.Get(ctx, f.keyName())
	if errors.Is(err, desktop.ErrNotKept) {
		return nil, nil, fmt.Errorf("the key to %s is not in the keyring: sign in again with seat login", f.path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the sign-in is sealed with a key in the keyring, which cannot be had (%w): unlock the keyring, or sign in with seat login --keyring off", err)
	}
	if key, err = base64.StdEncoding.DecodeString(text); err == nil {
		plain, err = open(s.Sealed, key)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the keyring's key does not open %s: sign in again with seat login", f.path)
	}
	return plain, key, nil
}

func open(sealed, key []byte) ([]byte, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	return a.Open(nil, nil, sealed, []byte(sealedFor))
}

// keyName is what the key is called in the keyring: a person sees it there.
func (f *tokenFile) keyName() string {
	path, err := filepath.Abs(f.path)
	if err != nil {
		path = f.path
	}
	return "seat " + path
}

// sealKey is the key to seal a sign-in with, as mode (auto, on, off) has it: the one in
// the keyring, so that what it has sealed can still be opened if the new sign-in cannot
// be written, or one that is put there. No key and no error: auto does without, because
// of why.
func (f *tokenFile) sealKey(ctx context.Context, mode string) (key []byte, why, _ error) {
	if mode == "off" || f.keys == nil {
		return nil, nil, nil
	}
	asking, cancel := context.WithTimeout(ctx, unlockTime)
	defer cancel()
	text, err := f.keys.Get(asking, f.keyName())
	if err == nil {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) == keyBytes {
			return key, nil, nil
		}
	}
	if err == nil || errors.Is(err, desktop.ErrNotKept) {
		key = make([]byte, keyBytes)
		rand.Read(key)
		err = f.keys.Set(asking, f.keyName(), base64.StdEncoding.EncodeToString(key))
	}
	switch {
	case err == nil:
		return key, nil, nil
	case mode == "on" || ctx.Err() != nil:
		return nil, nil, fmt.Errorf("keeping the key of the sign-in: %w", err)
	}
	return nil, err, nil
}
