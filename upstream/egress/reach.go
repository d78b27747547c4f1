package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// reached is what one dial has come to: the addresses that it tried, for whoever has to open them.
type reached struct {
	mu    sync.Mutex
	addrs []string
	took  time.Duration
}

// dial is n.DialContext, and notes which addresses it tries, of those that n.ControlContext lets it. What a name leads to is known nowhere else where nothing answers.
func dial(ctx context.Context, n net.Dialer, addr string) (net.Conn, *reached, error) {
	r, begun := new(reached), time.Now()
	admit := n.ControlContext
	n.ControlContext = func(ctx context.Context, network, to string, raw syscall.RawConn) error {
		if admit != nil {
			if err := admit(ctx, network, to, raw); err != nil {
				return err
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Contains(r.addrs, to) {
			r.addrs = append(r.addrs, to)
		}
		return nil
	}
	c, err := n.DialContext(ctx, "tcp", addr)
	r.took = time.Since(begun)
	return c, r, err
}

// maxShown bounds the addresses, and the hosts, of one sentence.
const maxShown = 12

// tried are the addresses. The first family's connection may still be under way when the other's has failed.
func (r *reached) tried() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.addrs[:min(len(r.addrs), maxShown)])
}

// at is in brackets what was tried for addr, where that says more than addr does.
func (r *reached) at(addr string) string {
	if list := r.tried(); len(list) > 0 && !slices.Contains(list, addr) {
		return " (" + strings.Join(list, ", ") + ")"
	}
	return ""
}

// opening is what a firewall has to let through: from where to where.
func (r *reached) opening(addr string) string {
	list := r.tried()
	if len(list) == 0 {
		list = []string{addr}
	}
	from := make([]string, 0, len(list))
	for _, to := range list {
		from = append(from, sourceTo(to)+" to "+to)
	}
	return strings.Join(from, ", and ") + " (TCP)"
}

// sourceTo is this server's address as addr sees it. Nothing is sent to find out, and no name is looked up: that has just failed, or would take as long again.
func sourceTo(addr string) string {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return "this server"
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		return "this server"
	}
	defer c.Close()
	return hostOf(c.LocalAddr())
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return "this server"
	}
	return host
}

// Unresolved says why a name could not be looked up, and which DNS server was asked. False: err is about something else.
func Unresolved(err error) (why string, ok bool) {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return "", false
	}
	why = dns.Err
	switch {
	case dns.IsTimeout:
		why = "no DNS server answers"
	case dns.IsNotFound:
		why = "there is no such name"
	}
	if dns.Server != "" {
		return why + " (asked: " + dns.Server + ")", true
	}
	if f, err := os.Open(resolvConf); err == nil { // the system's own resolver does not tell
		defer f.Close()
		if list := nameservers(f); len(list) > 0 {
			return why + " (this server's DNS: " + strings.Join(list, ", ") + ")", true
		}
	}
	return why, true
}

const resolvConf = "/etc/resolv.conf"

// nameservers are those of a resolv.conf, of which three count.
func nameservers(r io.Reader) (list []string) {
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for lines.Scan() && len(list) < 3 {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == "nameserver" && net.ParseIP(strings.Split(f[1], "%")[0]) != nil {
			list = append(list, f[1])
		}
	}
	return list
}

// needs are the destinations that whoever lets addr through by this proxy should let through, too: those of Config.Hosts that go by it, with addr first. For a host
// that is none of them it is addr alone. As a list for a sentence.
func (w *way) needs(p *proxy, addr string) string {
	list := []string{addr}
	if slices.Contains(w.cfg.Hosts, addr) {
		for _, h := range w.cfg.Hosts {
			if len(list) < maxShown && !slices.Contains(list, h) && w.mayGo(h, p) {
				list = append(list, h)
			}
		}
	}
	return strings.Join(list, ", ")
}

// mayGo says whether a destination goes by a proxy, as far as that is known without asking a PAC file.
func (w *way) mayGo(addr string, p *proxy) bool {
	host, _, err := splitAddr(addr)
	if err != nil {
		return false
	}
	if r := w.route(host); r != nil {
		return slices.Contains(r.Via, ViaPAC) || slices.Contains(r.Via, p.name())
	}
	return !w.cfg.Direct
}

// inspected are the hosts that should be exempted from inspection together: those of Config.Hosts, with host first.
func (w *way) inspected(host string) string {
	list := []string{host}
	if slices.ContainsFunc(w.cfg.Hosts, func(h string) bool { return strings.HasPrefix(h, host+":") }) {
		for _, h := range w.cfg.Hosts {
			name, port, err := net.SplitHostPort(h)
			if err == nil && port == "443" && len(list) < maxShown && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return strings.Join(list, ", ")
}

// from is who a proxy sees here: this server's address, and the account that it was shown.
func (p *proxy) from(local net.Addr, account string) string {
	who := hostOf(local)
	if account != "" {
		who += fmt.Sprintf(" (account %s)", account)
	}
	return who
}
