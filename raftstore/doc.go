// Package raftstore is the replicated log and the state it leads to: commands
// of package license go in, are fsynced by a majority of the nodes, and are
// applied on every node to the same state.
//
// It promises: what Propose answered without an error is on the disks of a
// majority and survives the loss of any minority; every node that has applied an
// index has the same state; time in the log never runs backwards; a session
// expires only after a full lease without a heartbeat, however often the leader
// changed or was paused.
//
// What is where on a node:
//
//	replicated   the log of batches of commands                 Dir/log     package wal, one fsync per append
//	derived      the state and the journal of events            Dir/state   Badger, written behind the log
//	in memory    the state as the rules read it                 rebuilt from Badger and the log's tail
//	leader only  leases, the clock, waiting proposals           lost with the leader, rebuilt by the next
//	local        name, cluster and instance of the data folder  Dir/identity.json
//
// The package leaves to others: what a command means (license), whom to ask
// before one is proposed (gateway), and who hears of the events (notice).
// DESIGN.md tells how the parts work together and what survives which crash.
package raftstore
