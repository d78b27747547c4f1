package raftstore

import (
	"errors"

	"github.com/hashicorp/raft"
)

// What callers branch on.
var (
	// ErrNotLeader: this node does not lead, or not yet; nothing was done.
	ErrNotLeader = errors.New("this node does not lead the cluster")
	// ErrNoLeader: no leader answers; nothing was done.
	ErrNoLeader = errors.New("the cluster has no leader: most of its nodes cannot reach each other")
	// ErrUnknown: the leader was lost while it decided. It may have been done.
	ErrUnknown = errors.New("the leader was lost before it answered; whether the command was carried out is not known")
	// ErrTooLarge: a command of more than MaxCommand bytes; nothing was done.
	ErrTooLarge = errors.New("the command is too large for one log entry")
	// ErrClosed: the store has been closed, or has stopped by itself: see Err.
	ErrClosed = errors.New("the store is closed")
)

// proposalError translates raft's answer to an entry: some mean that the entry
// never reached the log, the others leave it open.
func proposalError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrEnqueueTimeout):
		return ErrNotLeader
	default:
		return errors.Join(ErrUnknown, err)
	}
}
