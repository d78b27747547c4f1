package raftstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"sitegate/license"
)

// Token lets one machine join a cluster, once. Its text is what an operator carries
// to that machine; whoever has it may use it.
type Token struct {
	Cluster   string
	Pin       [32]byte // SHA-256 of the site CA's certificate: whom to tell the secret
	Secret    [20]byte
	Addresses []string // host:port of members' peer ports
}

const (
	tokenPrefix  = "sitegate-join-1."
	tokenVersion = 1
	maxToken     = 4 << 10 // characters
	maxTokenAt   = 7       // addresses in a token
)

var errToken = errors.New("this is not a whole join token; copy it again, from sitegate-join to its end")

// newToken draws a token.
func newToken(cluster string, pin [32]byte, addresses []string) (Token, error) {
	t := Token{Cluster: cluster, Pin: pin, Addresses: addresses[:min(len(addresses), maxTokenAt)]}
	if _, err := rand.Read(t.Secret[:]); err != nil {
		return Token{}, fmt.Errorf("drawing a join token: %w", err)
	}
	return t, nil
}

// Digest is what the cluster knows the secret by.
func (t Token) Digest() license.Digest { return sha256.Sum256(t.Secret[:]) }

// Text is what an operator carries, secret and all.
func (t Token) Text() string {
	b := []byte{tokenVersion}
	b = append(b, t.Secret[:]...)
	b = append(b, t.Pin[:]...)
	for _, s := range append([]string{t.Cluster}, t.Addresses...) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, tokenSum))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

var tokenSum = crc32.MakeTable(crc32.Castagnoli)

// String tells nobody the secret.
func (t Token) String() string { return "a join token of cluster " + t.Cluster }

// ParseToken reads a token's text, with white space around it. What was mistyped is
// told from what is no token.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case len(text) > maxToken, !ok && !strings.HasPrefix(text, "sitegate-join-"):
		return Token{}, errors.New("this is no join token, which begins with " + strings.TrimSuffix(tokenPrefix, "."))
	case !ok:
		return Token{}, errors.New("this join token is of another version of sitegate; install the same version on this machine")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) < 1+20+32+4 || strings.ContainsAny(rest, "\r\n") {
		return Token{}, errToken
	}
	b, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(b, tokenSum) != sum || b[0] != tokenVersion {
		return Token{}, errToken
	}
	var t Token
	copy(t.Secret[:], b[1:])
	copy(t.Pin[:], b[21:])
	r := reader{b: b[53:]}
	for i := 0; len(r.b) > 0 && r.err == nil; i++ {
		s := string(r.bytes(r.uvarint()))
		switch {
		case r.err != nil:
		case i == 0 && !nodeName.MatchString(s), i > maxTokenAt, i > 0 && checkAddress(s) != nil:
			return Token{}, errToken
		case i == 0:
			t.Cluster = s
		default:
			t.Addresses = append(t.Addresses, s)
		}
	}
	if r.err != nil || len(t.Addresses) == 0 {
		return Token{}, errToken
	}
	return t, nil
}
