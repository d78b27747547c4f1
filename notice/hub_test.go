package notice

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

const noon = license.Time(1772449200000)

func started(seq uint64, user license.UserID, at license.Time) license.Event {
	return license.Event{Seq: seq, At: at, Fact: license.Started{Session: &license.Session{ID: id(byte(seq)), User: user, Machine: ws101}}}
}

func seqs(ns []*Notice) string {
	s := ""
	for _, n := range ns {
		s += fmt.Sprintf("%d:%d ", n.Epoch, n.Seq)
	}
	return s
}

func subscribe(t *testing.T, h *Hub, who Subscriber, since Token) *Subscription {
	t.Helper()
	if who.User == "" {
		who.User = "ada"
	}
	if who.Instance == "" {
		who.Instance = "i-1"
	}
	if who.Machine == (license.Machine{}) {
		who.Machine = ws101
	}
	sub, err := h.Subscribe(who, since)
	if err != nil {
		t.Fatalf("subscribing: %v", err)
	}
	return sub
}

func wantTake(t *testing.T, sub *Subscription, want string, over End) {
	t.Helper()
	ns, end := sub.Take()
	if got := seqs(ns); got != want || end != over {
		t.Errorf("took %q, over %q; want %q, %q", got, end, want, over)
	}
}

func TestComingBackGivesWhatWasMissedThenWhatComes(t *testing.T) {
	h := New(1, 10)
	h.Publish(1, []license.Event{started(11, "ada", noon), started(12, "ben", noon),
		{Seq: 13, At: noon, Fact: license.LinkChanged{Up: true}}, started(14, "ada", noon)})

	sub := subscribe(t, h, Subscriber{}, Token{1, 11})
	if !sub.Recovered || sub.From != (Token{1, 11}) {
		t.Errorf("recovered %t from %v; want true from {1 11}", sub.Recovered, sub.From)
	}
	h.Publish(1, []license.Event{started(15, "ben", noon), started(16, "ada", noon)})
	wantTake(t, sub, "1:13 1:14 1:16 ", Open)
	wantTake(t, sub, "", Open)

	idle := subscribe(t, h, Subscriber{Instance: "i-2"}, Token{1, 16})
	if !idle.Recovered || idle.From != (Token{1, 16}) {
		t.Errorf("recovered %t from %v; want true from {1 16}", idle.Recovered, idle.From)
	}
	if h.Len() != 2 {
		t.Errorf("%d subscriptions; want 2", h.Len())
	}
	sub.Close()
	sub.Close()
	if h.Len() != 1 {
		t.Errorf("%d subscriptions after closing one twice; want 1", h.Len())
	}
}

func TestAGapIsToldNeverHidden(t *testing.T) {
	full := New(1, 0)
	for seq := uint64(1); seq <= Kept+1; seq++ {
		full.Publish(1, []license.Event{started(seq, "ada", noon)})
	}
	tests := []struct {
		name  string
		since Token
		want  bool
	}{
		{"no token", Token{}, false},
		{"another epoch", Token{2, 5}, false},
		{"the oldest has fallen out", Token{1, 0}, false},
		{"the oldest kept is the next", Token{1, 1}, true},
		{"the newest", Token{1, Kept + 1}, true},
		{"further than this node is", Token{1, Kept + 2}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sub := subscribe(t, full, Subscriber{Instance: test.name}, test.since)
			defer sub.Close()
			if sub.Recovered != test.want {
				t.Errorf("recovered %t; want %t", sub.Recovered, test.want)
			}
		})
	}
	before := New(1, 100)
	if sub := subscribe(t, before, Subscriber{}, Token{1, 99}); sub.Recovered {
		t.Errorf("a token from before this node's state was recovered; want a gap")
	}
}

func TestOldNoticesAreForgottenAndTheirTokensGiveAGap(t *testing.T) {
	h := New(1, 0)
	same := func(user license.UserID) license.UserID { // another user of the same shard
		for i := 0; ; i++ {
			other := license.UserID(fmt.Sprintf("user-%d", i))
			if h.shard(other) == h.shard(user) {
				return other
			}
		}
	}
	h.Publish(1, []license.Event{started(1, "ada", noon), started(2, "ada", noon)})
	h.Publish(1, []license.Event{started(3, same("ada"), noon.Add(KeptFor+time.Minute))})
	if n := len(h.shard("ada").users); n != 1 {
		t.Errorf("%d users are remembered; want 1", n)
	}
	if sub := subscribe(t, h, Subscriber{}, Token{1, 1}); sub.Recovered {
		t.Error("what was forgotten was recovered; want a gap")
	}
	if sub := subscribe(t, h, Subscriber{Instance: "i-2"}, Token{1, 2}); !sub.Recovered {
		t.Error("nothing was missed after 1:2, but a gap was told")
	}
}

func TestASlowSubscriberIsCutOffWithAReason(t *testing.T) {
	h := New(1, 0)
	woken := 0
	sub := subscribe(t, h, Subscriber{Wake: func() { woken++ }}, Token{})
	for seq := uint64(1); seq <= MaxQueue+5; seq++ {
		h.Publish(1, []license.Event{started(seq, "ada", noon)})
	}
	wantTake(t, sub, "", Slow)
	if woken != MaxQueue+1 {
		t.Errorf("woken %d times; want %d", woken, MaxQueue+1)
	}
}

func TestTheSameInstanceReplacesTheOldConnection(t *testing.T) {
	h := New(1, 0)
	var told End
	var old *Subscription
	old = subscribe(t, h, Subscriber{Wake: func() { _, told = old.Take() }}, Token{})
	now := subscribe(t, h, Subscriber{}, Token{})
	if told != Replaced {
		t.Errorf("the old one was told %q; want %q", told, Replaced)
	}
	old.Close()
	h.Publish(1, []license.Event{started(1, "ada", noon)})
	wantTake(t, now, "1:1 ", Open)
	if h.Len() != 1 {
		t.Errorf("%d subscriptions; want 1", h.Len())
	}
}

func TestSubscriptionsAreBounded(t *testing.T) {
	h := New(1, 0)
	for i := range MaxPerMachine {
		subscribe(t, h, Subscriber{Instance: fmt.Sprint(i)}, Token{})
	}
	if _, err := h.Subscribe(Subscriber{User: "ada", Machine: ws101, Instance: "more"}, Token{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more of a machine: %v; want %v", err, ErrTooMany)
	}
	for i := MaxPerMachine; i < MaxPerUser; i++ {
		subscribe(t, h, Subscriber{Machine: license.Machine{ID: fmt.Sprint(i)}, Instance: "i"}, Token{})
	}
	if _, err := h.Subscribe(Subscriber{User: "ada", Machine: ws202, Instance: "i"}, Token{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more of a user: %v; want %v", err, ErrTooMany)
	}
	if h.Len() != MaxPerUser {
		t.Errorf("%d subscriptions; want %d", h.Len(), MaxPerUser)
	}
}

func TestAJumpOfTheStateSendsEveryoneToReRead(t *testing.T) {
	tests := map[string]func(h *Hub){
		"a snapshot":    func(h *Hub) { h.Reset(1, 50) },
		"a hole":        func(h *Hub) { h.Publish(1, []license.Event{started(51, "ben", noon)}) },
		"another epoch": func(h *Hub) { h.Publish(2, []license.Event{started(11, "ben", noon)}) },
	}
	for name, jump := range tests {
		t.Run(name, func(t *testing.T) {
			h := New(1, 9)
			h.Publish(1, []license.Event{started(10, "ada", noon)})
			sub := subscribe(t, h, Subscriber{}, Token{})
			jump(h)
			wantTake(t, sub, "", Gap)
			sub.Close()
			if h.Len() != 0 {
				t.Errorf("%d subscriptions; want none", h.Len())
			}
			if again := subscribe(t, h, Subscriber{}, Token{1, 10}); again.Recovered {
				t.Error("recovered over the jump; want a gap")
			}
		})
	}
}

func TestWhatWasPublishedIsNotPublishedAgain(t *testing.T) {
	h := New(1, 0)
	sub := subscribe(t, h, Subscriber{}, Token{})
	h.Publish(1, []license.Event{started(1, "ada", noon), started(2, "ada", noon)})
	h.Publish(1, []license.Event{started(2, "ada", noon), started(3, "ada", noon)})
	wantTake(t, sub, "1:1 1:2 1:3 ", Open)
}

func TestAwaitWaitsForThisNodeToCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1, 0)
		if !h.Await(t.Context(), Token{1, 0}) {
			t.Error("waited for what is there")
		}
		got := make(chan bool)
		go func() { got <- h.Await(t.Context(), Token{1, 2}) }()
		synctest.Wait()
		h.Publish(1, []license.Event{started(1, "ada", noon)})
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("came back before its time")
		default:
		}
		h.Publish(1, []license.Event{started(2, "ada", noon)})
		if !<-got {
			t.Error("was told that the node is behind; want caught up")
		}
		begun := time.Now()
		if h.Await(t.Context(), Token{1, 3}) || time.Since(begun) != MaxLag {
			t.Errorf("gave up after %v; want false after %v", time.Since(begun), MaxLag)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if h.Await(ctx, Token{2, 1}) {
			t.Error("a cancelled wait said caught up")
		}
		if n := len(h.waiting); n != 0 {
			t.Errorf("%d still wait; want none", n)
		}
	})
}

// Whenever a client comes and goes, it hears of every notice once and in order:
// what it is told after its token plus what comes is the log.
func TestNothingIsMissedAroundAReconnect(t *testing.T) {
	const last = 5000
	h := New(1, 0)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			token := Token{1, 0}
			for token.Seq < last {
				wake := make(chan struct{}, 1)
				sub, err := h.Subscribe(Subscriber{User: "ada", Machine: ws101, Instance: fmt.Sprint(i), Wake: func() {
					select {
					case wake <- struct{}{}:
					default:
					}
				}}, token)
				if err != nil {
					t.Error(err)
					return
				}
				if !sub.Recovered {
					sub.Close()
					token = sub.From // a gap: the state is read anew, at least up to here
					continue
				}
				for range 3 {
					ns, over := sub.Take()
					for _, n := range ns {
						if n.Seq <= token.Seq {
							continue
						}
						if n.Seq != token.Seq+1 {
							t.Errorf("after %d came %d", token.Seq, n.Seq)
						}
						token.Seq = n.Seq
					}
					if over != Open || token.Seq == last {
						break
					}
					<-wake
				}
				sub.Close()
			}
		})
	}
	for seq := uint64(1); seq <= last; seq++ {
		h.Publish(1, []license.Event{started(seq, "ada", noon)})
	}
	wg.Wait()
}

func BenchmarkPublish(b *testing.B) {
	h := New(1, 0)
	for i := range 10_000 {
		user := license.UserID(fmt.Sprintf("user-%d", i))
		if _, err := h.Subscribe(Subscriber{User: user, Machine: ws101, Instance: "i"}, Token{}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range b.N {
		h.Publish(1, []license.Event{started(uint64(i)+1, license.UserID(fmt.Sprintf("user-%d", i%10_000)), noon.Add(time.Duration(i)*time.Millisecond))})
	}
}
