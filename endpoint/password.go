package endpoint

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// What a password's hash costs: 19 MiB and two passes, some 30 ms of a core, which OWASP's
// Password Storage Cheat Sheet names first: anybody may have one computed, and what it takes
// is the node's. The parameters are in each hash, so that they can change.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16

	// What a stored hash may ask for at most.
	maxArgonMemory = 256 << 10
	maxArgonTime   = 10

	minPassword = 12
	minNameInIt = 4 // a shorter name is in nearly every passphrase
	maxPassword = 256
)

// passwords hashes and checks passwords, few at once. Who computes one has entered a room.
type passwords struct {
	// strangers is for those who say who they are; known for those who are signed in, or come
	// from where the account has signed in before. Both at once take 38 MiB.
	strangers, known *hashRoom
	// memory in KiB, and passes, are what a new hash costs.
	memory, passes uint32
	// nobody is the hash that is checked for an account that is not there, so that it takes
	// as long.
	nobody string
}

func newPasswords(memory, passes uint32) *passwords {
	p := &passwords{strangers: newHashRoom(), known: newHashRoom(), memory: memory, passes: passes}
	salt := make([]byte, argonSalt)
	key := make([]byte, argonKey)
	rand.Read(salt) // they never fail
	rand.Read(key)
	p.nobody = p.encode(salt, key)
	return p
}

func (p *passwords) encode(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// weak says what is wrong with a password that is to be set.
func weak(password, name string) error {
	switch {
	case utf8.RuneCountInString(password) < minPassword || len(password) > maxPassword || !utf8.ValidString(password):
		return malformed(fmt.Sprintf("a password has %d characters at least and %d bytes at most", minPassword, maxPassword))
	case len(name) >= minNameInIt && strings.Contains(strings.ToLower(password), strings.ToLower(name)) || strings.Count(password, password[:1]) == len(password):
		return malformed("a password does not have the account's name in it, and is not one letter only")
	}
	return nil
}

// hash is what is kept of a password, for one who may set it. A trouble: too many ask.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	leave, err := p.known.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, argonSalt)
	rand.Read(salt) // it never fails
	return p.encode(salt, argon2.IDKey([]byte(password), salt, p.passes, p.memory, argonThreads, argonKey)), nil
}

// check reports whether a password is that of a hash; an empty hash is nobody's. The caller
// has entered a room.
func (p *passwords) check(password, hash string) (bool, error) {
	there := hash != ""
	if !there {
		hash = p.nobody
	}
	var version, memory, passes, threads uint32
	salt, key, err := decodeHash(hash, &version, &memory, &passes, &threads)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		password = "" // nobody's, and it takes as long
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, uint8(threads), uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1 && there && password != "", nil
}

var errHash = errors.New("a local account's password hash is not one of ours")

// decodeHash reads a hash, within the bounds of what this node is ready to compute.
func decodeHash(hash string, version, memory, passes, threads *uint32) (salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", version); err != nil || *version != argon2.Version {
		return nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", memory, passes, threads); err != nil ||
		*memory < 8 || *memory > maxArgonMemory || *passes < 1 || *passes > maxArgonTime || *threads < 1 || *threads > 8 {
		return nil, nil, errHash
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(key) < 16 || len(key) > 64 {
		return nil, nil, errHash
	}
	return salt, key, nil
}
