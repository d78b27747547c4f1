package endpoint

import (
	"fmt"
	"hash/maphash"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitsRefillAndForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits[string](Rate{PerSecond: 2, Burst: 3})
		for range 3 {
			if _, ok := l.take("ada"); !ok {
				t.Fatal("the burst was refused")
			}
		}
		wait, ok := l.take("ada")
		if ok || wait != 500*time.Millisecond {
			t.Errorf("over the burst: %v, %t; want 500ms, false", wait, ok)
		}
		if _, ok := l.peek("ben"); !ok {
			t.Error("somebody else was refused")
		}
		time.Sleep(wait)
		if _, ok := l.take("ada"); !ok {
			t.Error("refused after waiting as told")
		}
		time.Sleep(limitIdle + time.Second)
		for i := range 10_000 {
			l.take(fmt.Sprint(i))
		}
		for i := range l.shards {
			if l.shards[i].known["ada"] != nil {
				t.Error("an idle identity is still remembered")
			}
		}
	})
}

func TestLimitsAreBounded(t *testing.T) {
	l := newLimits[string](Rate{PerSecond: 1, Burst: 1})
	s := &l.shards[0]
	for i, taken := 0, 0; taken < limitPerPart+500; i++ {
		if who := fmt.Sprint(i); maphash.String(l.seed, who)%limitShards == 0 {
			l.take(who)
			taken++
		}
	}
	if n := len(s.known); n != limitPerPart {
		t.Errorf("a shard remembers %d; want %d", n, limitPerPart)
	}
}
