package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// Guest is on whose behalf a connection is opened that is not this node's own business: a desktop's, which may not be led to where the node itself may go.
type Guest struct {
	// Via names whom the request has come through, this node last; a proxy is told in the Via header of CONNECT, so that a request that comes back
	// is known (RFC 9110, 7.6.3). Empty: it is not told.
	Via string
	// Admit is asked about each address that a direct route would connect to: after the one resolution of the name, before the connection, and about the very
	// address of it, so that a name cannot lead elsewhere a moment later. An error refuses it. Nil refuses private addresses, as Private tells. What a proxy
	// resolves is the proxy's to refuse.
	Admit func(netip.AddrPort) error
}

type guestKey struct{}

// DialGuest is DialContext on behalf of a guest. What Admit refuses is an *Error with the code PrivateAddress.
func (d *Dialer) DialGuest(ctx context.Context, network, addr string, g Guest) (net.Conn, error) {
	if strings.ContainsFunc(g.Via, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("cannot dial %.80q: the Via header would have control characters", addr)
	}
	if g.Admit == nil {
		g.Admit = func(a netip.AddrPort) error {
			if Private(a.Addr()) {
				return fmt.Errorf("%s is a private address", a.Addr())
			}
			return nil
		}
	}
	return d.DialContext(context.WithValue(ctx, guestKey{}, &g), network, addr)
}

// guest is on whose behalf ctx is; nil: the node's own.
func guest(ctx context.Context) *Guest {
	g, _ := ctx.Value(guestKey{}).(*Guest)
	return g
}

// direct connects without a proxy. Errors are *Error, or ctx's.
func (w *way) direct(ctx context.Context, addr string) (net.Conn, error) {
	n := w.net
	if g := guest(ctx); g != nil {
		n.ControlContext = func(_ context.Context, _, to string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(to)
			if err == nil {
				err = g.Admit(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
			}
			if err == nil {
				return nil
			}
			return &Error{Code: PrivateAddress, Err: err, Message: fmt.Sprintf("%s leads to where desktops are not let through directly: %s.", addr, err),
				Action: "If that is right, add the network to connect.private in the gateway's configuration, or send the host through a proxy."}
		}
	}
	c, r, err := dial(ctx, n, addr)
	if err != nil {
		return nil, directError(ctx, addr, r, err)
	}
	return c, nil
}

// Private reports whether an address is of those that no host of the internet has: loopback, link-local, private, shared (CGNAT), multicast, reserved; and those
// that another, perhaps private one is hidden in: IPv4-mapped and -compatible, NAT64, 6to4, Teredo.
func Private(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return true
	}
	for _, n := range reserved() {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// reserved are networks that net/netip has no word for.
func reserved() [11]netip.Prefix {
	v4 := func(a, b, c, d byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
	}
	v6 := func(bits int, b ...byte) netip.Prefix {
		var all [16]byte
		copy(all[:], b)
		return netip.PrefixFrom(netip.AddrFrom16(all), bits)
	}
	return [...]netip.Prefix{
		v4(0, 0, 0, 0, 8),                 // this network
		v4(100, 64, 0, 0, 10),             // shared, RFC 6598
		v4(192, 0, 0, 0, 24),              // protocol assignments
		v4(198, 18, 0, 0, 15),             // benchmarks
		v4(240, 0, 0, 0, 4),               // reserved, and broadcast
		v6(96),                            // IPv4-compatible
		v6(96, 0, 0x64, 0xff, 0x9b),       // NAT64, RFC 6052
		v6(48, 0, 0x64, 0xff, 0x9b, 0, 1), // NAT64 at the site, RFC 8215
		v6(16, 0x20, 0x02),                // 6to4
		v6(32, 0x20, 0x01, 0, 0),          // Teredo
		v6(10, 0xfe, 0xc0),                // site-local, which was
	}
}
