package endpoint

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// onCurve is a machine whose keystore has P-256 only, as a TPM.
func onCurve(t testing.TB, r *rig, user string, m api.Machine) *seat {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newSeat(t, user, m).with(func(s *seat) { s.key = ec })
	if a := s.bind(t, r); a.StatusCode != 200 {
		t.Fatalf("binding the P-256 key of %s: %d %s", m.Name, a.StatusCode, a.raw)
	}
	return s
}

// A key on P-256 is shown whole, in one form, and signs in the form of JWS alone: points
// beside the curve, numbers out of range and other encodings are nobody's.
func TestAKeyOnP256IsTakenInOneFormOnly(t *testing.T) {
	r := newRig(t, filled(t))
	ben := onCurve(t, r, "ben", ws202)
	good := ben.token(t)
	r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + good})
	parts := strings.Split(good, ".")
	jwk := func(change func(head, jwk map[string]any)) string {
		var h map[string]any
		if err := json.Unmarshal(unbase64(t, parts[0]), &h); err != nil {
			t.Fatal(err)
		}
		change(h, h["jwk"].(map[string]any))
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b) + "." + parts[1] + "." + parts[2]
	}
	number := func(k map[string]any, name string) []byte { return unbase64(t, k[name].(string)) }
	sig := unbase64(t, parts[2])
	n := elliptic.P256().Params().N
	signed := func(b []byte) string {
		return parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(b)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ token, why string }{
		"a point beside the curve": {jwk(func(_, k map[string]any) {
			y := number(k, "y")
			y[31] ^= 1
			k["y"] = base64.RawURLEncoding.EncodeToString(y)
		}), "malformed"},
		"the point at infinity": {jwk(func(_, k map[string]any) {
			k["x"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32))
			k["y"] = k["x"]
		}), "malformed"},
		"a number with a zero before it": {jwk(func(_, k map[string]any) {
			k["x"] = base64.RawURLEncoding.EncodeToString(append([]byte{0}, number(k, "x")...))
		}), "malformed"},
		"a number beyond the field": {jwk(func(_, k map[string]any) {
			x := new(big.Int).SetBytes(number(k, "x"))
			k["x"] = base64.RawURLEncoding.EncodeToString(x.Add(x, elliptic.P256().Params().P).FillBytes(make([]byte, 33)))
		}), "malformed"},
		"a point without its y":      {jwk(func(_, k map[string]any) { delete(k, "y") }), "malformed"},
		"on the curve's other name":  {jwk(func(_, k map[string]any) { k["crv"] = "secp256k1" }), "malformed"},
		"as an Ed25519 key":          {jwk(func(_, k map[string]any) { k["kty"], k["crv"] = "OKP", "Ed25519"; delete(k, "y") }), "malformed"},
		"as an Ed25519 key, by name": {jwk(func(h, k map[string]any) { h["alg"], k["kty"], k["crv"] = "EdDSA", "OKP", "Ed25519"; delete(k, "y") }), "unbound"},
		"by EdDSA":                   {jwk(func(h, _ map[string]any) { h["alg"] = "EdDSA" }), "malformed"},
		"by ES384":                   {jwk(func(h, _ map[string]any) { h["alg"] = "ES384" }), "malformed"},
		"by a shared secret":         {jwk(func(h, k map[string]any) { h["alg"], k["kty"], k["k"] = "HS256", "oct", k["x"] }), "malformed"},
		"with its private key":       {jwk(func(_, k map[string]any) { k["d"] = k["x"] }), "malformed"},
		"the other point of its x": {jwk(func(_, k map[string]any) {
			y := new(big.Int).SetBytes(number(k, "y"))
			k["y"] = base64.RawURLEncoding.EncodeToString(y.Sub(elliptic.P256().Params().P, y).FillBytes(make([]byte, 32)))
		}), "unbound"},
		"by an Ed25519 key":        {ben.with(func(s *seat) { s.key = ed }).token(t), "unbound"},
		"a signature of noughts":   {signed(make([]byte, 64)), "signature"},
		"a signature of the order": {signed(append(n.FillBytes(make([]byte, 32)), n.FillBytes(make([]byte, 32))...)), "signature"},
		"a signature in DER":       {signed(der), "signature"},
		"a signature cut short":    {signed(sig[:63]), "signature"},
		"a signature with more":    {signed(append(sig[:64:64], 0)), "signature"},
		"r and s changed round":    {signed(append(sig[32:64:64], sig[:32]...)), "signature"},
	} {
		a := r.want(t, 401, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + test.token})
		if got, want := a.Header.Get("WWW-Authenticate"), `error_description="`+test.why+`"`; !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}

	// ECDSA's other s signs the same thing. It is the same caller, for the same time: a
	// token's text stands for nothing, and what is taken from the machine is its key.
	s := new(big.Int).SetBytes(sig[32:])
	other := signed(append(sig[:32:32], s.Sub(n, s).FillBytes(make([]byte, 32))...))
	want, err := r.e.auth.check(t.Context(), good, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.e.auth.check(t.Context(), other, func() error { return nil }); err != nil || !same(got, want) {
		t.Errorf("with its other s: %+v (%v), want %+v", got, err, want)
	}
	r.node.do(t, license.ForgetKey{User: "ben", Machine: license.Machine{ID: "m-202"}, By: "ida"})
	for _, token := range []string{good, other} {
		r.want(t, 401, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + token})
	}
}

// A key on P-256 is one machine's as any other is: beside Ed25519 keys, and no way past them.
func TestKeysOfBothKindsKeepEachOtherOut(t *testing.T) {
	r := newRig(t, filled(t))
	ada := bound(t, r, "ada", ws101)
	id := newUUID(t)
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101}, ada.header(t))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	moved := ada.with(func(s *seat) { s.key = ec })
	if a := moved.bind(t, r); a.StatusCode != 409 || a.problem(t).Code != string(license.MachineClone) {
		t.Errorf("a P-256 key in the place of one in use: %d %s, want %s", a.StatusCode, a.raw, license.MachineClone)
	}
	r.want(t, 204, "", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil, ada.header(t))
	// With nothing open, the machine has moved to its TPM.
	if a := moved.bind(t, r); a.StatusCode != 200 {
		t.Fatalf("a P-256 key with nothing open: %d %s", a.StatusCode, a.raw)
	}
	r.want(t, 401, "", "GET", "/v1/me", nil, ada.header(t))
	r.want(t, 201, "", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}, moved.header(t))
	if a := ada.bind(t, r); a.StatusCode != 409 || a.problem(t).Code != string(license.MachineClone) {
		t.Errorf("the old key again, while something is open: %d %s, want %s", a.StatusCode, a.raw, license.MachineClone)
	}
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same is that two tokens are of one caller, and as long.
func same(a, b Caller) bool {
	return a.User == b.User && a.Machine == b.Machine && a.Proof == b.Proof && a.Expires.Equal(b.Expires)
}
