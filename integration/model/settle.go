package model

import (
	"math"

	"github.com/anishathalye/porcupine"

	"sitegate/license"
)

// settle returns a history with as few open operations as it needs, since each one
// doubles what there is to search. It changes nothing of what is possible:
//
//   - a heartbeat or a wait that nobody answered changed nothing, and is left out;
//   - what was asked of a session or checkout, and never answered, happened before
//     that was seen to end, or changes nothing any more: an id that has ended stays
//     so. It is over when the end was answered, or when it was not known any more
//     though it had begun;
//   - of a stop that was asked again and again the first is enough, and of the
//     expiry that could have come instead, if it could have come before. In a
//     history a session or checkout is stopped by its own machine alone, and no
//     two of them share an id.
func settle(ops []porcupine.Operation) []porcupine.Operation {
	type thing struct {
		user license.UserID
		id   license.ID
	}
	of := func(op porcupine.Operation) thing {
		in := op.Input.(Input)
		return thing{in.User, in.ID}
	}
	ended := map[thing]int64{} // when its end was answered
	begun := map[thing]int64{} // when its beginning was
	for _, op := range ops {
		in, x := op.Input.(Input), of(op)
		if at, ok := begun[x]; (in.Op == Start || in.Op == CheckOut) && op.Output.(Output) == Granted() && (!ok || op.Return < at) {
			begun[x] = op.Return
		}
	}
	first := map[thing]map[Op]int64{}     // when each way to end it was first asked for without an answer
	began := func(x thing, op Op) int64 { // of the earliest such question
		if at, ok := first[x][op]; ok {
			return at
		}
		return math.MaxInt64
	}
	for _, op := range ops {
		in, out, x := op.Input.(Input), op.Output.(Output), of(op)
		switch {
		case !ends(in.Op):
		case out.Denied != "":
			if at, ok := begun[x]; !ok || at >= op.Call || !forgotten(in.Op, out.Denied) {
				continue
			}
			if at, ok := ended[x]; !ok || op.Return < at {
				ended[x] = op.Return
			}
		case out.Unknown:
			if first[x] == nil {
				first[x] = map[Op]int64{}
			}
			first[x][in.Op] = min(began(x, in.Op), op.Call)
		default:
			if at, ok := ended[x]; !ok || op.Return < at {
				ended[x] = op.Return
			}
		}
	}
	var settled []porcupine.Operation
	for _, op := range ops {
		in, x := op.Input.(Input), of(op)
		if !op.Output.(Output).Unknown {
			settled = append(settled, op)
			continue
		}
		over, ok := ended[x]
		if !ok {
			over = math.MaxInt64
		}
		asked := min(began(x, Stop), began(x, Return))
		switch {
		case in.Op == Beat, in.Op == Wait:
			continue
		case op.Call > over:
			continue
		case ends(in.Op) && op.Call > began(x, in.Op):
			continue
		case (in.Op == Expire || in.Op == End) && asked <= op.Call:
			continue
		}
		op.Return = over
		settled = append(settled, op)
	}
	return settled
}

// ends reports whether an operation ends a session or a checkout.
func ends(op Op) bool { return op == Stop || op == Expire || op == Return || op == End }
