package gateway

import (
	"log/slog"
	"testing"
	"testing/synctest"

	"sitegate/license"
)

// A machine that says another name each time is the same one by its id, and is told of
// once; those that have a name only are told apart by it.
func TestAMachineIsToldOfOnceWhateverItCallsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals(slog.New(slog.DiscardHandler))
		note := func(m license.Machine, reason license.Reason) {
			d := license.Denial{Reason: reason, Machine: ws101}
			r.note(refusal{user: "ada", machine: m}, &d, func() license.Command { return license.Refused{User: "ada", Machine: m, Denial: d} })
		}
		for _, step := range []struct {
			machine license.Machine
			reason  license.Reason
			want    int
		}{
			{license.Machine{ID: "m-1", Name: "WS-1"}, license.MachineClone, 1},
			{license.Machine{ID: "m-1", Name: "WS-2"}, license.MachineClone, 1},
			{license.Machine{ID: "m-1"}, license.MachineClone, 1},
			{license.Machine{ID: "m-1", Name: "WS-2"}, license.KeyNeeded, 2},
			{license.Machine{ID: "m-2", Name: "WS-1"}, license.MachineClone, 3},
			{license.Machine{Name: "WS-1"}, license.MachineClone, 4},
			{license.Machine{Name: "WS-2"}, license.MachineClone, 5},
		} {
			if note(step.machine, step.reason); len(r.queue) != step.want {
				t.Errorf("after %+v with %s: %d are told, want %d", step.machine, step.reason, len(r.queue), step.want)
			}
		}
	})
}
