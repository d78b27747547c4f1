package desktop

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// cabinet is what a machine keeps, in one file. A damaged one is thrown away.
type cabinet struct {
	file string

	Policies     map[string]storedPolicy // by id
	Checkouts    map[string]storedPolicy
	OfflineSince map[string]time.Time // by user: OfflineGracePeriodStart
	Usage        []use
	Features     []featureUse
}

// storedPolicy is a policy as it came.
type storedPolicy struct {
	User, Token, Certificate string
	Updated                  time.Time
}

func (s storedPolicy) open() *Policy {
	p, err := openPolicy(s.Token, s.Certificate)
	if err != nil {
		return nil
	}
	return p
}

func (k *cabinet) open(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	k.file = filepath.Join(folder, "licenses.json")
	b, err := os.ReadFile(k.file)
	if err == nil && json.Unmarshal(b, k) != nil {
		*k = cabinet{file: k.file}
	}
	if k.Policies == nil {
		k.Policies, k.Checkouts, k.OfflineSince = map[string]storedPolicy{}, map[string]storedPolicy{}, map[string]time.Time{}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return k.save()
}

func (k *cabinet) save() error {
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(k.file+".new", k.file)
}

// find is a user's policy for a product; nil: there is none.
func find(in map[string]storedPolicy, user string, want Product) *Policy {
	for _, s := range in {
		if s.User != user {
			continue
		}
		if p := s.open(); p != nil && p.securable(want) != nil {
			return p
		}
	}
	return nil
}

// keepExpired is how long a policy that has expired is kept.
const keepExpired = 7 * 24 * time.Hour

func (k *cabinet) cleanUp(now time.Time) {
	for id, s := range k.Policies {
		if p := s.open(); p == nil || now.Sub(p.PolicyExpiresOn.Time) > keepExpired {
			delete(k.Policies, id)
		}
	}
}
