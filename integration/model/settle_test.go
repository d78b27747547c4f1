package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"sitegate/license"
)

// open is a history whose unknown operations are open until the end, each of them.
func open(ops []porcupine.Operation) []porcupine.Operation {
	all := slices.Clone(ops)
	for i := range all {
		if all[i].Output.(Output).Unknown {
			all[i].Return = math.MaxInt64
		}
	}
	return all
}

// Small histories at random, some possible and some not: closing them changes
// nothing of that.
func TestSettlingChangesNothingOfWhatIsPossible(t *testing.T) {
	site := Site{Records: []license.Change{
		{Product: &license.Product{ID: "micro", Capped: license.CappedYes}},
		{User: &license.User{ID: "ann", Country: "DE"}},
		{License: &license.License{ID: "ann/micro", Product: "micro", Assignee: "ann"}},
	}}
	machines := []license.Machine{{ID: "1", Name: "WS-101"}, {ID: "2", Name: "WS-202"}}
	m := New(site)
	possible, fewer := 0, 0
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var ops []porcupine.Operation
		for range 3 + r.IntN(7) {
			n := r.IntN(4) // the last two are checkouts
			in := Input{User: "ann", ID: license.ID{byte(n), 1}, Machine: machines[n%2]}
			in.Op = []Op{Start, Stop, Beat, Expire, Wait, Start, Stop}[r.IntN(7)]
			if n >= 2 {
				in.Op = []Op{CheckOut, Return, End, CheckOut, Return}[r.IntN(5)]
			}
			switch in.Op {
			case Start, Wait, CheckOut:
				in.Product = "micro"
			case Expire, End:
				in.Machine = license.Machine{}
			}
			if in.Op == Wait {
				in.ID[2] = 1
			}
			out := Granted()
			switch k := r.IntN(8); {
			case k < 4:
				out = Unknown()
			case k == 4 && (in.Op == Start || in.Op == CheckOut):
				out = Denied(license.MachineActive)
			case k == 5 && in.Op == Stop:
				out = Denied(license.UnknownSession)
			case k == 5 && in.Op == Return:
				out = Denied(license.UnknownCheckout)
			}
			call := r.Int64N(20)
			ops = append(ops, porcupine.Operation{ClientId: n, Input: in, Output: out, Call: call, Return: call + 1 + r.Int64N(8)})
		}
		want := porcupine.CheckOperationsTimeout(m, open(ops), time.Minute)
		settled := settle(ops)
		if got := porcupine.CheckOperationsTimeout(m, settled, time.Minute); got != want {
			t.Fatalf("seed %d: closed it is %s, open %s:\n%s", seed, got, want, listed(ops))
		}
		if want == porcupine.Ok {
			possible++
		}
		if len(settled) < len(ops) {
			fewer++
		}
	}
	if possible < 400 || possible > 3600 || fewer < 400 {
		t.Errorf("%d of 4,000 histories are possible and %d became shorter: that shows too little", possible, fewer)
	}
}

func listed(ops []porcupine.Operation) string {
	text := ""
	for _, op := range ops {
		text += fmt.Sprintf("  %d to %d: %v: %v\n", op.Call, op.Return, op.Input, op.Output)
	}
	return text
}

// A client asks until it is answered, which leaves nothing open.
func TestARequestAskedAgainIsClosed(t *testing.T) {
	machine := license.Machine{ID: "1", Name: "WS-101"}
	id := license.ID{7}
	say := func(op Op, out Output, call, ret int64) porcupine.Operation {
		return porcupine.Operation{Input: Input{Op: op, User: "ann", ID: id, Machine: machine}, Output: out, Call: call, Return: ret}
	}
	got := settle([]porcupine.Operation{
		say(Start, Unknown(), 0, 9), say(Beat, Unknown(), 10, 19), say(Stop, Unknown(), 20, 29), say(Stop, Unknown(), 30, 39), say(Expire, Unknown(), 35, 35),
		say(Stop, Granted(), 40, 49), say(Expire, Unknown(), 60, 60),
	})
	want := []porcupine.Operation{say(Start, Unknown(), 0, 49), say(Stop, Unknown(), 20, 49), say(Stop, Granted(), 40, 49)}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", listed(got), listed(want))
	}
}
