// Package desktop is a license client as sites have it, of the generation that knows
// nothing of a gateway: it finds its services by discovery, asks for signed policies,
// decides by them, works on from what it keeps when it can ask nobody, and logs what
// was used. It is the counterpart of package emulator, for tests, and follows what
// public sources say of that client step by step, also where it is odd: for it every
// answer but a good one means "offline".
//
// It is written from that description alone and shares no code and no type with the
// gateway or the emulator, so that it finds out where they have understood each other
// but not the client. It does not bring what would get around a license, nor anything
// that is not public of today's client.
//
// A Client is a machine with one user at it, and keeps what it knows in a folder. Start
// runs a product and says with a Status what its user gets to see. Nothing runs by
// itself: an Application does what is due when it is told to Tick, or in Run, each
// second of its Client's clock, which a test can make as fast as it likes.
package desktop
