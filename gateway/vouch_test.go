package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sitegate/license"
)

// A node that passes a request on is not believed who has asked: whoever has its certificate
// acts for nobody whose token they have not.
func TestTheLeaderBelievesTheCallerAndNotTheNode(t *testing.T) {
	story(t, believesTheCaller)
}

func believesTheCaller(t *testing.T, s *site) {
	key := license.Proof{Key: license.Digest{1}}
	known := map[string]Who{
		"ada's token":   {User: "ada", Email: "ada@firm.example"},
		"ben's token":   {User: "ben", Email: "ben@firm.example"},
		"ada's key":     {User: "ada", Email: "ada@firm.example", Machine: "m-101", Proof: key},
		"ada's old key": {User: "ada", Email: "ada@firm.example", Machine: "m-101", Proof: license.Proof{Key: license.Digest{2}}},
	}
	s.verify = func(_ context.Context, shown string) (Who, error) {
		if who, ok := known[shown]; ok {
			return who, nil
		}
		return Who{}, ErrCaller
	}
	start := func(n byte, p license.Proof) *license.Start {
		return &license.Start{ID: license.ID{n}, User: "ada", Product: "road", Machine: ws101, Email: "ada@firm.example", Proof: p}
	}
	other := *start(9, license.Proof{})
	other.Email = "ada@home.example"
	for name, r := range map[string]request{
		"nothing is shown":                    {Start: start(1, license.Proof{})},
		"a token that is none":                {Start: start(1, license.Proof{}), Proof: "x"},
		"another user's token":                {Start: start(1, license.Proof{}), Proof: "ben's token"},
		"a key that was not shown":            {Start: start(1, key), Proof: "ada's token"},
		"another key than was shown":          {Start: start(1, key), Proof: "ada's old key"},
		"a key that is kept quiet":            {Start: start(1, license.Proof{}), Proof: "ada's key"},
		"another e-mail than the token's":     {Start: &other, Proof: "ada's token"},
		"a key bound for somebody else":       {BindKey: &license.BindKey{User: "ada", Machine: ws101, Proof: key}, Proof: "ben's token"},
		"a key bound that was not shown":      {BindKey: &license.BindKey{User: "ada", Machine: ws101, Proof: key, Email: "ada@firm.example"}, Proof: "ada's token"},
		"a checkout of somebody else's":       {CheckOut: &license.CheckOut{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101}, Proof: "ben's token"},
		"a wait of somebody else's":           {Wait: &license.Wait{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101}, Proof: "ben's token"},
		"another machine's key":               {Wait: &license.Wait{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws202}, Proof: "ada's key"},
		"somebody else is signed out":         {SignOut: &license.SignOut{User: "ada", Machine: ws101}, Proof: "ben's token"},
		"somebody else's request is declined": {Decline: &license.Decline{ID: license.ID{1}, User: "ada", Machine: ws101}},
		"somebody else lets go":               {LetGo: &license.LetGo{Session: license.ID{1}, User: "ada", Machine: ws101}},
		"somebody else's wait is ended":       {EndWait: &license.EndWait{ID: license.ID{1}, User: "ada"}},
		"somebody else is asked":              {Request: &license.Request{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws202}},
		"a stop by a key that was not shown":  {Stop: &license.Stop{ID: license.ID{7}, User: "ada", Machine: ws101, Proof: key}, Proof: "ada's token"},
		"a sign-out by such a key":            {SignOut: &license.SignOut{User: "ada", Machine: ws101, Proof: key}, Proof: "ada's token"},
		"a letting go by such a key":          {LetGo: &license.LetGo{Session: license.ID{1}, User: "ada", Machine: ws101, Proof: key}, Proof: "ada's token"},
		"a return by such a key":              {Return: &license.Return{ID: license.ID{1}, User: "ada", Machine: ws101, Proof: key}, Proof: "ada's token"},
	} {
		if rep := s.pass(t, r); rep.Error != "caller" || rep.Answer != nil || !strings.Contains(rep.Text, ErrCaller.Error()) {
			t.Errorf("%s: %+v, want that the caller is not taken", name, rep)
		}
	}
	if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.Started); return ok }); n != 0 {
		t.Fatalf("%d sessions were started", n)
	}
	if rep := s.pass(t, request{Start: start(1, license.Proof{}), Proof: "ada's token"}); rep.Answer == nil || rep.Answer.Outcome.Denial != nil {
		t.Fatalf("her own start: %+v", rep)
	}
	for name, r := range map[string]request{"a stop": {Stop: &license.Stop{ID: license.ID{1}, User: "ada", Machine: ws101}},
		"a stop with another's token": {Stop: &license.Stop{ID: license.ID{1}, User: "ada", Machine: ws101}, Proof: "ben's token"}} {
		if rep := s.pass(t, r); rep.Error != "caller" {
			t.Errorf("%s: %+v", name, rep)
		}
	}
	if rep := s.pass(t, request{Stop: &license.Stop{ID: license.ID{1}, User: "ada", Machine: ws101}, Proof: "ada's token"}); rep.Answer == nil || rep.Answer.Outcome.Session == nil {
		t.Errorf("her own stop: %+v", rep)
	}
	both := request{Wait: &license.Wait{ID: license.ID{3}, User: "ada", Product: "road", Machine: ws101}, Move: &license.Move{License: "l-1", To: "ben", By: "ada"}, Proof: "ada's token"}
	if rep := s.pass(t, both); rep.Error != "error" || !strings.Contains(rep.Text, "asks for one thing") {
		t.Errorf("two things at once: %+v", rep)
	}
	// That the vendor has agreed is not a node's to say of a user's own start.
	said := start(4, license.Proof{})
	said.Relayed, said.Product = true, "road"
	if rep := s.pass(t, request{Start: said, Proof: "ada's token"}); rep.Answer == nil || rep.Answer.Outcome.Session == nil || rep.Answer.Outcome.Session.Relayed {
		t.Errorf("a start that says that it was relayed: %+v", rep)
	}
}

// A blocked machine is kept out by what it shows, whatever it calls itself: what it shows
// first while it is blocked is blocked with it, and what a host shows from which others work is
// not.
func TestWhatABlockedMachineShowsIsBlockedWithIt(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := t.Context()
		bind := func(m license.Machine, p license.Proof) *license.Denial {
			t.Helper()
			a, err := s.BindKey(ctx, license.BindKey{User: "ada", Machine: m, Proof: p})
			if err != nil {
				t.Fatal(err)
			}
			return a.Outcome.Denial
		}
		mine, hosts := license.Proof{Key: license.Digest{1}}, license.Proof{Key: license.Digest{2}, Host: "TS-1"}
		if _, err := s.Block(ctx, license.Block{Machine: ws101, By: "ida"}); err != nil {
			t.Fatal(err)
		}
		for _, p := range []license.Proof{mine, hosts, mine} {
			if d := bind(ws101, p); d == nil || d.Reason != license.MachineBlocked {
				t.Errorf("a blocked machine that shows %+v: %+v", p, d)
			}
		}
		if d := bind(ws202, mine); d == nil || d.Reason != license.MachineBlocked || d.Machine != ws101 || d.Who != "ida" {
			t.Errorf("by another name: %+v, want it blocked as %v", d, ws101)
		}
		if d := bind(ws202, hosts); d != nil {
			t.Errorf("who works on the same host from another machine: %+v", d)
		}
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.KeyBarred); return ok }); n != 1 {
			t.Errorf("%d keys were blocked, want one, once", n)
		}
		if a, err := s.Unblock(ctx, license.Unblock{Machine: ws101, By: "ida"}); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("unblocking: %+v (%v)", a.Outcome, err)
		}
		if d := bind(ws202, license.Proof{Key: mine.Key, Host: "TS-1"}); d != nil {
			t.Errorf("unblocked, by another name: %+v", d)
		}
	})
}

// The node that was asked learns that the leader has not taken what was shown, and says so.
func TestWhatTheLeaderDoesNotTakeIsSaid(t *testing.T) {
	story(t, saysWhatIsNotTaken)
}

func saysWhatIsNotTaken(t *testing.T, s *site) {
	s.verify = func(context.Context, string) (Who, error) { return Who{}, ErrCaller }
	f := &Gateway{log: forwarder{Log: s.log, to: s.Gateway}}
	ctx := WithProof(t.Context(), "ada's token")
	if _, err := f.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101}); !errors.Is(err, ErrCaller) {
		t.Errorf("got %v, want %v", err, ErrCaller)
	}
	var shown string
	s.verify = func(_ context.Context, got string) (Who, error) { shown = got; return Who{User: "ada"}, nil }
	if a, err := f.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101}); err != nil || a.Outcome.Denial != nil || shown != "ada's token" {
		t.Errorf("got %+v (%v) with %q shown", a.Outcome.Denial, err, shown)
	}
	if _, err := f.BindKey(ctx, license.BindKey{User: "ada", Machine: ws101, Proof: license.Proof{Key: license.Digest{1}}}); !errors.Is(err, ErrCaller) {
		t.Errorf("a key that was not shown is bound: %v", err)
	}
	s.verify = nil
	a, err := f.BindKey(ctx, license.BindKey{User: "ada", Machine: ws101, Proof: license.Proof{Key: license.Digest{1}}})
	if err != nil || a.Outcome.Key == nil || a.Outcome.Key.Verified == 0 {
		t.Errorf("binding a key: %+v (%v)", a.Outcome, err)
	}
	if a, err := f.ForgetKey(ctx, license.ForgetKey{User: "ada", Machine: ws101, By: "ida"}); err != nil || a.Outcome.Repeat {
		t.Errorf("forgetting it: %+v (%v)", a.Outcome, err)
	}
}
