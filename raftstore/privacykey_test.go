package raftstore

import (
	"errors"
	"strings"
	"testing"
)

// Who joins is given the key for pseudonyms that the cluster has, whichever node it asks, and
// who has another one is told so before its token is used up.
func TestWhoJoinsIsGivenTheKeyForPseudonyms(t *testing.T) {
	const key = "a key of more than twenty characters"
	s := newSite(t, func(c *Config) { c.PrivacyKey = []byte(key) })
	s.door()
	token := s.token()
	join := func(name string, own string) (given []byte, err error) {
		s.folder(name)
		l := listen(t, "127.0.0.1:0")
		c := s.joinConfig(name, l.Addr().String(), token)
		c.PrivacyKey, c.KeepPrivacyKey = []byte(own), func(key []byte) error { given = key; return nil }
		if _, err = Join(limited(t), c); err != nil {
			return given, errors.Join(err, l.Close())
		}
		s.open(name, l)
		return given, nil
	}
	given, err := join("n2", "another key, as long as the first")
	var refused *Refused
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "privacy.key") || len(given) > 0 || strings.Contains(err.Error(), key) {
		t.Fatalf("with another key: %v, given %q; want a refusal that names the file", err, given)
	}
	if given, err = join("n2", ""); err != nil || string(given) != key {
		t.Fatalf("with no key: given %q, %v; want the cluster's, with the same token", given, err)
	}
	s.voters("n1", "n2")
	token = s.token()
	token.Addresses = []string{s.at["n2"]} // which may not lead
	if given, err = join("n3", ""); err != nil || string(given) != key {
		t.Errorf("by another node: given %q, %v", given, err)
	}
	s.voters("n1", "n2", "n3")
	token = s.token()
	if given, err = join("n4", key); err != nil || len(given) > 0 {
		t.Errorf("with the same key: given %q, %v; want nothing, and no refusal", given, err)
	}
}
