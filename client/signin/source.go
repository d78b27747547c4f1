package signin

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// renewBefore is how long before its end a token is renewed; of short-lived ones,
// when a tenth is left.
const renewBefore = time.Minute

// Source gives access tokens and renews them in time. Its Token is what
// client.Config wants. It may be called at once from many goroutines.
type Source struct {
	cfg  Config
	busy chan struct{} // holds one: the right to look at the fields below
	now  Tokens
	soon time.Time // renew from then on
	keep func(Tokens) error
}

// NewSource starts with tokens there are. keep, if not nil, is given each new set
// before it is used, to be stored; its error is the caller's.
func NewSource(cfg Config, t Tokens, keep func(Tokens) error) *Source {
	s := &Source{cfg: cfg, busy: make(chan struct{}, 1), keep: keep}
	s.take(t)
	return s
}

func (s *Source) take(t Tokens) {
	s.now = t
	s.soon = t.Expires.Add(-min(renewBefore, max(0, time.Until(t.Expires))/10))
}

// Token is an access token that is good now. Where a renewal fails, an old one
// that is still good has to do.
func (s *Source) Token(ctx context.Context) (string, error) {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if time.Now().Before(s.soon) {
		return s.now.Access, nil
	}
	err := s.renew(ctx)
	if err != nil && time.Now().Before(s.now.Expires) {
		err = nil
	}
	if err != nil {
		return "", err
	}
	return s.now.Access, nil
}

func (s *Source) renew(ctx context.Context) error {
	if s.now.Refresh == "" {
		return ErrExpired
	}
	t, err := Renew(ctx, s.cfg, s.now.Refresh)
	if errors.Is(err, ErrExpired) {
		s.now.Refresh = ""
	}
	if err != nil {
		return err
	}
	s.take(t)
	if s.keep != nil {
		if err := s.keep(t); err != nil {
			return fmt.Errorf("keeping the renewed sign-in: %w", err)
		}
	}
	return nil
}
