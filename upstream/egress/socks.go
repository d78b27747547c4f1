package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// socksReplies are what a SOCKS5 server says instead of success (RFC 1928, 6).
var socksReplies = map[byte]string{
	1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable", 5: "connection refused", 6: "TTL expired",
	7: "it does not do CONNECT", 8: "it does not know this kind of address",
}

// errSocks is an answer that is none of SOCKS5.
var errSocks = errors.New("the answer is not SOCKS5")

// socks opens a tunnel through a SOCKS5 server. Names go to the server as names. The connection has nothing read ahead: every answer
// says how long it is.
func (p *proxy) socks(ctx context.Context, addr string) (net.Conn, error) {
	c, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err = p.socksHandshake(ctx, c, addr)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		if e := (*Error)(nil); errors.As(err, &e) {
			return nil, err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it closes the connection", errSocks)
		}
		return nil, p.answerError(ctx, addr, nil, err)
	}
	return c, nil
}

func (p *proxy) socksHandshake(ctx context.Context, c net.Conn, addr string) error {
	const none, password, refused = 0, 2, 0xff
	hello := []byte{5, 1, none}
	if p.Username != "" {
		hello = []byte{5, 2, none, password}
	}
	answer, err := socksAsk(c, hello, 2)
	switch {
	case err != nil:
		return err
	case answer[0] != 5:
		return fmt.Errorf("%w: it begins with 0x%02x", errSocks, answer[0])
	case answer[1] == none:
		if err = p.socksConnect(c, addr, ""); err == nil {
			p.asks(false)
		}
		return err
	case answer[1] == password && p.Username != "":
		p.asks(true)
		if err := p.socksPassword(ctx, c); err != nil {
			return err
		}
	case answer[1] == refused && p.Username == "":
		return &Error{Code: ProxyAuthRequired, Message: fmt.Sprintf("The SOCKS5 proxy %s asks for credentials; none are configured.", p.Address),
			Action: "Ask the proxy team for an account for this server, and configure its user name and password file."}
	default:
		return &Error{Code: ProxyAuthRequired, Message: fmt.Sprintf("The SOCKS5 proxy %s takes neither nobody nor a user name and password.", p.Address),
			Action: "Ask the proxy team to take a user name and password from this server, or to let it through by its address."}
	}
	return p.socksConnect(c, addr, p.Username)
}

// socksPassword is RFC 1929.
func (p *proxy) socksPassword(ctx context.Context, c net.Conn) error {
	cred, err := p.secret(ctx)
	if err != nil {
		return err
	}
	v := unsettled
	defer func() { p.settle(cred, v) }()
	if len(cred.password) > 255 {
		return &Error{Code: ProxySecretUnusable, Message: fmt.Sprintf("The password for the SOCKS5 proxy %s is longer than 255 bytes.", p.Address), Action: "Ask for a shorter one."}
	}
	b := append([]byte{1, byte(len(cred.user))}, cred.user...)
	b = append(append(b, byte(len(cred.password))), cred.password...)
	answer, err := socksAsk(c, b, 2)
	if err != nil {
		return err
	}
	if answer[1] != 0 {
		v = rejected
		return &Error{Code: ProxyAuthRejected, Message: fmt.Sprintf("The SOCKS5 proxy %s rejected user %s.", p.Address, p.Username),
			Action: "Check the user name and the password file; after two rejections the same password is not sent for 10 minutes."}
	}
	v = accepted
	return nil
}

func (p *proxy) socksConnect(c net.Conn, addr, account string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	b := []byte{5, 1, 0}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		b = append(append(b, 1), ip.AsSlice()...)
	} else if err == nil {
		b = append(append(b, 4), ip.AsSlice()...)
	} else {
		b = append(append(b, 3, byte(len(host))), host...)
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	answer, err := socksAsk(c, binary.BigEndian.AppendUint16(b, uint16(n)), 4)
	if err != nil {
		return err
	}
	if answer[0] != 5 {
		return fmt.Errorf("%w: it answers with 0x%02x", errSocks, answer[0])
	}
	if code := answer[1]; code != 0 {
		return p.socksRefused(addr, p.from(c.LocalAddr(), account), code)
	}
	rest := 0 // the address that the server has used, which is of no interest
	switch answer[3] {
	case 1:
		rest = 4
	case 4:
		rest = 16
	case 3:
		one := make([]byte, 1)
		if _, err := io.ReadFull(c, one); err != nil {
			return err
		}
		rest = int(one[0])
	default:
		return fmt.Errorf("%w: it has an address of kind %d", errSocks, answer[3])
	}
	_, err = io.ReadFull(c, make([]byte, rest+2))
	return err
}

// socksAsk sends a message and reads so many bytes.
func socksAsk(c net.Conn, b []byte, n int) ([]byte, error) {
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	answer := make([]byte, n)
	_, err := io.ReadFull(c, answer)
	return answer, err
}

func (p *proxy) socksRefused(addr, who string, code byte) error {
	said := socksReplies[code]
	if said == "" {
		said = "an unknown reason"
	}
	if code == 2 {
		return &Error{Code: ProxyDenied, Message: fmt.Sprintf("The SOCKS5 proxy %s refused %s: %s.", p.Address, addr, said),
			Action: fmt.Sprintf("Ask the proxy team to allow connections to %s for %s.", p.w.needs(p, addr), who)}
	}
	return &Error{Code: APIUnreachable, Message: fmt.Sprintf("The SOCKS5 proxy %s cannot reach %s: %s.", p.Address, addr, said),
		Action: "Ask the proxy team whether its own link is up and can resolve the name."}
}
