//go:build unix

package tpmkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"sitegate/client/machinekey"
	"sitegate/client/tpmkey"
	"sitegate/client/tpmkey/tpmtest"
)

func in(p *tpmtest.TPM) machinekey.Store { return machinekey.Store{Keystore: tpmkey.TPM{Path: p.Path}} }

func made(t testing.TB, s machinekey.Store, path string) machinekey.Key {
	t.Helper()
	k, err := s.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if k.Kind != machinekey.TPM {
		t.Fatalf("the key is of kind %s (%v), want the TPM's", k.Kind, k.Why)
	}
	return k
}

func signs(t testing.TB, k crypto.Signer) error {
	t.Helper()
	digest := sha256.Sum256([]byte("a session token"))
	sig, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(k.Public().(*ecdsa.PublicKey), digest[:], sig) {
		t.Error("what it has signed does not verify")
	}
	return err
}

// A key is made in the TPM once, and signs there whenever its file is there, also after the
// computer was restarted and under whichever root key the system keeps.
func TestAKeyOfTheTPMSignsAndComesBack(t *testing.T) {
	for name, root := range map[string]*tpm2.TPMTPublic{"no root key is kept": nil, "one by elliptic curves is": &tpm2.ECCSRKTemplate, "one by RSA is, as on Windows": &tpm2.RSASRKTemplate} {
		t.Run(name, func(t *testing.T) {
			p := tpmtest.New(t)
			if root != nil {
				p.Keep(*root)
			}
			path := filepath.Join(t.TempDir(), "machine-key")
			first := made(t, in(p), path)
			if err := signs(t, first); err != nil {
				t.Fatal(err)
			}
			if _, err := machinekey.Prove(first, "m-1", "", "token"); err != nil {
				t.Errorf("it does not sign a proof: %v", err)
			}
			p.Off()
			p.On()
			again := made(t, in(p), path)
			if !first.Public().(*ecdsa.PublicKey).Equal(again.Public()) {
				t.Error("it is another key afterwards")
			}
			for _, k := range []machinekey.Key{first, again} {
				if err := signs(t, k); err != nil {
					t.Error(err)
				}
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("its file: %v (%v), want mode 0600", info, err)
			}
			// Nothing stays in the TPM, which has room for three.
			p.Do(func(tpm transport.TPM) error {
				c, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 8}.Execute(tpm)
				if err != nil {
					return err
				}
				left, err := c.CapabilityData.Data.Handles()
				if err == nil && len(left.Handle) > 0 {
					err = fmt.Errorf("left in the TPM: %x", left.Handle)
				}
				return err
			})
			digest := sha256.Sum256(nil)
			if _, err := first.Sign(rand.Reader, digest[:16], crypto.SHA256); err == nil {
				t.Error("it signs what is no digest")
			}
			if _, err := first.Sign(rand.Reader, digest[:], crypto.SHA384); err == nil {
				t.Error("it signs another digest's name")
			}
		})
	}
}

// A file that was copied, and a TPM that was cleared, are told from each other by nobody: the
// key is refused, and nothing takes its place.
func TestAKeyIsOfNoUseElsewhere(t *testing.T) {
	for name, root := range map[string]*tpm2.TPMTPublic{"no root key is kept": nil, "one is": &tpm2.ECCSRKTemplate} {
		t.Run(name, func(t *testing.T) {
			here, there := tpmtest.New(t), tpmtest.New(t)
			if root != nil {
				here.Keep(*root)
				there.Keep(*root)
			}
			path := filepath.Join(t.TempDir(), "machine-key")
			k := made(t, in(here), path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, tpmkey.ErrNotHere) {
					t.Errorf("%s: %v, want %v", what, err, tpmkey.ErrNotHere)
				}
			}
			_, err = in(there).Open(path)
			refused("on another computer", err)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "forget-key") {
				t.Errorf("it is not said what to do: %v", err)
			}
			if err := signs(t, k); err != nil {
				t.Error(err)
			}
			here.Clear()
			refused("signing in a TPM that was cleared", signs(t, k))
			_, err = in(here).Open(path)
			refused("in a TPM that was cleared", err)
			if after, err := os.ReadFile(path); err != nil || string(before) != string(after) {
				t.Errorf("the file is another one now (%v)", err)
			}
		})
	}
}

// A key that is there and a TPM that is not: that is said, and no other key is made.
func TestATPMThatIsNotThere(t *testing.T) {
	p := tpmtest.New(t)
	path := filepath.Join(t.TempDir(), "machine-key")
	k := made(t, in(p), path)
	p.Off()
	if err := signs(t, k); !errors.Is(err, tpmkey.ErrNone) {
		t.Errorf("signing: %v, want %v", err, tpmkey.ErrNone)
	}
	if _, err := in(p).Open(path); !errors.Is(err, tpmkey.ErrNone) {
		t.Errorf("opening: %v, want %v", err, tpmkey.ErrNone)
	}
	p.On()
	if err := signs(t, k); err != nil {
		t.Errorf("there again: %v", err)
	}
	// Where the key is only now made, a file keeps it, unless that is not wanted.
	p.Off()
	s := in(p)
	other := filepath.Join(t.TempDir(), "machine-key")
	s.Want = machinekey.TPM
	if _, err := s.Open(other); !errors.Is(err, tpmkey.ErrNone) {
		t.Errorf("asked for: %v, want %v", err, tpmkey.ErrNone)
	}
	s.Want = machinekey.Auto
	if k, err := s.Open(other); err != nil || k.Kind != machinekey.File || !errors.Is(k.Why, tpmkey.ErrNone) {
		t.Errorf("made %s since %v (%v), want a file since %v", k.Kind, k.Why, err, tpmkey.ErrNone)
	}
}

// A TPM whose owner has a password makes no root key: a kept one does.
func TestATPMWithAnOwnersPassword(t *testing.T) {
	for _, kept := range []bool{false, true} {
		p := tpmtest.New(t)
		if kept {
			p.Keep(tpm2.ECCSRKTemplate)
		}
		p.Do(func(tpm transport.TPM) error {
			_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("secret")}}.Execute(tpm)
			return err
		})
		s := in(p)
		s.Want = machinekey.TPM
		_, err := s.Open(filepath.Join(t.TempDir(), "machine-key"))
		if kept && err != nil || !kept && !errors.Is(err, tpmkey.ErrOwned) {
			t.Errorf("with a kept root key %v: %v", kept, err)
		}
	}
}

// Several programs use one TPM at the same time, which serves one connection at a time.
func TestManyProgramsUseOneTPM(t *testing.T) {
	if at := os.Getenv("TPMKEY_TEST_AT"); at != "" {
		k := made(t, machinekey.Store{Keystore: tpmkey.TPM{Path: at}}, os.Getenv("TPMKEY_TEST_KEY"))
		for range 5 {
			if err := signs(t, k); err != nil {
				t.Fatal(err)
			}
		}
		digest := sha256.Sum256(must(k.Public().(*ecdsa.PublicKey).Bytes()))
		fmt.Printf("key %x\n", digest)
		return
	}
	p := tpmtest.New(t)
	path := filepath.Join(t.TempDir(), "machine-key")
	const programs = 4
	type end struct {
		out string
		err error
	}
	ends := make(chan end, programs)
	for range programs {
		c := exec.Command(os.Args[0], "-test.run=^TestManyProgramsUseOneTPM$", "-test.v")
		c.Env = append(os.Environ(), "TPMKEY_TEST_AT="+p.Path, "TPMKEY_TEST_KEY="+path)
		go func() {
			out, err := c.CombinedOutput()
			ends <- end{string(out), err}
		}()
	}
	keys := map[string]bool{}
	for range programs {
		e := <-ends
		if e.err != nil {
			t.Errorf("%v: %s", e.err, e.out)
			continue
		}
		_, rest, _ := strings.Cut(e.out, "\nkey ")
		id, _, _ := strings.Cut(rest, "\n")
		keys[id] = true
	}
	if len(keys) != 1 {
		t.Errorf("they have %d keys, want one: %v", len(keys), keys)
	}
}

// A socket that answers nothing sensible is no TPM.
func TestWhatIsNoTPM(t *testing.T) {
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{path: tpmkey.ErrFailed, file: tpmkey.ErrNone, filepath.Join(dir, "none"): tpmkey.ErrNone} {
		if kept, err := (tpmkey.TPM{Path: path}).Make(); !errors.Is(err, want) || kept != nil {
			t.Errorf("%s: %v, want %v", filepath.Base(path), err, want)
		}
	}
}

// FuzzOpen: whatever a file keeps, it is the TPM's own key, or an error.
func FuzzOpen(f *testing.F) {
	nobody := tpmkey.TPM{Path: filepath.Join(f.TempDir(), "none")}
	kept, _ := pem.Decode([]byte(sample))
	if _, err := nobody.Open(kept.Bytes); !errors.Is(err, tpmkey.ErrNone) {
		f.Fatalf("the sample is not taken for a key: %v", err)
	}
	f.Add(kept.Bytes)
	for _, at := range []int{0, 20, 40, 60, 90, 120, len(kept.Bytes) - 1} {
		broken := append([]byte(nil), kept.Bytes...)
		broken[at] ^= 0x41
		f.Add(broken)
		f.Add(broken[:at])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := nobody.Open(b); err == nil || k != nil {
			t.Fatalf("a key without a TPM: %v (%v)", k, err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What a use costs, in a TPM that is a program.
func BenchmarkTPM(b *testing.B) {
	for name, root := range map[string]*tpm2.TPMTPublic{"root-made": nil, "root-kept": &tpm2.ECCSRKTemplate} {
		p := tpmtest.New(b)
		if root != nil {
			p.Keep(*root)
		}
		path := filepath.Join(b.TempDir(), "machine-key")
		k := made(b, in(p), path)
		b.Run("sign/"+name, func(b *testing.B) {
			for b.Loop() {
				if err := signs(b, k); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("open/"+name, func(b *testing.B) {
			for b.Loop() {
				made(b, in(p), path)
			}
		})
		b.Run("make/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := (tpmkey.TPM{Path: p.Path}).Make(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
