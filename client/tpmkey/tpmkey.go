// Package tpmkey makes machines' keys in the computer's TPM 2.0: ECDSA on P-256, a child of
// the storage root key, which the TPM has made, never gives out, and takes on no other
// computer. It is a machinekey.Keystore, by github.com/google/go-tpm.
//
// What a file keeps of such a key is its public half and its private half as the TPM has
// wrapped it, in the form that other programs have for it, too ("TSS2 PRIVATE KEY", with the
// OID 2.23.133.10.1.3). Nothing stays in the TPM: each use loads the key, and takes it out
// again. So it does not matter how many use it, who resets it, or that the computer sleeps.
//
// It is no attestation: a gateway is shown a key, and not where it is kept.
package tpmkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Why a key cannot be made or used. What the TPM or the system has said stands after it.
var (
	ErrNone = errors.New("no TPM 2.0 of this computer can be used")
	// ErrNotAllowed: the system has a TPM, and does not let this user have it.
	ErrNotAllowed = errors.New("this user may not use the computer's TPM: have IT allow it (on Linux, as a member of the group of /dev/tpmrm0, most often tss)")
	// ErrNotHere: the key is not one of this TPM, or no more.
	ErrNotHere = errors.New("the TPM does not take this computer's key: it was cleared or replaced, or the key's file is of another computer")
	// ErrOwned: there is no persistent root key, and the TPM makes none for everybody.
	ErrOwned  = errors.New("the TPM wants its owner's password to make a root key: have IT keep one at 0x81000001")
	ErrLocked = errors.New("the TPM is locked after wrong passwords: wait until it opens by itself, for up to a day, or have IT reset its lockout")
	ErrBusy   = errors.New("the TPM is busy, and has not answered in time: try again; if it stays so, restart the computer")
	ErrFailed = errors.New("the TPM could not do it: try again; if it stays so, restart the computer, or ask IT about its TPM")
)

const (
	srk      = 0x81000001 // the storage root key, where the system has made it persistent
	pemType  = "TSS2 PRIVATE KEY"
	patience = 5 * time.Second // with a TPM that is busy
)

// TPM is the computer's. The zero TPM is the one that the system has.
type TPM struct {
	// Path is that of a device, or of a socket as swtpm has it; empty: /dev/tpmrm0. Windows
	// knows its TPM by itself, and takes no other.
	Path string
}

// Type is that of the PEM block that keeps a key.
func (TPM) Type() string { return pemType }

var oidLoadable = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

// kept is TPMKey of that form, as far as it is used here.
type kept struct {
	Type      asn1.ObjectIdentifier
	EmptyAuth bool  `asn1:"explicit,tag:0,optional"`
	Parent    int64 // srk, or the owner's hierarchy for the root key by its standard template
	Public    []byte
	Private   []byte
}

// Make makes a key, and returns what is to be kept of it.
func (t TPM) Make() ([]byte, error) {
	var k kept
	err := t.use(func(tpm transport.TPM) error {
		made, parent, err := create(tpm)
		if err != nil {
			return err
		}
		k = kept{Type: oidLoadable, EmptyAuth: true, Parent: int64(parent), Public: tpm2.Marshal(made.OutPublic), Private: tpm2.Marshal(made.OutPrivate)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(k)
}

// create makes a key under the persistent root key, or where there is none that can be
// used, under the one of the standard template.
func create(tpm transport.TPM) (*tpm2.CreateResponse, tpm2.TPMHandle, error) {
	var first error
	for _, at := range []tpm2.TPMHandle{srk, tpm2.TPMRHOwner} {
		parent, done, err := root(tpm, at)
		if err == nil {
			var made *tpm2.CreateResponse
			made, err = tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(template)}.Execute(tpm)
			done()
			if err == nil {
				return made, at, nil
			}
		}
		if first == nil || errors.Is(first, tpm2.TPMRCHandle) { // there is no persistent one: not worth a word
			first = err
		}
	}
	return nil, 0, first
}

// template is what a key is to be: made in the TPM and bound to it, to sign with and no more,
// without a password, and not to be locked by wrong ones.
var template = tpm2.TPMTPublic{
	Type:             tpm2.TPMAlgECC,
	NameAlg:          tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
		CurveID: tpm2.TPMECCNistP256,
	}),
}

// root is a root key to load keys under, until done.
func root(tpm transport.TPM, at tpm2.TPMHandle) (_ tpm2.AuthHandle, done func(), _ error) {
	if at == srk {
		there, err := tpm2.ReadPublic{ObjectHandle: at}.Execute(tpm)
		if err != nil {
			return tpm2.AuthHandle{}, nil, err
		}
		return tpm2.AuthHandle{Handle: at, Name: there.Name, Auth: tpm2.PasswordAuth(nil)}, func() {}, nil
	}
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.AuthHandle{Handle: at, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(tpm)
	if err != nil {
		return tpm2.AuthHandle{}, nil, err
	}
	return tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: tpm2.PasswordAuth(nil)}, func() { flush(tpm, made.ObjectHandle) }, nil
}

// flush takes out of the TPM what was loaded. If that fails, it goes with the connection, or
// when the computer restarts.
func flush(tpm transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(tpm)
}

// Open is the key of which that was kept, once the TPM has taken it.
func (t TPM) Open(der []byte) (crypto.Signer, error) {
	k, err := parse(der)
	if err != nil {
		return nil, err
	}
	k.tpm = t
	if err := k.load(func(transport.TPM, tpm2.AuthHandle) error { return nil }); err != nil {
		return nil, err
	}
	return k, nil
}

// key is one that a TPM has.
type key struct {
	tpm     TPM
	public  *ecdsa.PublicKey
	parent  tpm2.TPMHandle
	pub     tpm2.TPM2BPublic
	private tpm2.TPM2BPrivate
}

var errNoKey = errors.New("it does not hold a key of a TPM that a computer can go by")

// parse reads what Make has made. Keys that could leave their TPM are none.
func parse(der []byte) (*key, error) {
	var k kept
	rest, err := asn1.Unmarshal(der, &k)
	if err != nil || len(rest) > 0 || !k.Type.Equal(oidLoadable) || !k.EmptyAuth || k.Parent != srk && k.Parent != int64(tpm2.TPMRHOwner) {
		return nil, errNoKey
	}
	pub, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return nil, errNoKey
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](k.Private)
	if err != nil || len(private.Buffer) == 0 || len(private.Buffer)+2 != len(k.Private) {
		return nil, errNoKey
	}
	about, err := pub.Contents()
	if err != nil || about.Type != tpm2.TPMAlgECC || about.ObjectAttributes != template.ObjectAttributes {
		return nil, errNoKey
	}
	parms, err := about.Parameters.ECCDetail()
	if err != nil || parms.CurveID != tpm2.TPMECCNistP256 || parms.Scheme.Scheme != tpm2.TPMAlgECDSA {
		return nil, errNoKey
	}
	point, err := about.Unique.ECC()
	if err != nil || len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return nil, errNoKey
	}
	whole := make([]byte, 65)
	whole[0] = 4
	copy(whole[33-len(point.X.Buffer):], point.X.Buffer)
	copy(whole[65-len(point.Y.Buffer):], point.Y.Buffer)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), whole)
	if err != nil {
		return nil, errNoKey
	}
	return &key{public: public, parent: tpm2.TPMHandle(k.Parent), pub: *pub, private: *private}, nil
}

func (k *key) Public() crypto.PublicKey { return k.public }

// Sign signs a SHA-256, as crypto.Signer has it: in ASN.1. The chance is the TPM's own.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("a TPM's key signs SHA-256 only")
	}
	var sig struct{ R, S *big.Int }
	err := k.load(func(tpm transport.TPM, loaded tpm2.AuthHandle) error {
		signed, err := tpm2.Sign{KeyHandle: loaded, Digest: tpm2.TPM2BDigest{Buffer: digest},
			InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck}}.Execute(tpm)
		if err != nil {
			return err
		}
		got, err := signed.Signature.Signature.ECDSA()
		if err != nil {
			return err
		}
		sig.R, sig.S = new(big.Int).SetBytes(got.SignatureR.Buffer), new(big.Int).SetBytes(got.SignatureS.Buffer)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(sig)
}

// load has the TPM take the key, for as long as it is used.
func (k *key) load(use func(transport.TPM, tpm2.AuthHandle) error) error {
	return k.tpm.use(func(tpm transport.TPM) error {
		parent, done, err := root(tpm, k.parent)
		if err != nil {
			return err
		}
		defer done()
		loaded, err := tpm2.Load{ParentHandle: parent, InPrivate: k.private, InPublic: k.pub}.Execute(tpm)
		if err != nil {
			return err
		}
		defer flush(tpm, loaded.ObjectHandle)
		return use(tpm, tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: tpm2.PasswordAuth(nil)})
	})
}

// one at a time: a TPM has room for three keys, and not every system lends it by turns.
var one sync.Mutex

// use opens the TPM for one piece of work, which is done anew while it is busy.
func (t TPM) use(work func(transport.TPM) error) error {
	one.Lock()
	defer one.Unlock()
	wait := 20 * time.Millisecond
	for end := time.Now().Add(patience); ; wait *= 2 {
		err := t.once(work)
		if err == nil {
			return nil
		}
		why := meaning(err)
		if why != ErrBusy || time.Now().Add(wait).After(end) {
			return fmt.Errorf("%w (%w)", why, err)
		}
		time.Sleep(wait)
	}
}

func (t TPM) once(work func(transport.TPM) error) error {
	tpm, err := open(t.Path)
	if err != nil {
		return &openError{err}
	}
	defer tpm.Close()
	return work(answering{tpm})
}

// openError is the system's, before the TPM was asked.
type openError struct{ error }

func (e *openError) Unwrap() error { return e.error }

// answering is a TPM that says so when it is too busy to answer: go-tpm gives an empty
// answer after it has asked for two seconds.
type answering struct{ transport.TPM }

func (a answering) Send(command []byte) ([]byte, error) {
	answer, err := a.TPM.Send(command)
	if err == nil && len(answer) == 0 {
		err = tpm2.TPMRCRetry
	}
	return answer, err
}

// meaning is what to say of an error.
func meaning(err error) error {
	is := func(codes ...tpm2.TPMRC) bool {
		for _, c := range codes {
			if errors.Is(err, c) {
				return true
			}
		}
		return false
	}
	_, unopened := errors.AsType[*openError](err)
	switch {
	case errors.Is(err, fs.ErrPermission), forbidden(err):
		return ErrNotAllowed
	case busy(err), is(tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCCanceled, tpm2.TPMRCObjectMemory, tpm2.TPMRCMemory, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable):
		return ErrBusy
	case unopened:
		return ErrNone
	case is(tpm2.TPMRCLockout):
		return ErrLocked
	case is(tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth, tpm2.TPMRCDisabled, tpm2.TPMRCHierarchy):
		return ErrOwned
	case is(tpm2.TPMRCIntegrity, tpm2.TPMRCHandle, tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCBinding):
		return ErrNotHere
	}
	return ErrFailed
}
