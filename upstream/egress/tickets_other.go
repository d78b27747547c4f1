//go:build !windows

package egress

// newTickets is where Negotiate gets its tokens.
func newTickets(p Proxy, creds *breaker) tickets { return newKerberosTickets(p, creds) }
