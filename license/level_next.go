//go:build nextlevel

package license

// Level is one more than this program's rules are at: with the tag "nextlevel" it
// takes the part of a later version, so that tests can raise a cluster's level.
const Level = current + 1
