// Package model says which histories of a site are possible: what clients asked
// and were answered, at which times, must have one order in which license.Apply
// gives the same answers. Porcupine looks for that order, user by user, because
// no rule of one user depends on another's.
//
// A client knows when it asked and when it was answered, and not the time the
// leader stamped into the entry. The model therefore has no time: everything in
// it happens at one moment, in which no lease, checkout, reservation or id grows
// old. From that follows what it does not judge:
//
//   - a refusal that depends on the time (too-late, reserved, cloud-needed, the
//     terms of a license, the limits of a checkout) is taken as it is, for a
//     refusal changes nothing;
//   - an id that has ended is remembered for ever: that it is not known any more
//     is taken as well;
//   - what the cloud was asked is not seen: every grant is as if it had agreed.
//
// What time does enters the history as an operation of its own, made by Expiry
// or End: from the moment at which it may happen to the moment at which it was
// seen to have happened.
//
// An operation whose answer was lost may have happened at any time after it was
// asked, or never. It is Unknown, and Operations leaves it open until the end of the
// history: at the very end it is as good as never. Each of them doubles what there
// is to search, so that it is closed where the end of its session or checkout is
// known: a client that repeats its request with the same id until it is answered
// leaves none open.
//
// Requests that certainly did not reach the rules (no quorum, rate limited, not
// signed in) are no part of a history. A wait changes nothing here: what is then
// kept for the machine is a refusal that depends on the time, and only a wait that
// says "free" is held to it. Releases and the mirror are not modelled; a history
// in which users are released or lose a license is for other tests.
package model
