// Package integration runs the real programs: nodes as processes of their own on
// loopback, the cloud's stand-in behind a forward proxy that asks for
// credentials, desktops that use the client package or seat, and links one can
// cut. It kills and pauses only what it started, and leaves nothing behind.
//
// The non-test files are the tools (Process, Link, Site); the tests are stories
// and recorded histories.
package integration
