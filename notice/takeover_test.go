package notice

import (
	"testing"
	"time"

	"sitegate/license"
)

// Whom a request of another machine is told to, and what about: the active machine
// above all, with the name of the one that asks.
func TestFromTellsOfATakeover(t *testing.T) {
	s, now := site(t)
	minute := func(n int) license.Time { return now.Add(time.Duration(n) * time.Minute) }
	end := minute(7)
	ending := func(reason string, until license.Time) Notice {
		return Notice{Kind: Ending, ID: id(1), License: "l-1", Reason: reason, By: "ada", Until: until, Machine: ws202, To: ws101}
	}
	steps := []struct {
		at      license.Time
		command license.Command
		want    []Notice
	}{
		{*now, license.Configure{Settings: license.Settings{Takeover: license.TakeoverAsk}}, []Notice{{Kind: Policy}}},
		{*now, license.Start{ID: id(1), User: "ada", Product: "road", Machine: ws101, Agreed: true, Fences: true},
			[]Notice{{Kind: Granted, ID: id(1), License: "l-1", Machine: ws101, To: ws101}}},
		{*now, license.Request{ID: id(2), User: "ada", Product: "road", Machine: ws202},
			[]Notice{{Kind: Requested, ID: id(2), Machine: ws202, To: ws101}}},
		{*now, license.Decline{ID: id(2), User: "ada", Machine: ws101},
			[]Notice{{Kind: Declined, ID: id(2), Machine: ws101, To: ws202}}},
		{*now, license.EndWait{ID: id(2), User: "ada"}, []Notice{{Kind: WaitEnded, ID: id(2), Machine: ws202, To: ws202}}},
		{*now, license.Configure{Settings: license.Settings{Takeover: license.TakeoverGrace, TakeoverGrace: 7 * time.Minute}}, []Notice{{Kind: Policy}}},
		{*now, license.Request{ID: id(3), User: "ada", Product: "road", Machine: ws202}, []Notice{ending(license.EndTakeover, end)}},
		{minute(2), license.WarnEnding{Session: id(1)}, []Notice{ending(license.EndTakeover, end)}},
		{minute(3), license.EndWait{ID: id(3), User: "ada"}, []Notice{{Kind: WaitEnded, ID: id(3), Machine: ws202, To: ws202},
			{Kind: Extended, ID: id(1), License: "l-1", Reason: license.EndTakeover, Machine: ws101, To: ws101}}},
		{minute(3), license.Request{ID: id(4), User: "ada", Product: "road", Machine: ws202}, []Notice{ending(license.EndTakeover, minute(10))}},
		{minute(10), license.WarnEnding{Session: id(1)}, []Notice{ending(license.EndTakeover, minute(10))}},
		{minute(11), license.Stop{ID: id(1), User: "ada", Machine: ws101}, []Notice{
			{Kind: Free, ID: id(1), License: "l-1", Machine: ws101, To: ws101},
			{Kind: Yours, ID: id(4), Machine: ws202, To: ws202, Until: minute(11).Add(license.ReservationTime)}}},
		{minute(11), license.Start{ID: id(5), User: "ada", Product: "road", Machine: ws202, Agreed: true, Fences: true},
			[]Notice{{Kind: Granted, ID: id(5), License: "l-1", Machine: ws202, To: ws202}}},
		{minute(12), license.LetGo{Session: id(5), User: "ada", Machine: ws202},
			[]Notice{{Kind: Ending, ID: id(5), License: "l-1", Reason: license.EndLetGo, By: "ada", Until: minute(12), Machine: ws202, To: ws202}}},
		{minute(12), license.WouldRefuse{User: "ada", Machine: ws101, Denial: license.Denial{Reason: license.MachineActive}}, nil},
	}
	for i, step := range steps {
		var got []Notice
		for _, e := range apply(t, s, step.at, step.command) {
			got = append(got, From(e)...)
		}
		if len(got) != len(step.want) {
			t.Fatalf("step %d, %T: got %d notices %+v, want %d", i, step.command, len(got), got, len(step.want))
		}
		for j, want := range step.want {
			want.Seq, want.At = got[j].Seq, step.at
			if want.Kind != Policy {
				want.User, want.Product = "ada", "road"
			}
			if got[j] != want {
				t.Errorf("step %d, %T:\n got %+v\nwant %+v", i, step.command, got[j], want)
			}
		}
	}
}
