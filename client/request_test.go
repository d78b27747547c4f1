package client_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"sitegate/api"
	"sitegate/client"
)

func TestRequestIsToldOfTheAnswerAndOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		g.Asks = api.AsksAsk
		there := desktop(t, w, "WS-101")
		active, here := start(t, there), desktop(t, w, "LT-7")
		asked := there.Watch(t.Context())
		<-asked.Ready()
		wait, err := here.Request(t.Context(), cad)
		if err != nil || wait.Asks().Asks != api.AsksAsk {
			t.Fatalf("Request = %+v, %v; want the other machine asked", wait, err)
		}
		if n := next(t, asked); n.Kind != api.KindRequested || n.Machine != "LT-7" || n.ID != wait.ID {
			t.Fatalf("the active machine was told %+v; want that LT-7 asks", n)
		}
		if err := there.Decline(t.Context(), wait.ID); err != nil {
			t.Fatal(err)
		}
		<-wait.Declined()
		if isClosed(wait.Done()) {
			t.Fatalf("a declined request waits no more (%v)", wait.Err())
		}
		// What is let go is free only when the program that runs it has stopped.
		if err := there.LetGo(t.Context(), active.ID); err != nil {
			t.Fatal(err)
		}
		<-active.Lost()
		if !errors.Is(active.Err(), client.ErrAlreadyEnded) || isClosed(wait.Done()) {
			t.Fatalf("the session ends with %v, told %v; want %v, and nobody told yet", active.Err(), isClosed(wait.Done()), client.ErrAlreadyEnded)
		}
		active.Stop(t.Context())
		<-wait.Done()
		if wait.Err() != nil || wait.Until().IsZero() {
			t.Errorf("told %v, kept until %v; want it kept", wait.Err(), wait.Until())
		}
		start(t, here)
	})
}

func TestRequestThatTheSiteDoesNotAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		start(t, desktop(t, w, "WS-101"))
		if _, err := desktop(t, w, "LT-7").Request(t.Context(), cad); !errors.Is(err, client.ErrTakeoverRefused) || !client.Denied(err) {
			t.Errorf("Request = %v, want %v", err, client.ErrTakeoverRefused)
		}
	})
}

func TestRequestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		g.Asks = api.AsksGrace
		start(t, desktop(t, w, "WS-101"))
		here := desktop(t, w, "LT-7")
		wait, err := here.Request(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		if err := wait.Cancel(t.Context()); err != nil || g.Asked("DELETE "+api.PathRequests) != 1 {
			t.Errorf("Cancel = %v with %d requests given up; want one", err, g.Asked("DELETE "+api.PathRequests))
		}
	})
}
