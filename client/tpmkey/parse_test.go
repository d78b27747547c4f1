package tpmkey

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// Only a key that its TPM has made, and that cannot leave it, is one.
func TestWhatIsNoKeyOfATPM(t *testing.T) {
	point := &tpm2.TPMSECCPoint{ // the curve's generator
		X: tpm2.TPM2BECCParameter{Buffer: []byte{0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96}},
		Y: tpm2.TPM2BECCParameter{Buffer: []byte{0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5}},
	}
	der := func(change func(*kept, *tpm2.TPMTPublic)) []byte {
		about := template
		about.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, point)
		k := kept{Type: oidLoadable, EmptyAuth: true, Parent: srk, Private: tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: make([]byte, 100)})}
		change(&k, &about)
		if k.Public == nil {
			k.Public = tpm2.Marshal(tpm2.New2B(about))
		}
		b, err := asn1.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := parse(der(func(*kept, *tpm2.TPMTPublic) {})); err != nil {
		t.Fatalf("a key as it is to be: %v", err)
	}
	for name, change := range map[string]func(*kept, *tpm2.TPMTPublic){
		"one that was made elsewhere":          func(_ *kept, p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false },
		"one that may go to another TPM":       func(_ *kept, p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false },
		"one that may go to another root key":  func(_ *kept, p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false },
		"one that does not sign":               func(_ *kept, p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = false },
		"one that signs what the TPM says":     func(_ *kept, p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = true },
		"one that wrong passwords lock":        func(_ *kept, p *tpm2.TPMTPublic) { p.ObjectAttributes.NoDA = false },
		"one with a password":                  func(k *kept, _ *tpm2.TPMTPublic) { k.EmptyAuth = false },
		"one under another root key":           func(k *kept, _ *tpm2.TPMTPublic) { k.Parent = 0x81000002 },
		"one of another form":                  func(k *kept, _ *tpm2.TPMTPublic) { k.Type = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 5} },
		"one of RSA":                           func(_ *kept, p *tpm2.TPMTPublic) { *p = tpm2.RSASRKTemplate },
		"one without its public half":          func(k *kept, _ *tpm2.TPMTPublic) { k.Public = []byte{} },
		"one without its private half":         func(k *kept, _ *tpm2.TPMTPublic) { k.Private = nil },
		"one with a public half too long":      func(k *kept, _ *tpm2.TPMTPublic) { k.Public = []byte{0xff, 0xff, 0} },
		"one with a private half that is less": func(k *kept, _ *tpm2.TPMTPublic) { k.Private = k.Private[:50] },
		"one on another curve": func(_ *kept, p *tpm2.TPMTPublic) {
			p.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP384,
				Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}})
		},
		"a point beside the curve": func(_ *kept, p *tpm2.TPMTPublic) {
			p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: point.Y, Y: point.X})
		},
		"no point": func(_ *kept, p *tpm2.TPMTPublic) {
			p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
		},
		"a number of 33 bytes": func(_ *kept, p *tpm2.TPMTPublic) {
			p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: append([]byte{0}, point.X.Buffer...)}, Y: point.Y})
		},
	} {
		if k, err := parse(der(change)); !errors.Is(err, errNoKey) || k != nil {
			t.Errorf("%s is taken for a key (%v)", name, err)
		}
	}
	if _, err := parse(append(der(func(*kept, *tpm2.TPMTPublic) {}), 0)); !errors.Is(err, errNoKey) {
		t.Errorf("with more after it: %v", err)
	}
}

// What a TPM says is told in words that say what to do.
func TestWhatATPMMeans(t *testing.T) {
	for said, want := range map[error]error{
		tpm2.TPMRCLockout:            ErrLocked,
		tpm2.TPMRCRetry:              ErrBusy,
		tpm2.TPMRCObjectMemory:       ErrBusy,
		tpm2.TPMRC(0x0DF):            ErrNotHere, // integrity, of the first parameter
		tpm2.TPMRC(0x18B):            ErrNotHere, // the first handle
		tpm2.TPMRC(0x9A2):            ErrOwned,   // a wrong password, of the first session
		tpm2.TPMRCFailure:            ErrFailed,
		tpm2.TPMRCInitialize:         ErrFailed,
		&openError{fs.ErrNotExist}:   ErrNone,
		&openError{fs.ErrPermission}: ErrNotAllowed,
		errors.New("nonsense"):       ErrFailed,
	} {
		if got := meaning(fmt.Errorf("doing something: %w", said)); got != want {
			t.Errorf("%v is told as %q, want %q", said, got, want)
		}
	}
	// go-tpm has no answer for a TPM that is busy for too long.
	if _, err := (answering{silent{}}).Send(nil); meaning(err) != ErrBusy {
		t.Errorf("no answer: %v, want %v", err, ErrBusy)
	}
}

type silent struct{}

func (silent) Send([]byte) ([]byte, error) { return nil, nil }
