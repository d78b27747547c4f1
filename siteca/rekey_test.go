package siteca_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/siteca"
)

// voter makes the keys of a node that holds the CA's key.
func voter(t *testing.T, ca *siteca.CA, node string) (k *siteca.Keys, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := ca.Save(siteca.CAFolder(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := siteca.IssueOwn(dir, node, ca, []string{"gate.test"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return reopened(t, dir, node), dir
}

// reopened are the keys as a node finds them after a crash.
func reopened(t *testing.T, dir, node string) *siteca.Keys {
	t.Helper()
	k, err := siteca.OpenKeys(dir, "blue", node)
	if err != nil {
		t.Fatalf("%s does not start again: %v", node, err)
	}
	return k
}

// certified has a node ask for its certificate anew, and shows the voucher with it.
func certified(t *testing.T, by, k *siteca.Keys, voucher []byte) {
	t.Helper()
	csr, err := k.Request([]string{"gate.test"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := by.Sign(csr, k.Node(), k.Generation(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Renew(siteca.Vouched(cert, voucher)); err != nil {
		t.Fatal(err)
	}
}

// A CA is replaced step by step; a node that ends after any of them starts again, and goes
// on. Nodes that know of it and those that do not yet know each other all the time; in the
// end who has only a certificate by the old CA knows nobody.
func TestACAIsReplacedStepByStep(t *testing.T) {
	ca := newCA(t, "blue")
	k1, dir1 := voter(t, ca, "gw1")
	k2, dir2 := voter(t, ca, "gw2")
	late := newPeer(t, ca, "gw3") // was off all the time
	meet := func(step string, a, b *siteca.Peer, want bool) {
		t.Helper()
		for _, way := range [][2]*siteca.Peer{{a, b}, {b, a}} {
			_, serverErr, clientErr := shake(t, way[0].ServerTLS(), way[1].ClientTLS(way[0].Node()))
			if got := serverErr == nil && clientErr == nil; got != want {
				t.Errorf("%s: %s answers %s: got %t, want %t: %v, %v", step, way[0].Node(), way[1].Node(), got, want, serverErr, clientErr)
			}
		}
	}
	s, err := k1.Succeed(time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	k1 = reopened(t, dir1, "gw1")
	if !bytes.Equal(k1.CA().Raw, s.Before) || !k1.Signs() {
		t.Error("the new CA is gone by before it is trusted")
	}
	for _, k := range []*siteca.Keys{k1, k2} {
		if err := k.Trust(1, s.Root, s.Before); err != nil {
			t.Fatal(err)
		}
	}
	k1, k2 = reopened(t, dir1, "gw1"), reopened(t, dir2, "gw2")
	if !k1.Signs() || k2.Signs() || !k2.Due(nil, time.Now()) || k2.Pin() == k2.Newest() {
		t.Errorf("both are trusted: gw1 signs %t, gw2 signs %t, is due %t; want yes, not yet, yes", k1.Signs(), k2.Signs(), k2.Due(nil, time.Now()))
	}
	key, err := k1.CAKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := k2.TakeCAKey(key); err != nil || !k2.Signs() {
		t.Errorf("the new CA's key is not handed on: %v", err)
	}
	meet("both are trusted", k1.Peer, k2.Peer, true)
	if err := k1.Trust(2, s.Root); err == nil {
		t.Error("the CA that its own certificate is by is dropped")
	}
	if n := len(reopened(t, dir1, "gw1").CAs()); n != 2 {
		t.Errorf("after that was refused %d CAs are trusted, want 2", n)
	}
	certified(t, k2, k1, s.Voucher)
	k1 = reopened(t, dir1, "gw1")
	if err := k1.Trust(0, s.Before); err != nil || len(k1.CAs()) != 2 || !k1.Signs() {
		t.Errorf("an earlier state has %d CAs trusted, signs %t, %v; want that it changes nothing", len(k1.CAs()), k1.Signs(), err)
	}
	meet("one has a new certificate", k1.Peer, k2.Peer, true)
	meet("one has a new certificate", k1.Peer, late, true)
	certified(t, k2, k2, s.Voucher)
	if k2.Due([]string{"gate.test"}, time.Now()) {
		t.Error("a certificate by the new CA is due again")
	}
	for _, k := range []*siteca.Keys{k1, k2} {
		if err := k.Trust(2, s.Root); err != nil {
			t.Fatal(err)
		}
	}
	k1, k2 = reopened(t, dir1, "gw1"), reopened(t, dir2, "gw2")
	meet("it is done", k1.Peer, k2.Peer, true)
	meet("it is done", k1.Peer, late, false)
	keys, err := os.ReadFile(filepath.Join(siteca.CAFolder(dir1), siteca.CAKeyFile))
	if err != nil || !bytes.Equal(keys, key) {
		t.Errorf("the key that is left is not the new CA's alone: %v", err)
	}
	if !k1.Signs() || !k2.Signs() || len(k1.CAs()) != 1 {
		t.Errorf("gw1 signs %t, gw2 signs %t, %d CAs are trusted; want yes, yes, 1", k1.Signs(), k2.Signs(), len(k1.CAs()))
	}
	if err := k1.Trust(1, s.Root, s.Before); err != nil || len(k1.CAs()) != 1 {
		t.Errorf("an earlier state has %d CAs trusted, %v; want that it changes nothing", len(k1.CAs()), err)
	}
	if err := k1.TakeCAKey(caKey(t, ca)); err == nil {
		t.Error("the old CA's key is taken")
	}
}

// A desktop that trusts the old CA only goes on as long as the old one vouches for the new
// one; one that has the new one needs no voucher.
func TestClientsOfTheOldCAAreServedWhileItVouches(t *testing.T) {
	ca := newCA(t, "blue")
	k, _ := voter(t, ca, "gw1")
	s, err := k.Succeed(time.Now(), time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Trust(1, s.Root, s.Before); err != nil {
		t.Fatal(err)
	}
	certified(t, k, k, s.Voucher)
	shown := k.Certificate()
	between := x509.NewCertPool()
	for _, der := range shown.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	for _, c := range []struct {
		who   string
		root  []byte
		after time.Duration
		want  bool
	}{
		{"the old CA", s.Before, time.Hour, true},
		{"the old CA, when it vouches no more", s.Before, 25 * time.Hour, false},
		{"the new CA", s.Root, time.Hour, true},
		{"the new CA, when the old one vouches no more", s.Root, 25 * time.Hour, true},
	} {
		root, err := x509.ParseCertificate(c.root)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(root)
		_, err = shown.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "gate.test", CurrentTime: time.Now().Add(c.after)})
		if got := err == nil; got != c.want {
			t.Errorf("who trusts %s: got %t, want %t: %v", c.who, got, c.want, err)
		}
	}
	if old, now := k.CAs()[1].Subject.CommonName, k.CA().Subject.CommonName; old == now || !strings.HasPrefix(now, old) {
		t.Errorf("the CAs are called %q and %q: want names that people can tell apart", old, now)
	}
}

// What is no CA of this cluster is not trusted, and without the old CA's key there is none
// to vouch.
func TestOnlyAProperSuccessorIsTrusted(t *testing.T) {
	ca := newCA(t, "blue")
	k, dir := voter(t, ca, "gw1")
	other := newCA(t, "green")
	for what, roots := range map[string][][]byte{"another cluster's": {der(t, other.CertPEM()), k.CA().Raw}, "noise": {[]byte("noise"), k.CA().Raw},
		"a node's certificate": {k.Certificate().Leaf.Raw, k.CA().Raw}, "another of the same name alone": {der(t, newCA(t, "blue").CertPEM())}} {
		if err := k.Trust(1, roots...); err == nil {
			t.Errorf("%s is trusted", what)
		}
	}
	if got := reopened(t, dir, "gw1"); len(got.CAs()) != 1 || !got.Signs() {
		t.Errorf("%d CAs are trusted, signs %t; want that nothing has changed", len(got.CAs()), got.Signs())
	}
	if _, err := keysOf(t, ca, t.TempDir(), "gw2", 1, nil, time.Now()).Succeed(time.Now(), time.Now().Add(time.Hour)); !errors.Is(err, siteca.ErrNoCAKey) {
		t.Errorf("without the CA's key: got %v, want %v", err, siteca.ErrNoCAKey)
	}
}

func der(t *testing.T, data []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("no certificate in PEM form")
	}
	return block.Bytes
}

// A node that holds the CA's key renews its own certificate that ended while it was off:
// of the same key, for the same name and generation. Any other certificate stays.
func TestAnEndedCertificateIsRenewedByWhoHoldsTheCAsKey(t *testing.T) {
	began := time.Now().Add(-siteca.NodeLife - 24*time.Hour)
	ca, err := siteca.New("blue", began)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, csr, err := siteca.NewRequest("gw1", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended, err := ca.Sign(csr, "gw1", 3, began)
	if err != nil {
		t.Fatal(err)
	}
	put := func(file string, data []byte) {
		t.Helper()
		if err := siteca.WriteFile(filepath.Join(siteca.Folder(dir), file), data); err != nil {
			t.Fatal(err)
		}
	}
	put(siteca.CertFile, ended)
	put(siteca.KeyFile, key)
	if _, err := siteca.RenewOwn(dir, "blue", "gw1", nil, time.Now()); err == nil {
		t.Error("without the CA it is renewed")
	}
	if err := ca.Save(siteca.CAFolder(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := siteca.OpenKeys(dir, "blue", "gw1"); err == nil {
		t.Fatal("an ended certificate is in order; this test shows nothing")
	}
	for what, x := range map[string][2]string{"another node": {"blue", "gw2"}, "another cluster": {"green", "gw1"}} {
		if _, err := siteca.RenewOwn(dir, x[0], x[1], nil, time.Now()); err == nil {
			t.Errorf("it is renewed for %s", what)
		}
	}
	k, err := siteca.RenewOwn(dir, "blue", "gw1", []string{"gate.test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(ended, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := k.Certificate().Leaf
	if k.Generation() != 3 || !bytes.Equal(leaf.RawSubjectPublicKeyInfo, pair.Leaf.RawSubjectPublicKeyInfo) || leaf.VerifyHostname("gate.test") != nil {
		t.Errorf("got generation %d for %v; want 3, of the same key, for gate.test", k.Generation(), leaf.DNSNames)
	}
	if _, err := siteca.RenewOwn(dir, "blue", "gw1", nil, time.Now()); err == nil {
		t.Error("one that has not ended is renewed")
	}
}
