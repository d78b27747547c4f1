package egress

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseChallenges(t *testing.T) {
	tests := []struct{ in, want string }{
		{`Basic realm="a, b"`, `[{Basic map[realm:a, b]}]`},
		{`Negotiate, NTLM`, `[{Negotiate map[]} {NTLM map[]}]`},
		{`Negotiate oRUw/6+==, Basic Realm=x, charset="UTF-8"`, `[{Negotiate map[:oRUw/6+==]} {Basic map[charset:UTF-8 realm:x]}]`},
		{`Digest realm="q\"x", qop="auth,auth-int" , Basic`, `[{Digest map[qop:auth,auth-int realm:q"x]} {Basic map[]}]`},
		{`,, Basic realm = "x" ,`, `[{Basic map[realm:x]}]`},
		{`Basic realm="open`, `[{Basic map[realm:open]}]`},
		{`="x"`, `[]`},
		{``, `[]`},
		{"\x00\xff", `[]`},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(parseChallenges([]string{tt.in})); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Digest realm="q\"x", qop="auth,auth-int" , Basic`)
	f.Add(`Negotiate oRUw/6+==, NTLM`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges([]string{s, s}) {
			if c.scheme == "" || len(c.scheme) > len(s) {
				t.Errorf("%q: got scheme %q", s, c.scheme)
			}
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		try := func(secret string, v verdict) error {
			c, err := b.acquire(t.Context(), secret)
			if err == nil {
				b.settle(c, v)
			}
			return err
		}
		var locked *lockedError
		for range 2 {
			if err := try("a", rejected); err != nil {
				t.Fatal(err)
			}
		}
		if err := try("a", accepted); !errors.As(err, &locked) {
			t.Fatalf("after two rejections: got %v, want it not to be sent", err)
		}
		time.Sleep(lockout - time.Second)
		if err := try("a", accepted); !errors.As(err, &locked) {
			t.Fatalf("just before ten minutes: got %v, want it not to be sent", err)
		}
		time.Sleep(2 * time.Second)
		if err := try("a", rejected); err != nil {
			t.Fatalf("after ten minutes: got %v, want one try", err)
		}
		if err := try("a", accepted); !errors.As(err, &locked) {
			t.Fatalf("after that try failed: got %v, want it not to be sent", err)
		}
		if err := try("b", accepted); err != nil {
			t.Fatalf("another secret: got %v, want it to be sent at once", err)
		}

		// A proven secret may be sent many times at once, an unproven one only once.
		c1, _ := b.acquire(t.Context(), "b")
		c2, err := b.acquire(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		b.settle(c1, rejected)
		b.settle(c2, unsettled)
		probe, _ := b.acquire(t.Context(), "b")
		done := make(chan error, 1)
		go func() { done <- try("b", unsettled) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("a second one went ahead (%v) while the first was out", err)
		default:
		}
		b.settle(probe, accepted)
		if err := <-done; err != nil {
			t.Errorf("got %v, want it to go ahead once the first was accepted", err)
		}
	})
}
