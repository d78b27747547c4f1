package model

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/anishathalye/porcupine"

	"sitegate/license"
)

// Op is what was asked.
type Op string

// The operations. Start, CheckOut, Stop, Return, Beat and Wait are requests of clients;
// Expire and End are what time does, see Expiry and End.
const (
	Start    Op = "start"
	Beat     Op = "beat" // a heartbeat
	Stop     Op = "stop"
	Expire   Op = "expire"
	CheckOut Op = "checkout"
	Return   Op = "return"
	End      Op = "end" // of a checkout, by its date
	Wait     Op = "wait"
)

// Input is one operation of one user.
type Input struct {
	Op      Op
	User    license.UserID
	ID      license.ID        // of the session or checkout
	Product license.ProductID // of Start and CheckOut
	Machine license.Machine   // of all but Expire and End
}

// Output is what came of it: granted, denied with a reason, or unknown.
type Output struct {
	Unknown bool
	Denied  license.Reason // empty: granted
	// Active is the machine that a machine-active denial named. Empty: it was not
	// told, and any will do.
	Active string
	// Free is what a granted Wait said: that nothing stands in the way.
	Free bool
}

// Granted is the output of what was done.
func Granted() Output { return Output{} }

// Denied is the output of what was refused.
func Denied(r license.Reason) Output { return Output{Denied: r} }

// Unknown is the output of what was never answered.
func Unknown() Output { return Output{Unknown: true} }

// Site is what the model's users have: the records of the mirror that a history
// ran upon, and the site's settings.
type Site struct {
	Records  []license.Change
	Settings license.Settings
}

// moment is when everything happens.
const moment license.Time = 1_000_000_000_000

// state is the part of the site that concerns one user; zero before the first
// operation tells whose it is.
type state struct {
	rules *license.State
	mark  string // equal marks are equal futures
}

// New returns the model of a site. Its inputs are Input, its outputs Output.
func New(site Site) porcupine.Model {
	m := &model{site: site, users: map[license.UserID]state{}, decided: map[question]answer{}}
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Partition: byUser,
		Init:      func() any { return state{} },
		Step: func(before, input, output any) (bool, any) {
			return m.step(before.(state), input.(Input), output.(Output))
		},
		Equal:             func(a, b any) bool { return a.(state).mark == b.(state).mark },
		Hash:              func(s any) uint64 { return maphash.String(seed, s.(state).mark) },
		DescribeOperation: func(in, out any) string { return in.(Input).String() + ": " + out.(Output).String() },
		DescribeState:     func(s any) string { return s.(state).mark },
	}
}

func byUser(history []porcupine.Operation) [][]porcupine.Operation {
	users := map[license.UserID][]porcupine.Operation{}
	var order []license.UserID
	for _, op := range history {
		user := op.Input.(Input).User
		if users[user] == nil {
			order = append(order, user)
		}
		users[user] = append(users[user], op)
	}
	parts := make([][]porcupine.Operation, 0, len(order))
	for _, user := range order {
		parts = append(parts, users[user])
	}
	return parts
}

// model remembers what the rules decide: the search for an order asks the same of
// equal states again and again, of several users at the same time.
type model struct {
	site Site

	mu      sync.Mutex
	users   map[license.UserID]state // before their first operation
	decided map[question]answer
}

type question struct {
	mark string
	in   Input
}

type answer struct {
	denial *license.Denial
	repeat bool
	after  state
}

// decide asks the rules.
func (m *model) decide(before state, in Input) answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := question{before.mark, in}
	a, known := m.decided[q]
	if known {
		return a
	}
	if in.Op == Wait {
		start := license.Start{ID: in.ID, User: in.User, Product: in.Product, Machine: in.Machine, Agreed: true}
		a = answer{denial: license.Check(before.rules, moment, start), after: before}
	} else if in.Op == Beat {
		lease := license.Renew(before.rules, moment, license.Renewal{Session: in.ID, User: in.User, Machine: in.Machine})
		a = answer{denial: lease.Denial, after: before}
	} else {
		rules := before.rules.Clone()
		out, _ := license.Apply(rules, license.Entry{At: moment, Command: command(before.rules, in)})
		a = answer{denial: out.Denial, repeat: out.Repeat, after: before}
		if out.Denial == nil {
			a.after = state{rules, mark(rules, in.User)}
		}
	}
	m.decided[q] = a
	return a
}

// begin is the user's state before the first operation.
func (m *model) begin(user license.UserID) state {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, known := m.users[user]
	if !known {
		s = m.site.begin(user)
		m.users[user] = s
	}
	return s
}

// step says whether the answer is one the rules could have given, and what is
// then.
func (m *model) step(before state, in Input, out Output) (bool, state) {
	if before.rules == nil {
		before = m.begin(in.User)
	}
	got := m.decide(before, in)
	switch {
	case out.Unknown:
		return true, got.after
	case in.Op == Wait:
		return !out.Free || got.denial == nil, before
	case out.Denied == "":
		return got.denial == nil, got.after
	case ofTime(out.Denied), got.repeat && forgotten(in.Op, out.Denied):
		return true, before
	case got.denial == nil || got.denial.Reason != out.Denied:
		return false, before
	}
	named := out.Active == "" || got.denial.Machine.Is(license.Machine{Name: out.Active})
	return named, before
}

// begin is the user before the first operation, without what depends on time.
func (site *Site) begin(user license.UserID) state {
	s := license.NewState()
	apply := func(c license.Command) {
		if out, _ := license.Apply(s, license.Entry{At: moment, Command: c}); out.Denial != nil {
			panic(fmt.Sprintf("the site's records are refused: %s", out.Denial.Reason))
		}
	}
	settings := site.Settings
	settings.CheckoutMax = 0
	apply(license.Configure{Settings: settings})
	for change := range slices.Values(site.Records) {
		switch {
		case change.User != nil && change.User.ID == user, change.Product != nil:
		case change.License != nil && change.License.Assignee == user:
			timeless := *change.License
			timeless.Starts, timeless.Ends = 0, 0
			change.License = &timeless
		default:
			continue
		}
		apply(license.Mirror{From: s.Head().Cursor, Cursor: s.Head().Cursor + ".", Changes: []license.Change{change}})
	}
	return state{s, mark(s, user)}
}

// command is the operation as an entry of the log. Who expires or ends something
// does not say of which generation or machine: the state knows.
func command(s *license.State, in Input) license.Command {
	switch in.Op {
	case Start:
		return license.Start{ID: in.ID, User: in.User, Product: in.Product, Machine: in.Machine, Agreed: true}
	case Stop:
		return license.Stop{ID: in.ID, User: in.User, Machine: in.Machine}
	case Expire:
		c := license.Expire{ID: in.ID}
		if x := s.Session(in.ID); x != nil {
			c.Generation = x.Generation
		}
		return c
	case CheckOut:
		return license.CheckOut{ID: in.ID, User: in.User, Product: in.Product, Machine: in.Machine, Agreed: true, Until: moment + 1}
	case Return:
		return license.Return{ID: in.ID, User: in.User, Machine: in.Machine}
	case End:
		c := license.Return{ID: in.ID, User: in.User, Machine: in.Machine}
		if x := s.Checkout(in.ID); x != nil {
			c.Machine = x.Machine
		}
		return c
	}
	panic(fmt.Sprintf("%q is not an operation", in.Op))
}

// ofTime reports whether a denial depends on when, or on what the model does not
// have.
func ofTime(r license.Reason) bool {
	switch r {
	case license.TooLate, license.KeptForWaiter, license.CloudNeeded, license.LicenseEnded, license.LicenseNotStarted,
		license.CheckoutInPast, license.CheckoutTooLong:
		return true
	}
	return false
}

// forgotten reports whether a denial says that an id is not known, which becomes
// true of every id that has ended.
func forgotten(op Op, r license.Reason) bool {
	return op == Stop && r == license.UnknownSession || op == Return && r == license.UnknownCheckout
}

// mark is all of the state that later answers depend on.
func mark(s *license.State, user license.UserID) string {
	var b strings.Builder
	if a := s.Active(user); a != nil {
		for i := range a.Sessions {
			x := &a.Sessions[i]
			fmt.Fprintf(&b, "%v %s/%s on %v holds=%v under=%v renewable=%v; ", x.ID, x.Product, x.License, x.Machine, x.Holds,
				x.UnderCheckout, x.Renewable(moment))
		}
		for i := range a.Checkouts {
			x := &a.Checkouts[i]
			fmt.Fprintf(&b, "out %v %s/%s on %v; ", x.ID, x.Product, x.License, x.Machine)
		}
	}
	for _, k := range s.Keys() {
		if k.Kind == license.KeyTombstone {
			fmt.Fprintf(&b, "ended %x; ", k.ID)
		}
	}
	return b.String()
}

func (in Input) String() string {
	text := string(in.Op) + " " + in.ID.String()
	if in.Product != "" {
		text += " " + string(in.Product)
	}
	if in.Machine.Name != "" {
		text += " on " + in.Machine.Name
	}
	return text
}

func (out Output) String() string {
	switch {
	case out.Unknown:
		return "unknown"
	case out.Free:
		return "free"
	case out.Denied == "":
		return "granted"
	case out.Active != "":
		return string(out.Denied) + " (" + out.Active + ")"
	}
	return string(out.Denied)
}
