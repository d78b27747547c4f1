// Package license holds the rules of named-user licensing as one pure function:
//
//	license.Apply(state, entry) (outcome, events)
//
// The same log gives the same state, outcomes and events, on every node and at
// every time it is replayed: nothing here reads a clock, draws a random number,
// touches a file or a socket, or depends on the order of a map. Time comes
// stamped in the entry.
//
// The words are those of the people who run licenses. A user may be active on
// one machine at a time with capped products (R5). A session is a product
// running on a machine. A checkout lets one machine run a product away from the
// network until a date. Both open a hold: the right of one machine under a hold
// key, closed with the last session or checkout under it. By default sessions
// hold the user and checkouts hold the user and the license; both scopes are
// settings.
//
// Commands are imperatives (Start), events are facts (Started), and a denial is
// an outcome with a stable reason, never an error. Check is the read-only first
// half of Apply: what Check refuses, Apply refuses. Due lists what time alone
// makes happen.
//
// A State has two large tables. People are found by their id, and all that is known
// of one hangs there: what the cloud says of them, the licenses assigned to them, what
// they have open. Ids are found in the other: whose session or checkout one is, or
// lately was. What is not at hand costs a command more than all it decides, so that
// it looks into each of them once.
//
// The package leaves to others: when to ask the vendor's cloud (gateway), who
// renewed a lease when (raftstore), and how a person is told (notice, phrase).
package license
