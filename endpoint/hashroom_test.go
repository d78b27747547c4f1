package endpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
)

// One is in, a few wait, the next is told to come back at once, and who goes away leaves
// their place.
func TestAFewWaitForARoomAndTheNextComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHashRoom()
		leave, err := h.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		in, left := make(chan func(), hashesWaiting), make(chan error, 1)
		for i := range hashesWaiting {
			go func() {
				ctx := t.Context()
				if i == 0 {
					ctx = gone
				}
				if leave, err := h.enter(ctx); err != nil {
					left <- err
				} else {
					in <- leave
				}
			}()
		}
		synctest.Wait()
		busy := func() bool {
			_, err := h.enter(t.Context())
			var tr *trouble
			return errors.As(err, &tr) && tr.code == api.CodeTooMany && tr.after > 0
		}
		if !busy() {
			t.Error("with all places taken the next one waits, too")
		}
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone: %v", err)
		}
		go func() {
			if leave, err := h.enter(t.Context()); err == nil {
				in <- leave
			}
		}()
		synctest.Wait()
		if !busy() {
			t.Error("the place of who has gone was not taken by one only")
		}
		leave()
		for range hashesWaiting {
			(<-in)()
		}
		if h.waiting.Load() != 0 || len(h.place) != 0 {
			t.Errorf("in the end %d wait and %d are in", h.waiting.Load(), len(h.place))
		}
	})
}

// While strangers guess as fast as they can, who tries from where the account has signed in
// before is let in, and who is signed in sets passwords. A stranger is told when to come
// back, and it is not held against them.
func TestGuessersKeepNobodyOut(t *testing.T) {
	r := withAccount(t, "admin")
	in := map[string]string{"name": "ivo", "password": goodPassword}
	guessers := r.e.passwords.strangers
	flood := func() (over func()) {
		guessers.place <- struct{}{}
		guessers.waiting.Add(hashesWaiting)
		return func() { guessers.waiting.Add(-hashesWaiting); <-guessers.place }
	}
	over := flood()
	for range attemptsFree + 2 {
		if a := r.form(t, signInPath, in); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || len(a.Cookies()) > 0 {
			t.Errorf("a stranger: %d %v; want when to come back", a.StatusCode, a.Header)
		}
	}
	r.want(t, 204, "", "POST", api.PathAccounts+"/ivo/reset", api.LocalAccountRequest{Role: "admin", Password: goodPassword}, r.asAdmin(t, "ida", "all"))
	over()
	signedIn(t, r.form(t, signInPath, in))
	defer flood()()
	soon := time.Now().Add(time.Minute) // so that a pause of a second is not over before it is looked at
	for range 2 * attemptsFree {        // others guess at the account
		r.e.door.attempts.try(soon, "ivo", "192.0.2.1/32")
		r.e.door.attempts.try(soon, "ivo", "192.0.2.2/32")
	}
	if r.e.door.attempts.wait(time.Now(), "ivo", "192.0.2.3/32") == 0 {
		t.Error("nothing keeps guessers from elsewhere waiting")
	}
	signedIn(t, r.form(t, signInPath, in))
}

// Where an account has signed in, only what comes from there counts against it; for a month.
func TestAnAccountIsAtHomeWhereItHasSignedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		a.signedIn(time.Now(), "ivo", "192.0.2.1", nil)
		for range 5 {
			a.try(time.Now(), "ivo", "198.51.100.1")
		}
		if wait := a.wait(time.Now(), "ivo", "192.0.2.1"); wait != 0 {
			t.Errorf("its owner waits %v at home for what others do", wait)
		}
		if a.wait(time.Now(), "ivo", "192.0.2.2") == 0 || a.wait(time.Now(), "ann", "192.0.2.1") != 0 {
			t.Error("from elsewhere the account does not wait, or another one does at its home")
		}
		for range attemptsFree {
			a.try(time.Now(), "ivo", "192.0.2.1")
		}
		if wait := a.wait(time.Now(), "ivo", "192.0.2.1"); wait == 0 {
			t.Error("who guesses at its home does not wait")
		}
		// Another account's owner at that address does not wait for it, and what is guessed
		// elsewhere is not forgiven by who signs in here.
		if wait := a.wait(time.Now(), "ann", "192.0.2.1"); wait != 0 {
			t.Errorf("another account waits %v for what was guessed there", wait)
		}
		before := a.wait(time.Now(), "ivo", "192.0.2.2")
		a.signedIn(time.Now(), "ivo", "192.0.2.1", nil)
		if after := a.wait(time.Now(), "ivo", "192.0.2.2"); after != before || a.wait(time.Now(), "ivo", "192.0.2.1") != 0 {
			t.Errorf("after a sign-in at home, elsewhere waits %v, want %v as before, and nothing at home", after, before)
		}
		time.Sleep(homesKept)
		if a.home(time.Now(), "ivo", "192.0.2.1") {
			t.Error("it is at home for ever")
		}
		for i := range 2 * maxHomes {
			time.Sleep(time.Second)
			a.signedIn(time.Now(), "ivo", string(rune('a'+i)), nil)
		}
		if len(a.homes) != maxHomes || !a.home(time.Now(), "ivo", string(rune('a'+2*maxHomes-1))) {
			t.Errorf("%d are remembered, want the latest %d", len(a.homes), maxHomes)
		}
	})
}

// Two who sign in to an account at once, both for the first time from there, leave nothing that
// counts: neither against the address nor against the account.
func TestTwoFirstSignInsAtOnceLeaveNothingCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		one, wait := a.try(time.Now(), "ivo", "192.0.2.1")
		two, more := a.try(time.Now(), "ivo", "192.0.2.1")
		if wait != 0 || more != 0 {
			t.Fatalf("they wait %v and %v", wait, more)
		}
		time.Sleep(time.Second)
		a.signedIn(time.Now(), "ivo", "192.0.2.1", one)
		a.signedIn(time.Now(), "ivo", "192.0.2.1", two)
		if len(a.known) != 0 {
			t.Errorf("counted is %+v", a.known)
		}
		// Of three at once, the one whose password is wrong stays counted, and nothing else.
		one, _ = a.try(time.Now(), "ann", "192.0.2.2")
		if _, wait := a.try(time.Now(), "ann", "192.0.2.2"); wait != 0 {
			t.Fatalf("the second waits %v", wait)
		}
		three, wait := a.try(time.Now(), "ann", "192.0.2.2")
		if wait != 0 {
			t.Fatalf("the third waits %v", wait)
		}
		a.signedIn(time.Now(), "ann", "192.0.2.2", three)
		a.signedIn(time.Now(), "ann", "192.0.2.2", one)
		for _, key := range []string{"account ann", "address 192.0.2.2"} {
			if x := a.known[key]; x == nil || x.failed != 1 {
				t.Errorf("by %s there is %+v, want one that failed", key, x)
			}
		}
		if len(a.known) != 2 {
			t.Errorf("counted is %+v", a.known)
		}
	})
}

// Who has no account yet is counted by address alone: a stranger at the page for the first
// one keeps nobody else from it.
func TestTheFirstAccountsPageIsCountedByAddress(t *testing.T) {
	a := newAttempts()
	now := time.Now()
	for range 2 * attemptsFree {
		a.try(now, "", "198.51.100.1")
	}
	if a.wait(now, "", "198.51.100.1") == 0 {
		t.Error("who guesses there does not wait")
	}
	if wait := a.wait(now, "", "192.0.2.1"); wait != 0 {
		t.Errorf("who comes from elsewhere waits %v", wait)
	}
}
