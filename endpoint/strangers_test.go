package endpoint

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// anyPace keeps nobody waiting.
var anyPace = Rate{1e9, 1e9}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// A network whose addresses cost much is not heard, but for those who did not; a building of
// 20,000 desktops with tokens of yesterday is.
func TestStrangersAreCountedByAddressAndNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStrangers(Rate{strangerPerSecond, strangerBurst}, Rate{strangerPace, strangerAtOnce})
		nat := addr("10.1.1.1")
		atOnce, soon, later := 0, 0, 0
		for range 20_000 {
			if _, ok := s.peek(nat); !ok {
				t.Fatal("one of 20,000 who are told for the first time is not heard")
			}
			switch wait := s.pay(nat, costAnswer); {
			case wait == 0:
				atOnce++
			case wait <= strangerWait:
				soon++
			default:
				later++ // comes again
			}
		}
		inTime := strangerPace * int(strangerWait/time.Second)
		if atOnce < strangerAtOnce || atOnce > strangerAtOnce+slightBurst || soon < inTime-1 || soon > inTime+1 {
			t.Errorf("of 20,000 at the same moment %d are told at once, %d soon and %d later; want %d, %d and the rest", atOnce, soon, later, strangerAtOnce, inTime)
		}
		time.Sleep(time.Minute)
		for i := range 20_000 { // each tries again within a minute
			if i%333 == 0 {
				time.Sleep(time.Second)
			}
			if _, ok := s.peek(nat); !ok {
				t.Fatalf("number %d of those who try once a minute is not heard", i)
			}
			if wait := s.pay(nat, costAnswer); wait > 0 {
				t.Fatalf("number %d of those who try once a minute waits for %v", i, wait)
			}
		}

		flood := addr("10.2.2.1")
		for a := flood; a != addr("10.2.2.200"); a = a.Next() {
			for range strangerBurst/100 + 1 {
				s.pay(a, costForged)
			}
		}
		for _, c := range []struct {
			who, at string
			heard   bool
		}{
			{"an address of the flood", "10.2.2.77", false},
			{"one beside it that has done nothing", "10.2.2.250", true},
			{"another network", "10.2.3.1", true},
			{"the same address, mapped into IPv6", "::ffff:10.2.2.77", false},
		} {
			wait, ok := s.peek(addr(c.at))
			if ok != c.heard || !ok && (wait <= 0 || wait > time.Minute) {
				t.Errorf("%s: heard %t, in %v; want %t", c.who, ok, wait, c.heard)
			}
		}
		time.Sleep(5 * time.Second)
		if _, ok := s.peek(flood); !ok {
			t.Error("an address is not heard after it was silent: a debt is as long as what it cost")
		}

		// Who has a /64 has one voice.
		for i := range 2 * strangerBurst / costForged {
			s.pay(addr(fmt.Sprintf("2001:db8:0:1::%x", i)), costForged)
		}
		if _, ok := s.peek(addr("2001:db8:0:1:ffff::1")); ok {
			t.Error("a new address of the same /64 is heard")
		}
		if _, ok := s.peek(addr("2001:db8:0:2::1")); !ok {
			t.Error("another /64 that has done nothing is not heard")
		}
	})
}

// Who is known is served beside a flood from their own address; who is not is told when to
// come back, on a connection that ends. A path that there is not is as dear as a bad token.
func TestJunkFromOnesOwnAddressKeepsNobodyFromWork(t *testing.T) {
	r := newRig(t, filled(t))
	good := header{"Authorization": "Bearer " + r.issuer.token(t, "ada")}
	r.want(t, 200, "", "GET", "/v1/me", nil, good)
	r.e.strays = newStrangers(Rate{PerSecond: 0.001, Burst: 3}, anyPace)
	for range 3 {
		r.want(t, 404, "", "GET", "/admin.php", nil, nil)
	}
	for _, path := range []string{"/admin.php", "/v1/me", "/healthz", "/%2e%2e/etc/passwd", "/v1/sessions/a%2fb"} {
		resp := r.want(t, 429, "", "GET", path, nil, nil)
		if resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	r.want(t, 429, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + r.issuer.token(t, "ben")})
	r.want(t, 200, "", "GET", "/v1/me", nil, good)
}

// Where strangers come faster than their network may they wait for what they are told, in
// turn; who would wait for long is told to come back, and the next network does not wait.
func TestStrangersInAHurryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStrangers(Rate{strangerPerSecond, strangerBurst}, Rate{100, 50})
		at, slight := addr("10.1.1.1"), addr("10.1.1.2")
		s.pay(at, slightBurst)
		for i := range 50 {
			if wait := s.pay(at, 1); wait > 0 {
				t.Fatalf("number %d of 50 at once waits for %v", i, wait)
			}
		}
		if wait := s.pay(at, 1); wait != 10*time.Millisecond || !s.hurried(at) {
			t.Errorf("the next waits for %v, hurried %t; want 10ms, true", wait, s.hurried(at))
		}
		if wait := s.pay(at, costForged); wait != 110*time.Millisecond {
			t.Errorf("the next, with a forged token, waits for %v; want 110ms", wait)
		}
		if wait := s.pay(slight, 1); wait != 0 || s.hurried(slight) {
			t.Errorf("a neighbour who has cost nothing waits for %v", wait)
		}
		for range 100 {
			s.pay(at, costMute)
		}
		if wait := s.pay(at, 1); wait > 2*strangerWait {
			t.Errorf("a network owes for %v, want %v at most", wait, 2*strangerWait)
		}
		time.Sleep(2*strangerWait + time.Second)
		if wait := s.pay(at, 1); wait != 0 || s.hurried(at) {
			t.Errorf("after a while one waits for %v, hurried %t; want not", wait, s.hurried(at))
		}
	})
}
