//go:build !windows

package desktop

// Origin is the name of the machine that a user of a multi-user server comes from,
// where the system tells it (KB0019679). Here it does not: the address of an SSH
// connection is no machine's name.
func Origin() (name string, there bool) { return "", false }
