package gateway

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func TestAcceptedTimeIsInTheAuditTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newSoloLog()
		g := New(Config{Log: log, Logger: slog.New(slog.DiscardHandler)})
		a, err := g.AcceptTime(context.Background(), license.AcceptTime{By: "ida", Note: "set right"})
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("got %+v, %v", a, err)
		}
		want := license.TimeAccepted{From: log.Now().Add(-time.Hour), To: log.Now(), By: "ida", Note: "set right"}
		if got := *a.Outcome.Time; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if last := log.journal[len(log.journal)-1].Fact; last != license.Fact(want) {
			t.Errorf("the journal has %+v, want %+v", last, want)
		}
		a, err = g.AcceptTime(context.Background(), license.AcceptTime{Note: "by nobody"})
		if err != nil || a.Outcome.Denial == nil || a.Outcome.Denial.Reason != license.BadCommand {
			t.Errorf("by nobody: got %+v, %v; want %s", a, err, license.BadCommand)
		}
	})
}
