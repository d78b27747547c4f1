package machinekey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
)

func TestAKeyIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sitegate", "machine-key")
	const many = 8
	var keys [many]Key
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			k, err := Store{}.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = k
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i, k := range keys {
		if got, want := thumb(t, k), thumb(t, keys[0]); got != want {
			t.Errorf("the %dth that opened it has key %s, want %s", i, got, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); runtime.GOOS != "windows" && got != 0o600 {
		t.Errorf("the file has mode %04o, want 0600", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".machine-key-*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestAFileThatIsNoSecretKeyIsRefused(t *testing.T) {
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(big)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]struct {
		text []byte
		mode os.FileMode
		want string
	}{
		"nonsense":        {[]byte("nonsense"), 0o600, "does not hold a key"},
		"empty":           {nil, 0o600, "does not hold a key"},
		"of another kind": {pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), 0o600, "that a computer can go by"},
		"broken":          {pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der[:40]}), 0o600, "that a computer can go by"},
		"for all to see":  {nil, 0o644, "can be read by others"},
	} {
		path := filepath.Join(t.TempDir(), "machine-key")
		if err := os.WriteFile(path, file.text, file.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := (Store{}).Open(path); err == nil || !strings.Contains(err.Error(), file.want) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%s: %v, want %q and what to do", name, err, file.want)
		}
	}
}

// What is signed can be verified by who goes by the standards.
func TestWhatIsSignedVerifies(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := Store{}.Open(filepath.Join(t.TempDir(), "k"))
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.Signer{"ES256": ec, "EdDSA": ed} {
		at := time.Now().Truncate(time.Second)
		token, life, err := Session{User: "ada", Cluster: "site", Machine: "m-1", Host: "ts-1", At: at}.Token(key)
		if err != nil {
			t.Fatal(err)
		}
		if life != api.SessionTokenLife {
			t.Errorf("%s: it lasts %v, want %v", want, life, api.SessionTokenLife)
		}
		proof, err := Prove(key, "m-1", "ts-1", "token")
		if err != nil {
			t.Fatal(err)
		}
		for typ, text := range map[string]string{api.SessionTokenType: token, api.KeyProofType: proof} {
			parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			h := parsed.Headers[0]
			var claims map[string]any
			if err := parsed.Claims(h.JSONWebKey.Key, &claims); err != nil {
				t.Fatalf("%s %s: %v", want, typ, err)
			}
			if h.Algorithm != want || h.ExtraHeaders[jose.HeaderType] != typ || claims["mid"] != "m-1" || claims["host"] != "ts-1" {
				t.Errorf("got %s %v with %v, want %s %s", h.Algorithm, h.ExtraHeaders, claims, want, typ)
			}
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prove(p384, "m", "", "t"); err == nil {
		t.Error("a key on another curve signs")
	}
}

func thumb(t *testing.T, k crypto.Signer) string {
	t.Helper()
	b, err := (&jose.JSONWebKey{Key: k.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return encode(b)
}

// FuzzParse: whatever a file holds, it is a key or an error.
func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "k")
	if _, err := (Store{}).Open(path); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.ToLower(good))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := Store{}.parse("k", b)
		if (key.Signer == nil) == (err == nil) {
			t.Fatalf("key %v and error %v", key, err)
		}
		if err == nil {
			if _, err := Prove(key, "m", "", "t"); err != nil {
				t.Fatalf("it is taken for a key, and does not sign: %v", err)
			}
		}
	})
}

// drawer is a keystore of its own, that may be locked.
type drawer struct{ locked error }

func (drawer) Type() string { return "DRAWER KEY" }

func (d drawer) Make() ([]byte, error) {
	if d.locked != nil {
		return nil, d.locked
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

func (d drawer) Open(kept []byte) (crypto.Signer, error) {
	if d.locked != nil {
		return nil, d.locked
	}
	k, err := x509.ParsePKCS8PrivateKey(kept)
	key, _ := k.(*ecdsa.PrivateKey)
	return key, err
}

// Which kind a key is of is decided once, when it is made: what is there stays, and one that
// cannot be used is an error, and never another key.
func TestAKeyStaysOfTheKindThatItWasMade(t *testing.T) {
	locked := errors.New("the drawer is locked")
	good, shut := drawer{}, drawer{locked}
	for name, test := range map[string]struct {
		first, then Store
		made        Kind
		why         error  // the keystore was not used
		refused     string // of the first
		failed      string // of the second
	}{
		"the keystore's, where there is one":                   {Store{Keystore: good}, Store{Keystore: good}, TPM, nil, "", ""},
		"the file's, where there is none":                      {Store{}, Store{Keystore: good}, File, nil, "", ""},
		"the file's, where it cannot be used":                  {Store{Keystore: shut}, Store{Keystore: good, Want: Auto}, File, locked, "", ""},
		"the file's, where that is asked for":                  {Store{Keystore: good, Want: File}, Store{Keystore: good}, File, nil, "", ""},
		"the keystore's, where that is asked for":              {Store{Keystore: good, Want: TPM}, Store{Keystore: good, Want: TPM}, TPM, nil, "", ""},
		"none, where the keystore's is asked for":              {Store{Keystore: shut, Want: TPM}, Store{}, "", nil, "the drawer is locked", ""},
		"none, where a keystore that is not there is":          {Store{Want: TPM}, Store{}, "", nil, "cannot be made", ""},
		"none of a kind that there is not":                     {Store{Want: "usb"}, Store{}, "", nil, "usb", ""},
		"the keystore's, locked later":                         {Store{Keystore: good}, Store{Keystore: shut}, TPM, nil, "", "forget-key"},
		"the keystore's, where that is gone":                   {Store{Keystore: good}, Store{}, TPM, nil, "", "delete it"},
		"the file's, where the keystore's is asked for later":  {Store{}, Store{Keystore: good, Want: TPM}, File, nil, "", "with nothing in use here, delete it"},
		"the keystore's, where the file's is asked for later":  {Store{Keystore: good}, Store{Keystore: good, Want: File}, TPM, nil, "", "with nothing in use here, delete it"},
		"the keystore's, where a file's would do, locked then": {Store{Keystore: good}, Store{Keystore: shut, Want: File}, TPM, nil, "", "the drawer is locked"},
	} {
		path := filepath.Join(t.TempDir(), "machine-key")
		if why := test.first.Why(); (why == nil) != (test.made == TPM) || test.why != nil && !errors.Is(why, test.why) {
			t.Errorf("%s: the keystore would make none since %v", name, why)
		}
		first, err := test.first.Open(path)
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: %v, want %q", name, err, test.refused)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: something is kept", name)
			}
			continue
		}
		if err != nil || first.Kind != test.made || test.why != nil && !errors.Is(first.Why, test.why) {
			t.Errorf("%s: made %q since %v (%v), want %q since %v", name, first.Kind, first.Why, err, test.made, test.why)
			continue
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		then, err := test.then.Open(path)
		switch {
		case test.failed != "":
			if err == nil || !strings.Contains(err.Error(), test.failed) || !strings.Contains(err.Error(), path) || then.Signer != nil {
				t.Errorf("%s: %v, want %q and the file's name", name, err, test.failed)
			}
		case err != nil || then.Kind != test.made || then.Why != nil || thumb(t, then) != thumb(t, first):
			t.Errorf("%s: afterwards %q since %v (%v)", name, then.Kind, then.Why, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the file is another one now (%v)", name, err)
		}
	}
}
