package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func (s *site) checkOut(t *testing.T, c license.CheckOut) license.Outcome {
	t.Helper()
	c.User, c.Product = "ada", "road"
	a, err := s.CheckOut(context.Background(), c)
	if err != nil {
		t.Fatalf("checkout on %s: %v", c.Machine.Name, err)
	}
	return a.Outcome
}

func TestCheckoutWithoutAnEndIsWhatTheCloudAgreedTo(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		want := s.log.Now().Add(license.DefaultCheckout)
		out := s.checkOut(t, license.CheckOut{ID: license.ID{1}, Machine: ws101, By: "ida", Note: "goes to sea"})
		if out.Denial != nil || out.Checkout.Until != want || out.Checkout.By != "ida" {
			t.Fatalf("got %+v (%+v), want it until %v by ida", out.Checkout, out.Denial, want)
		}
		if h := s.books.holds[license.ID{1}]; h.Until != want {
			t.Fatalf("the cloud keeps it until %v, want %v", h.Until, want)
		}
		time.Sleep(time.Second)
		out = s.checkOut(t, license.CheckOut{ID: license.ID{1}, Machine: ws101})
		if !out.Repeat || out.Checkout.Until != want || s.books.holds[license.ID{1}].Until != want {
			t.Fatalf("asked again: got %+v, and %v in the cloud's books; want it as it was", out, s.books.holds[license.ID{1}].Until)
		}
	})
}

func TestCheckoutsUserIsTold(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.checkOut(t, license.CheckOut{ID: license.ID{1}, Machine: ws101, Until: s.log.Now().Add(25 * time.Hour)})
		for half, want := range []int{0, 0, 1, 1} {
			if got := s.facts(func(f license.Fact) bool { _, ok := f.(license.CheckoutEnding); return ok }); got != want {
				t.Errorf("told %d times after %d half hours, want %d", got, half, want)
			}
			time.Sleep(30*time.Minute + 2*time.Second)
			synctest.Wait()
		}
	})
}

func TestWrittenOffCheckoutIsFreeWhenTheCloudHasItNoMore(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.checkOut(t, license.CheckOut{ID: license.ID{1}, Machine: ws101})
		s.books.set(func() { s.books.mute = true })
		a, err := s.WriteOff(context.Background(), license.WriteOff{Checkout: license.ID{1}, By: "ida", Note: "left on a train"})
		if err != nil || a.Outcome.Denial != nil || a.Outcome.Checkout.WrittenOff == nil {
			t.Fatalf("got %+v, %v", a.Outcome, err)
		}
		blocks := func(when string) {
			t.Helper()
			time.Sleep(2 * renewEvery)
			synctest.Wait()
			wantDenied(t, s.start(t, 2, ws202), license.MachineActive)
			if _, held := s.books.holds[license.ID{1}]; !held {
				t.Fatalf("%s: the site has given it back to the cloud by itself", when)
			}
		}
		blocks("the cloud does not say")
		s.books.set(func() { s.books.mute = false })
		blocks("the cloud still has it")
		s.books.set(func() { delete(s.books.holds, license.ID{1}) })
		time.Sleep(renewEvery)
		synctest.Wait()
		wantGranted(t, s.start(t, 3, ws202), false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.CheckedIn); return ok }); n != 1 {
			t.Errorf("checked in %d times, want once", n)
		}
		if len(s.books.usage) != 1 {
			t.Errorf("the cloud has %d usage records, want that of the checkout alone", len(s.books.usage))
		}
		for record, n := range s.books.usage {
			if n != 1 {
				t.Errorf("%s was delivered %d times, want once", record, n)
			}
		}
	})
}

// A checkout of the vendor's that was written off before the cloud was told of it is not taken
// for checked in: its machine has the file, and runs on it.
func TestAnImportedCheckoutIsInTheBooksBeforeItIsCheckedIn(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		c := license.CheckOut{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Until: s.Now().Add(48 * time.Hour), By: "ida", Imported: true}
		if a, err := s.ImportCheckout(ctx, c); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("imported: got %+v, %v", a.Outcome, err)
		}
		if a, err := s.WriteOff(ctx, license.WriteOff{Checkout: c.ID, By: "ida", Note: "overboard"}); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("written off: got %+v, %v", a.Outcome, err)
		}
		s.books.set(func() { s.books.down = false })
		s.wait(2 * renewEvery)
		wantDenied(t, s.start(t, 2, ws202), license.MachineActive)
		if h, held := s.books.holds[c.ID]; !held || !h.WrittenOff {
			t.Fatalf("the cloud has %+v, want the checkout, and by now that it was written off", s.books.holds)
		}
		s.books.set(func() { delete(s.books.holds, c.ID) })
		s.wait(renewEvery)
		wantGranted(t, s.start(t, 3, ws202), false)
	})
}

// Nor while the cloud does not agree to it, and so does not have it.
func TestAnImportedCheckoutThatTheCloudRefusesIsNotCheckedIn(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		s.books.set(func() { s.books.gone = map[license.LicenseID]bool{"L1": true} })
		c := license.CheckOut{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Until: s.Now().Add(48 * time.Hour), By: "ida", Imported: true}
		if a, err := s.ImportCheckout(ctx, c); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("imported: got %+v, %v", a.Outcome, err)
		}
		s.wait(2 * renewEvery)
		if a, err := s.WriteOff(ctx, license.WriteOff{Checkout: c.ID, By: "ida", Note: "overboard"}); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("written off: got %+v, %v", a.Outcome, err)
		}
		s.wait(2 * renewEvery)
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.CheckedIn); return ok }); n != 0 {
			t.Error("what the cloud never had was checked in")
		}
	})
}

// What the cloud does not have for another reason is not checked in.
func TestOnlyWhatIsWrittenOffIsCheckedIn(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.checkOut(t, license.CheckOut{ID: license.ID{1}, Machine: ws101})
		s.books.set(func() { clear(s.books.holds) })
		time.Sleep(2 * renewEvery)
		synctest.Wait()
		wantDenied(t, s.start(t, 2, ws202), license.MachineActive)
		if s.books.holds[license.ID{1}].Ref != (license.ID{1}) {
			t.Errorf("the cloud has %+v, want the checkout again", s.books.holds)
		}
	})
}
