package main

import (
	"testing"

	"sitegate/api"
)

// The machine that is active lets go: its program is ended, and the other may
// start.
func TestLetGoEndsWhatRunsHereForWhoAsks(t *testing.T) {
	r := newRig(t)
	r.g.Asks = api.AsksAsk
	there := []string{"--machine-name", "WS-101", "--machine-id", "id-of-WS-101"}
	b := r.background(runArgs(there, sh("echo running; exec sleep 60"))...)
	b.await("running")
	r.listens()
	asking := r.background("request", "--product", cad, "--machine-name", "LT-7", "--machine-id", "id-of-LT-7")
	asking.await("the other machine is asked to let go")
	b.await("LT-7 asks for your license.")
	r.expect(r.seat(append([]string{"let-go", "--decline"}, there...)...), exitOK, "Declined. Told: LT-7.")
	asking.await("the other machine does not let go")
	r.expect(r.seat(append([]string{"let-go"}, there...)...), exitOK, "Let go on this machine: 1.")
	b.end(exitSignal + 15)
	asking.await("start now")
	asking.end(exitOK)
	r.expect(r.seat(append([]string{"let-go"}, there...)...), exitOK, "Nothing runs on this machine.")
}

func TestRequestThatIsRefusedSaysWhatToDo(t *testing.T) {
	r := newRig(t)
	r.startOn("WS-101")
	r.expect(r.seat("request", "--product", cad), exitDenied, "cannot be asked", "Wait until it is free.")
	r.expect(r.seat(runArgs([]string{"--request"}, sh("exit 0"))...), exitDenied, "cannot be asked")
	r.expect(r.seat("let-go", "--decline"), exitFailed, "no machine asks for your license")
	r.expect(r.seat("request"), exitUsage, "which product?")
}

func TestRunAsksAndRuns(t *testing.T) {
	r := newRig(t)
	r.g.Asks = api.AsksGrace
	active := r.startOn("WS-101")
	b := r.background(runArgs([]string{"--request"}, sh("echo running"))...)
	b.await("the other machine has until")
	if err := active.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.await("running")
	b.end(exitOK)
}
