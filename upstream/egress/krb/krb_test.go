package krb_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"

	"sitegate/upstream/egress/krb"
	"sitegate/upstream/egress/krb/krbtest"
)

const spn = "HTTP/proxy.corp.test"

func wantKind(t *testing.T, err error, kind krb.Kind) {
	t.Helper()
	var e *krb.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("got %v (%T), want an error of kind %d", err, err, kind)
	}
}

func TestTokensFromACacheAreEachNew(t *testing.T) {
	s := krbtest.New(t, spn, "127.0.0.1:1")
	c := krb.New(krb.Config{CacheFile: s.CacheFile, ConfigFile: s.ConfigFile})
	var last []byte
	for i := range 3 {
		token, cached, err := c.Token(t.Context(), spn, false)
		if err != nil {
			t.Fatal(err)
		}
		if cached != (i > 0) {
			t.Errorf("token %d: got cached %v", i+1, cached)
		}
		if bytes.Equal(token, last) {
			t.Error("got the same token twice, which is a replay")
		}
		last = token
		if user, err := s.Accept(token); err != nil || user != krbtest.Principal {
			t.Errorf("the service sees %q, %v, want %q", user, err, krbtest.Principal)
		}
	}
	if _, err := s.Accept(last); err == nil {
		t.Error("the service took a token twice: this test would not see a replay")
	}
}

// A cache that somebody else renews is good again without a restart.
func TestOldCacheThatIsRenewed(t *testing.T) {
	s := krbtest.New(t, spn, "127.0.0.1:1")
	fresh, err := os.ReadFile(s.CacheFile)
	if err != nil {
		t.Fatal(err)
	}
	s.Age(t)
	_, _, err = krb.New(krb.Config{CacheFile: s.CacheFile, ConfigFile: s.ConfigFile}).Token(t.Context(), spn, false)
	wantKind(t, err, krb.Unusable)
	if err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("got %v, want it to say that the tickets are too old", err)
	}
	if err := os.WriteFile(s.CacheFile, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := krb.New(krb.Config{CacheFile: s.CacheFile, ConfigFile: s.ConfigFile}).Token(t.Context(), spn, false); err != nil {
		t.Errorf("the renewed cache: got %v, want a token", err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	s := krbtest.New(t, spn, "127.0.0.1:1")
	whole, err := os.ReadFile(s.CacheFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 3, 5, 20, 100, len(whole) - 3} {
		if err := os.WriteFile(s.CacheFile, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := krb.New(krb.Config{CacheFile: s.CacheFile, ConfigFile: s.ConfigFile}).Token(t.Context(), spn, false)
		wantKind(t, err, krb.Unusable)
	}
	_, _, err = krb.New(krb.Config{Principal: krbtest.Principal, KeytabFile: s.ConfigFile, ConfigFile: s.ConfigFile}).Token(t.Context(), spn, false)
	wantKind(t, err, krb.Unusable)
	_, _, err = krb.New(krb.Config{Principal: krbtest.Principal, KeytabFile: s.KeytabFile, ConfigFile: s.ConfigFile + ".not"}).Token(t.Context(), spn, false)
	wantKind(t, err, krb.Unusable)
}

// What the KDC says is told apart, and its verdict on the secret is passed on.
func TestWhatTheKDCSays(t *testing.T) {
	for _, tt := range []struct {
		code    int32
		kind    krb.Kind
		verdict krb.Verdict
	}{
		{errorcode.KDC_ERR_PREAUTH_FAILED, krb.BadSecret, krb.Rejected},
		{errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN, krb.BadSecret, krb.Rejected},
		{errorcode.KRB_AP_ERR_SKEW, krb.ClockSkew, krb.Unsettled},
		{errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN, krb.UnknownService, krb.Unsettled},
		{errorcode.KDC_ERR_ETYPE_NOSUPP, krb.Other, krb.Unsettled},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan struct{}, 10)
		done := make(chan struct{})
		go func() { defer close(done); krbtest.KDC(ln, tt.code, asked) }()
		s := krbtest.New(t, spn, ln.Addr().String())
		var verdicts []krb.Verdict
		c := krb.New(krb.Config{Principal: krbtest.Principal, ConfigFile: s.ConfigFile, Password: func() (string, error) { return "pw", nil },
			Guard: func(_ context.Context, secret string) (func(krb.Verdict), error) {
				if secret != "pw" {
					t.Errorf("the guard was asked about %q, want the password", secret)
				}
				return func(v krb.Verdict) { verdicts = append(verdicts, v) }, nil
			}})
		begun := time.Now()
		_, _, err = c.Token(t.Context(), spn, false)
		wantKind(t, err, tt.kind)
		if len(verdicts) != 1 || verdicts[0] != tt.verdict {
			t.Errorf("code %d: got verdicts %v, want one, %v", tt.code, verdicts, tt.verdict)
		}
		first := len(asked)
		if _, _, err := c.Token(t.Context(), spn, false); err == nil || len(asked) != first && time.Since(begun) < 4*time.Second { // a failure is kept for 5 s
			t.Errorf("code %d: got %v after %d more requests, want the same answer without one", tt.code, err, len(asked)-first)
		}
		ln.Close()
		<-done
	}
}

func TestNoKDC(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	s := krbtest.New(t, spn, ln.Addr().String())
	c := krb.New(krb.Config{Principal: krbtest.Principal, ConfigFile: s.ConfigFile, KeytabFile: s.KeytabFile})
	_, _, err = c.Token(t.Context(), spn, false)
	wantKind(t, err, krb.Unreachable)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := krb.New(krb.Config{Principal: krbtest.Principal, ConfigFile: s.ConfigFile, KeytabFile: s.KeytabFile}).Token(ctx, spn, false); err == nil {
		t.Error("got a token after the context had ended")
	}
}
