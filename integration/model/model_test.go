package model_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/integration/model"
	"sitegate/license"
)

var (
	desk   = license.Machine{ID: "1", Name: "WS-101"}
	room   = license.Machine{ID: "2", Name: "WS-202"}
	laptop = license.Machine{ID: "3", Name: "LT-7"}
)

func id(n int) license.ID { return license.ID{byte(n >> 8), byte(n), 1} }

func site(users ...license.UserID) model.Site {
	s := model.Site{Records: []license.Change{
		{Product: &license.Product{ID: "micro", Capped: license.CappedYes}},
		{Product: &license.Product{ID: "stad", Capped: license.CappedYes}},
		// A license whose term is over by now is one all the same: the model has no time.
		{License: &license.License{ID: "old", Product: "micro", Ends: 1}},
	}}
	for _, u := range users {
		s.Records = append(s.Records, license.Change{User: &license.User{ID: u, Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(u + "/micro"), Product: "micro", Assignee: u, Ends: 1}},
			license.Change{License: &license.License{ID: license.LicenseID(u + "/stad"), Product: "stad", Assignee: u}})
	}
	return s
}

// diary is a history written by hand, in milliseconds.
type diary struct{ *model.History }

func (d diary) say(call, ret int, op model.Op, n int, product license.ProductID, m license.Machine, out model.Output) {
	d.Add(n, model.Input{Op: op, User: "ann", ID: id(n), Product: product, Machine: m}, out,
		time.Duration(call)*time.Millisecond, time.Duration(ret)*time.Millisecond)
}

func active(m license.Machine) model.Output {
	return model.Output{Denied: license.MachineActive, Active: m.Name}
}

func TestHistories(t *testing.T) {
	yes, lost := model.Granted(), model.Unknown()
	for _, test := range []struct {
		name     string
		tell     func(d diary)
		possible bool
	}{
		{"closed here, started there", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Start, 2, "micro", room, active(desk))
			d.say(40, 50, model.Beat, 1, "", desk, yes)
			d.say(60, 70, model.Stop, 1, "", desk, yes)
			d.say(80, 90, model.Start, 2, "stad", room, yes)
		}, true},
		{"a stop and a start at the same time, in the only order that fits", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 60, model.Stop, 1, "", desk, yes)
			d.say(30, 50, model.Start, 2, "micro", room, yes)
		}, true},
		{"a double grant", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Start, 2, "stad", room, yes)
			d.say(40, 50, model.Stop, 1, "", desk, yes)
		}, false},
		{"a double grant at the same time", func(d diary) {
			d.say(0, 30, model.Start, 1, "micro", desk, yes)
			d.say(10, 20, model.Start, 2, "micro", room, yes)
		}, false},
		{"a double grant of a checkout", func(d diary) {
			d.say(0, 10, model.CheckOut, 1, "micro", laptop, yes)
			d.say(20, 30, model.Start, 2, "micro", desk, yes)
		}, false},
		{"another license than the one that is checked out", func(d diary) {
			d.say(0, 10, model.CheckOut, 1, "micro", laptop, yes)
			d.say(20, 30, model.Start, 2, "stad", desk, yes)
			d.say(40, 50, model.Start, 3, "micro", laptop, yes)
			d.say(60, 70, model.Return, 1, "", laptop, yes)
		}, true},
		{"a lost grant, found by its stop", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Stop, 1, "", desk, model.Denied(license.UnknownSession))
		}, false},
		{"a lost grant, found by its heartbeat", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Beat, 1, "", desk, model.Denied(license.UnknownSession))
		}, false},
		{"a lost checkout", func(d diary) {
			d.say(0, 10, model.CheckOut, 1, "micro", laptop, yes)
			d.say(20, 30, model.Return, 1, "", laptop, model.Denied(license.UnknownCheckout))
		}, false},
		{"a lost stop", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Stop, 1, "", desk, yes)
			d.say(40, 50, model.Start, 2, "micro", room, active(desk))
		}, false},
		{"a refusal that names a machine that is not active", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Start, 2, "micro", room, active(laptop))
		}, false},
		{"a refusal for nothing", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, model.Denied(license.MachineActive))
		}, false},
		{"refusals of time and of the cloud are taken", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, model.Denied(license.CloudNeeded))
			d.say(20, 30, model.Start, 2, "micro", desk, model.Denied(license.TooLate))
			d.say(40, 50, model.CheckOut, 3, "micro", desk, model.Denied(license.CheckoutTooLong))
			d.say(60, 70, model.Start, 4, "micro", desk, yes)
		}, true},
		{"asked twice, done once", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Start, 1, "micro", desk, yes)
			d.say(40, 50, model.Stop, 1, "", desk, yes)
			d.say(60, 70, model.Stop, 1, "", desk, yes)
			d.say(80, 90, model.Stop, 1, "", desk, model.Denied(license.UnknownSession))
			d.say(80, 90, model.Start, 1, "micro", desk, model.Denied(license.AlreadyEnded))
		}, true},
		{"an ended id that is granted again", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Stop, 1, "", desk, yes)
			d.say(40, 50, model.Start, 1, "micro", desk, yes)
		}, false},
		{"no answer, and it had been done", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, lost)
			d.say(20, 30, model.Start, 2, "micro", room, active(desk))
			d.say(40, 50, model.Start, 1, "micro", desk, yes)
		}, true},
		{"no answer, and it had not been done", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, lost)
			d.say(20, 30, model.Start, 2, "micro", room, yes)
			d.say(40, 50, model.Stop, 2, "", room, yes)
		}, true},
		{"no answer, and it was done much later", func(d diary) {
			d.say(0, 10, model.Stop, 1, "", desk, lost)
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Start, 2, "micro", room, active(desk))
			d.say(40, 50, model.Start, 3, "micro", room, yes)
		}, true},
		{"no answer, and no excuse for a double grant", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Stop, 1, "", desk, lost)
			d.say(40, 50, model.Start, 2, "micro", room, yes)
			d.say(60, 70, model.Beat, 1, "", desk, yes)
		}, false},
		{"expired when it might", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(1000, 1010, model.Start, 2, "micro", room, active(desk))
			d.Expired(0, "ann", id(1), 3*time.Second, 4*time.Second)
			d.say(3500, 3510, model.Start, 3, "micro", room, yes)
		}, true},
		{"expired too early, seen by who was granted", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(2000, 2010, model.Start, 2, "micro", room, yes)
			d.Expired(0, "ann", id(1), 3*time.Second, 4*time.Second)
		}, false},
		{"expired too early, seen by who was told", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.Expired(0, "ann", id(1), 3*time.Second, 2*time.Second)
		}, false},
		{"expired and never started", func(d diary) {
			d.Expired(0, "ann", id(1), 3*time.Second, 4*time.Second)
		}, false},
		{"left alone, and gone when it was found", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.MayExpire(0, "ann", id(1), 3*time.Second)
			d.say(3500, 3510, model.Start, 2, "micro", room, active(desk))
			d.say(5000, 5010, model.Start, 3, "micro", room, yes)
		}, true},
		{"left alone, and gone too early", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.MayExpire(0, "ann", id(1), 3*time.Second)
			d.say(2500, 2510, model.Start, 2, "micro", room, yes)
		}, false},
		{"told that it is free when it is", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Wait, 2, "micro", room, yes)
			d.say(40, 50, model.Stop, 1, "", desk, yes)
			d.say(60, 70, model.Wait, 3, "micro", room, model.Output{Free: true})
		}, true},
		{"told that it is free when it is not", func(d diary) {
			d.say(0, 10, model.Start, 1, "micro", desk, yes)
			d.say(20, 30, model.Wait, 2, "micro", room, model.Output{Free: true})
			d.say(40, 50, model.Stop, 1, "", desk, yes)
		}, false},
		{"a checkout that ended at its date", func(d diary) {
			d.say(0, 10, model.CheckOut, 1, "micro", laptop, yes)
			d.Ended(0, "ann", id(1), 3*time.Second, 4*time.Second)
			d.say(5000, 5010, model.CheckOut, 2, "micro", desk, yes)
		}, true},
		{"a checkout that ended before its date", func(d diary) {
			d.say(0, 10, model.CheckOut, 1, "micro", laptop, yes)
			d.say(1000, 1010, model.CheckOut, 2, "micro", desk, yes)
			d.Ended(0, "ann", id(1), 3*time.Second, 4*time.Second)
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := diary{model.Begin()}
			test.tell(d)
			_, _, err := d.Check(site("ann"), time.Minute)
			if (err == nil) != test.possible {
				t.Errorf("possible: got %v (%v), want %v", err == nil, err, test.possible)
			}
		})
	}
}

// Users do not share a hold, and a history of one does not excuse another's.
func TestUsersApart(t *testing.T) {
	history := func(second license.UserID) error {
		h := model.Begin()
		h.Add(0, model.Input{Op: model.Start, User: "ann", ID: id(1), Product: "micro", Machine: desk}, model.Granted(), 0, 1)
		h.Add(1, model.Input{Op: model.Start, User: second, ID: id(2), Product: "micro", Machine: room}, model.Granted(), 2, 3)
		_, _, err := h.Check(site("ann", "bob"), time.Minute)
		return err
	}
	if err := history("bob"); err != nil {
		t.Errorf("two users on two machines: %v", err)
	}
	if err := history("ann"); !errors.Is(err, model.ErrImpossible) {
		t.Errorf("one user on two machines: got %v, want %v", err, model.ErrImpossible)
	}
}

func TestStuckNamesTheOperationsInTheWay(t *testing.T) {
	h := model.Begin()
	h.Add(0, model.Input{Op: model.Start, User: "ann", ID: id(1), Product: "micro", Machine: desk}, model.Granted(), 0, 1)
	h.Add(1, model.Input{Op: model.Start, User: "ann", ID: id(2), Product: "micro", Machine: room}, model.Granted(), 2, 3)
	h.Add(2, model.Input{Op: model.Start, User: "bob", ID: id(3), Product: "micro", Machine: room}, model.Granted(), 2, 3)
	_, info, err := h.Check(site("ann", "bob"), time.Minute)
	if !errors.Is(err, model.ErrImpossible) {
		t.Fatalf("got %v, want %v", err, model.ErrImpossible)
	}
	got := model.Stuck(h.Operations(), info)
	for _, want := range []string{"ann: 1 of 2 operations", id(2).String(), "client 1"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swant %q in it", got, want)
		}
	}
	if strings.Contains(got, "bob") {
		t.Errorf("got\n%swant nothing of bob, whose operations are in order", got)
	}
}

// Sites may hold by license: the model decides by the site's settings.
func TestSettingsDecide(t *testing.T) {
	s := site("ann")
	s.Settings.SessionScope = license.ScopeLicense
	d := diary{model.Begin()}
	d.say(0, 10, model.Start, 1, "micro", desk, model.Granted())
	d.say(20, 30, model.Start, 2, "stad", room, model.Granted())
	if _, _, err := d.Check(s, time.Minute); err != nil {
		t.Error(err)
	}
}

// server is a site in memory: the rules behind a lock, at a time that passes with
// each request.
type server struct {
	mu    sync.Mutex
	rules *license.State
	now   license.Time
}

func (s *server) do(c license.Command) model.Output {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
	out, _ := license.Apply(s.rules, license.Entry{At: s.now, Command: c})
	if out.Denial != nil {
		return model.Output{Denied: out.Denial.Reason, Active: out.Denial.Machine.Name}
	}
	return model.Granted()
}

func (s *server) ask(in model.Input) model.Output {
	switch in.Op {
	case model.Start:
		return s.do(license.Start{ID: in.ID, User: in.User, Product: in.Product, Machine: in.Machine, Agreed: true})
	case model.Stop:
		return s.do(license.Stop{ID: in.ID, User: in.User, Machine: in.Machine})
	case model.CheckOut:
		return s.do(license.CheckOut{ID: in.ID, User: in.User, Product: in.Product, Machine: in.Machine, Agreed: true, Until: 1 << 50})
	case model.Return:
		return s.do(license.Return{ID: in.ID, User: in.User, Machine: in.Machine})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := license.Renew(s.rules, s.now, license.Renewal{Session: in.ID, User: in.User, Machine: in.Machine}); l.Denial != nil {
		return model.Denied(l.Denial.Reason)
	}
	return model.Granted()
}

// Clients at the same time, some of whose questions or answers are lost: what the
// rules themselves answer is possible, and no longer so with one answer changed.
func TestConcurrentHistory(t *testing.T) {
	users := []license.UserID{"ann", "bob", "eve"}
	s := &server{rules: license.NewState(), now: 1}
	page := license.Mirror{Cursor: "1"}
	for _, c := range site(users...).Records {
		if c.License != nil {
			open := *c.License
			open.Ends = 0
			c.License = &open
		}
		page.Changes = append(page.Changes, c)
	}
	if out := s.do(page); out.Denied != "" {
		t.Fatalf("the mirror is refused: %s", out.Denied)
	}

	h := model.Begin()
	var clients sync.WaitGroup
	for client := range 6 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(client), 5))
			m, user := []license.Machine{desk, room, laptop}[client/2], users[client%2]
			var open []model.Input
			for n := range 50 {
				in := model.Input{Op: model.Start, User: user, ID: id(client<<8 | n), Machine: m, Product: "micro"}
				switch k := r.IntN(6); {
				case k > 2 && len(open) > 0:
					in = open[r.IntN(len(open))]
					over := map[model.Op]model.Op{model.Start: model.Stop, model.CheckOut: model.Return}[in.Op]
					in.Op, in.Product = over, ""
					if k == 3 && over == model.Stop {
						in.Op = model.Beat
					}
				case k == 1:
					in.Op = model.CheckOut
				case k == 2:
					in.Product = "stad"
				}
				out := h.Do(client, in, func() model.Output {
					switch r.IntN(50) {
					case 0:
						return model.Unknown() // never asked
					case 1:
						s.ask(in)
						return model.Unknown() // never answered
					}
					return s.ask(in)
				})
				if (in.Op == model.Start || in.Op == model.CheckOut) && (out.Unknown || out.Denied == "") {
					open = append(open, in)
				}
			}
		})
	}
	clients.Wait()
	if _, _, err := h.Check(site(users...), time.Minute); err != nil {
		t.Fatalf("a history of the rules themselves: %v", err)
	}

	// One grant too many.
	last := h.Now()
	h.Add(0, model.Input{Op: model.Start, User: "eve", ID: id(9001), Product: "micro", Machine: desk}, model.Granted(), last, last+1)
	h.Add(1, model.Input{Op: model.Start, User: "eve", ID: id(9002), Product: "micro", Machine: room}, model.Granted(), last+2, last+3)
	if _, _, err := h.Check(site(users...), time.Minute); !errors.Is(err, model.ErrImpossible) {
		t.Errorf("with a grant too many: got %v, want %v", err, model.ErrImpossible)
	}
}

// What an operator reads in a picture of a history.
func TestOperationsReadWell(t *testing.T) {
	m := model.New(site("ann"))
	got := m.DescribeOperation(model.Input{Op: model.Start, User: "ann", ID: id(1), Product: "micro", Machine: room}, active(desk))
	if want := fmt.Sprintf("start %v micro on WS-202: machine-active (WS-101)", id(1)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, after := m.Step(m.Init(), model.Input{Op: model.Start, User: "ann", ID: id(1), Product: "micro", Machine: room}, model.Granted())
	if got := m.DescribeState(after); !strings.Contains(got, "micro") || !strings.Contains(got, "WS-202") {
		t.Errorf("the state reads %q, want the session in it", got)
	}
}
