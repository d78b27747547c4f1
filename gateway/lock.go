package gateway

import (
	"context"
	"sync"
)

// keyLock lets one holder at a time in per key. The zero value is ready.
type keyLock struct {
	mu   sync.Mutex
	keys map[string]*keyed
}

// keyed is one key's turn and how many hold or want it; mu guards want.
type keyed struct {
	turn chan struct{}
	want int
}

func (l *keyLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	if l.keys == nil {
		l.keys = map[string]*keyed{}
	}
	k := l.keys[key]
	if k == nil {
		k = &keyed{turn: make(chan struct{}, 1)}
		l.keys[key] = k
	}
	k.want++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.want--; k.want == 0 {
			delete(l.keys, key)
		}
	}
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
