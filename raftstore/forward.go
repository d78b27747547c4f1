package raftstore

import (
	"context"
	"errors"
	"fmt"
)

// Forward carries a request to the leader's Serve and its answer back. While
// there is no leader it waits, up to LeaderWait. ErrNoLeader: there is none,
// nothing was done. ErrUnknown: the leader was lost with the request in its
// hands; the same request with the same id finds out.
func (s *Store) Forward(ctx context.Context, request []byte) ([]byte, error) {
	var answer []byte
	err := s.atLeader(ctx, false, func(ctx context.Context) error {
		var err error
		answer, err = s.serve(ctx, "", request)
		return err
	}, func(ctx context.Context, p *peer) error {
		var err error
		answer, err = p.call(ctx, methodForward, request)
		return err
	})
	s.metrics.forwarded.WithLabelValues(forwardResult(err)).Inc()
	return answer, err
}

func forwardResult(err error) string {
	switch {
	case err == nil:
		return "answered"
	case errors.Is(err, ErrNoLeader):
		return "no-leader"
	case errors.Is(err, ErrUnknown):
		return "unknown"
	default:
		return "failed"
	}
}

// handleForward answers a request that another node has forwarded.
func (s *Store) handleForward(ctx context.Context, from string, request []byte) ([]byte, error) {
	if err := s.awaitReign(ctx); err != nil {
		return nil, err
	}
	return s.serve(ctx, from, request)
}

func (s *Store) serve(ctx context.Context, from string, request []byte) ([]byte, error) {
	if s.cfg.Serve == nil {
		return nil, errors.New("the leader serves no forwarded requests")
	}
	answer, err := s.cfg.Serve(ctx, from, request)
	if err == nil && len(answer) > maxFrame-frameHeader {
		return nil, fmt.Errorf("the leader's answer of %d bytes is too large, at most %d", len(answer), maxFrame-frameHeader)
	}
	return answer, err
}
