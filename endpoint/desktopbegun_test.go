package endpoint

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// withSecond gives ada 1300, too.
func (d *desktopRig) withSecond(t *testing.T) {
	t.Helper()
	d.cloud.PutProduct(cloudapi.Product{ID: "1300", Name: "Other", Capped: cloudapi.CappedYes})
	d.cloud.PutLicense(cloudapi.License{ID: "l-9", ProductID: "1300", Kind: cloudapi.LicenseVirtuoso, StartsAt: time.Now().AddDate(0, 0, -1), EndsAt: time.Now().AddDate(1, 0, 0), AssignedTo: "ada"})
	d.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{Product: &license.Product{ID: "1300", Capped: license.CappedYes}},
		{License: &license.License{ID: "l-9", Product: "1300", Assignee: "ada"}},
	}})
}

// forgetful is a gateway that starts a product and says that it does not know: its client
// leaves then.
type forgetful struct {
	Gateway
	product license.ProductID
	during  func() // before it says so; may be nil
	stops   chan error
}

func (f *forgetful) StartRelayed(ctx context.Context, c license.Start) (gateway.Answer, error) {
	a, err := f.Gateway.StartRelayed(ctx, c)
	if c.Product != f.product {
		return a, err
	}
	if f.during != nil {
		f.during()
	}
	return gateway.Answer{}, gateway.ErrUnknown
}

func (f *forgetful) Stop(ctx context.Context, c license.Stop) (gateway.Answer, error) {
	err := ctx.Err()
	if err == nil {
		_, err = f.Gateway.Stop(ctx, c)
	}
	f.stops <- err
	return gateway.Answer{}, err
}

// What was begun is ended when the answer does not leave, also where nobody knows what came
// of it, or the client has left by then.
func TestWhatWasBegunIsEndedThoughItsClientHasLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	f := &forgetful{product: "1300", during: leave, stops: make(chan error, 4)}
	d := newDesktopRig(t, func(c *Config) { f.Gateway, c.Gateway = c.Gateway, f })
	d.withSecond(t)
	x := &exchange{call: &call{ctx: ctx, w: &recorder{}, r: httptest.NewRequest("POST", getPolicy, nil)}, desk: desk{user: "ada"}, machine: license.Machine{Name: "WS-101"}}
	err := d.e.relay.begin(x, []allowed{{wanted: wanted{product: "1234"}}, {wanted: wanted{product: "1300"}}})
	if !errors.Is(err, gateway.ErrUnknown) {
		t.Errorf("%v, want %v", err, gateway.ErrUnknown)
	}
	for range 2 {
		if err := <-f.stops; err != nil {
			t.Errorf("a stop: %v", err)
		}
	}
	if got := d.sessions("ada"); len(got) != 0 {
		t.Errorf("ada has %v, want nothing", got)
	}
}

// A session that another request of the machine goes on with is not ended with the answer that
// it was begun for.
func TestWhatAnotherAnswerHasLeftWithIsNotEnded(t *testing.T) {
	f := &forgetful{product: "1300", stops: make(chan error, 4)}
	d := newDesktopRig(t, func(c *Config) { f.Gateway, c.Gateway = c.Gateway, f })
	d.withSecond(t)
	exchangeOf := func() *exchange {
		return &exchange{call: &call{ctx: t.Context(), w: &recorder{}, r: httptest.NewRequest("POST", getPolicy, nil)}, desk: desk{user: "ada"}, machine: license.Machine{Name: "WS-101"}}
	}
	f.during = func() {
		if err := d.e.relay.begin(exchangeOf(), []allowed{{wanted: wanted{product: "1234"}}}); err != nil {
			t.Error(err)
		}
	}
	if err := d.e.relay.begin(exchangeOf(), []allowed{{wanted: wanted{product: "1234"}}, {wanted: wanted{product: "1300"}}}); err == nil {
		t.Error("an answer leaves for which nobody knows whether its session was begun")
	}
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
	if n := len(d.e.relay.begun.known); n != 0 {
		t.Errorf("%d beginnings are remembered, want none", n)
	}
}

// What is refused is asked for first: nothing is begun for an answer that does not leave.
func TestNothingIsBegunForWhatIsRefused(t *testing.T) {
	d := newDesktopRig(t)
	d.withSecond(t)
	d.node.do(t, license.Configure{Settings: license.Settings{Relay: true, SessionScope: license.ScopeLicense}})
	d.cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1300")
	before := d.head().Seq
	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "1234", "1300"), 409, "machine-active")
	d.node.set(func() {
		for _, fact := range d.node.facts {
			if x, ok := fact.(license.Stopped); ok {
				t.Errorf("since %d, %s was begun and stopped", before, x.Session.Product)
			}
		}
	})
}

// Who comes while a session is being ended waits for that, and begins anew.
func TestASessionThatIsBeingEndedIsNotGoneOnWith(t *testing.T) {
	b, id := newBeginnings(), license.ID{1}
	b.begin(id)
	b.end(id, func() error {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if b.use(gone, id) {
			t.Error("it is gone on with while it is being ended")
		}
		return nil
	})
	if len(b.known) > 0 || !b.use(t.Context(), id) {
		t.Errorf("%d are remembered once it is over", len(b.known))
	}
}
