//go:build unix

package main

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/api"
)

func TestCountdownSaysEachMarkOnce(t *testing.T) {
	var c countdown
	var said []time.Duration
	at := []time.Duration{12 * time.Minute, 11 * time.Minute, 9 * time.Minute, 8 * time.Minute, 100 * time.Second, 99 * time.Second, 59 * time.Second, 9 * time.Second, 8 * time.Second, 0}
	for _, left := range at {
		if c.due(left) {
			said = append(said, left)
		}
	}
	// From 8 min to 100 s the computer slept: two marks are one.
	want := []time.Duration{12 * time.Minute, 9 * time.Minute, 100 * time.Second, 59 * time.Second, 9 * time.Second}
	if !slices.Equal(said, want) {
		t.Errorf("said at %v, want at %v", said, want)
	}
	if new(countdown).due(time.Hour) {
		t.Error("said with an hour left, want nothing yet")
	}
}

func TestSpansAreForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 4400 * time.Millisecond: "4 s", 44 * time.Second: "44 s", 58 * time.Second: "1 min",
		95 * time.Second: "1½ min", 2*time.Minute + 29*time.Second: "2 min", 14*time.Minute + 31*time.Second: "15 min"} {
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestRunCountsDownToTheEnd(t *testing.T) {
	r := newRig(t)
	b := r.background(runArgs(nil, sh(`trap 'echo saved; exit 5' TERM; echo running; while :; do sleep 0.05; done`))...)
	b.await("running")
	r.listens()
	r.g.Release(ann, "Ada Admin", "needed in the yard", 23*time.Second) // of which 15 s are kept for what may be late
	b.await(" s: save your work. This session was ended by Ada Admin. They say: needed in the yard")
	b.await("the license is lost: This session was ended by Ada Admin. They say: needed in the yard")
	b.await("saved")
	b.end(5)
	for _, want := range []string{"Ada Admin has ended your session", "sh is asked to end in", "the license is lost"} {
		if !r.screen.has(want) {
			t.Errorf("the desktop shows %q, want %q among it", r.screen.shown, want)
		}
	}
}

func TestTheCountdownSpeaksTheUsersLanguage(t *testing.T) {
	r := newRig(t)
	b := r.background(runArgs([]string{"--lang", "de"}, sh(`trap 'exit 5' TERM; echo running; while :; do sleep 0.05; done`))...)
	b.await("running")
	r.listens()
	r.g.Release(ann, "Ada Admin", "Hafen", 20*time.Second)
	b.await("s zum Beenden aufgefordert: speichern Sie Ihre Arbeit. Diese Sitzung wurde von Ada Admin beendet. Dazu heißt es: Hafen")
	b.await("die Lizenz ist verloren: Diese Sitzung wurde von Ada Admin beendet. Dazu heißt es: Hafen")
	b.end(5)
}

// TestRunWithoutAGatewayEndsInTime: it stops by itself before the license could be given
// to another machine.
func TestRunWithoutAGatewayEndsInTime(t *testing.T) {
	t.Parallel() // it takes a lease's time
	b, gone := losesItsGateway(t)
	b.await("running")
	gone.Store(true)
	b.await("the license is lost: The license gateway has not confirmed this session in time")
	b.await("saved")
	b.end(5)
}

// TestRunReleasedWithoutAGatewayCountsTheLease: a grace is no longer than the lease where
// nobody renews it.
func TestRunReleasedWithoutAGatewayCountsTheLease(t *testing.T) {
	t.Parallel()
	b, gone := losesItsGateway(t)
	b.await("running")
	b.r.listens()
	b.r.g.Release(ann, "Ada Admin", "", 10*time.Minute)
	b.await("sh is asked to end in 10 min: save your work. This session was ended by Ada Admin.")
	gone.Store(true)
	b.await("the license gateway does not answer; sh is asked to end in")
	b.await("the license is lost: The license gateway has not confirmed this session in time")
	b.end(5)
	said := b.text.String()
	if then := said[strings.LastIndex(said, "does not answer"):]; strings.Contains(then, "10 min") {
		t.Errorf("it said, with no gateway to renew the lease:\n%s\nwant no ten minutes", then)
	}
}

// losesItsGateway runs a program on a lease of seconds that is not renewed any more once
// gone is set.
func losesItsGateway(t *testing.T) (_ *background, gone *atomic.Bool) {
	r := newRig(t)
	r.g.TTL, r.g.Beat = 12*time.Second, time.Second
	gone = new(atomic.Bool)
	r.g.Mute = gone.Load
	r.g.Before = func(*http.Request) *api.Problem {
		if gone.Load() {
			return &api.Problem{Code: api.CodeNoQuorum, Status: http.StatusServiceUnavailable, Detail: "Most nodes cannot be reached."}
		}
		return nil
	}
	return r.background(runArgs(nil, sh(`trap 'echo saved; exit 5' TERM; echo running; while :; do sleep 0.05; done`))...), gone
}

func TestAProgramThatDoesNotEndIsKilledOnlyWhereThatIsWanted(t *testing.T) {
	r := newRig(t)
	const deaf = `trap '' TERM; echo running; while :; do sleep 0.05; done`
	b := r.background(runArgs([]string{"--kill-after", "300ms"}, sh(deaf))...)
	b.await("running")
	r.listens()
	r.g.Release(ann, "Ada Admin", "", 0)
	b.await("ending sh")
	b.end(128 + 9)
}

func TestNoticesStayOffTheDesktopWhereThatIsWanted(t *testing.T) {
	r := newRig(t)
	b := r.background(append([]string{"--notify", "off"}, runArgs(nil, sh(`trap 'exit 5' TERM; echo running; while :; do sleep 0.05; done`))...)...)
	b.await("running")
	r.listens()
	r.g.Release(ann, "Ada Admin", "", 0)
	b.end(5)
	if len(r.screen.shown) != 0 {
		t.Errorf("the desktop shows %q, want nothing", r.screen.shown)
	}
}
