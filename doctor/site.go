package doctor

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"sitegate/configs"
	"sitegate/upstream/egress"
)

// configuration looks at the files, and makes the dialer of all that follows. Without one nothing is tried.
func (x *examination) configuration() {
	var problems configs.Problems
	if errors.As(x.Settings.CheckFiles(), &problems) {
		for _, p := range problems {
			x.add(Check{Step: "config", Of: p.Key, State: Fail, Found: p.Text, Action: "Correct it; then sitegate check --config " + x.File + "."})
		}
	}
	d, err := egress.New(x.Way)
	switch {
	case err == nil:
		x.dialer = d
	case len(problems) == 0:
		x.add(Check{Step: "config", Of: "egress", State: Fail, Found: sentence(err.Error()), Action: "Correct it; then sitegate check --config " + x.File + "."})
	}
	if err == nil && len(problems) == 0 {
		x.add(Check{Step: "config", State: Pass, Found: "In order; secrets can be read, and by this user only."})
	}
}

// settings says what the way out is, and where that is written.
func (x *examination) settings() {
	e := x.Settings.Egress
	var words []string
	from := map[string]bool{}
	for _, s := range x.Settings.Settings(x.Origins) {
		if strings.HasPrefix(s.Key, "egress.") && s.Origin.Kind != "" && s.Origin.Kind != configs.ByDefault {
			from[string(s.Origin.Kind)] = true
		}
	}
	for _, p := range x.Way.Proxies {
		words = append(words, "proxy "+proxyName(p))
	}
	if e.PAC != nil {
		words = append(words, "PAC "+strings.TrimSpace(e.PAC.URL+e.PAC.File))
	}
	if e.Direct {
		words = append(words, "direct")
	}
	if n := len(e.Routes); n > 0 {
		words = append(words, fmt.Sprintf("%d routes", n))
	}
	c := Check{Step: "settings", State: Pass, Found: "Way out: " + strings.Join(words, ", ") + "."}
	if len(words) == 0 {
		c.State, c.Found = Skip, "No way out is set, and nothing needs one."
	}
	if len(from) > 0 {
		var list []string
		for _, k := range []configs.Kind{configs.File, configs.Environment, configs.Flag} {
			if from[string(k)] {
				list = append(list, string(k))
			}
		}
		c.Found += " Set by: " + strings.Join(list, ", ") + "."
	}
	x.add(c)
}

// proxyName is what a proxy is called, in rows and in routes.
func proxyName(p egress.Proxy) string {
	if p.Name == "" {
		return p.Address
	}
	return p.Name
}

// node says what the running node knows.
func (x *examination) node() {
	s := x.Status
	if s == nil {
		found := "The node does not answer here: this is about the configuration alone."
		if x.Silent != nil {
			found = sentence(x.Silent.Error())
		}
		x.add(Check{Step: "node", State: Skip, Found: found})
		return
	}
	c := Check{Step: "node", Of: s.Node, State: Pass, Found: "It runs, and the cloud answers it."}
	switch {
	case x.Settings.Cloud == nil:
		c.Found = "It runs; no cloud is set."
	case !s.Link.Up:
		c.State, c.Found, c.Action = Warn, "It runs, and the cloud does not answer it.", "See the first FAIL below. If there is none, see the node's log."
	}
	x.add(c)
	if old := x.unlike(); old != "" {
		x.add(Check{Step: "node", Of: s.Node, State: Warn, Found: old, Action: "Have it read anew: sitegate reload --config " + x.File + "."})
	}
	silent := []string{}
	for _, m := range s.Cluster.Members {
		if m.Name != s.Node && s.Time.Sub(m.Reached) > time.Minute {
			silent = append(silent, fmt.Sprintf("%s (%s)", m.Name, m.Address))
		}
	}
	switch {
	case len(silent) > 0:
		x.add(Check{Step: "node", Of: "peers", State: Fail, Found: "Not heard of for a minute: " + strings.Join(silent, ", ") + ".",
			Action: "Check that they run; then ask the firewall team for the rows \"peer\" below."})
	case len(s.Cluster.Members) > 1:
		x.add(Check{Step: "node", Of: "peers", State: Pass, Found: fmt.Sprintf("All %d have been heard of.", len(s.Cluster.Members)-1)})
	}
	if r := s.Cluster.Replacement; r != nil {
		x.add(replaced(*r))
	}
}

// unlike tells how the running node's proxies differ from the configuration's; empty: not.
func (x *examination) unlike() string {
	mine := map[string]bool{}
	for _, p := range x.Way.Proxies {
		mine[p.Address] = true
	}
	theirs := map[string]bool{}
	for _, e := range x.Status.Egress {
		theirs[e.Address] = true
		if e.Kind != egress.ViaPAC && !mine[e.Address] && x.Way.PAC == nil {
			return fmt.Sprintf("The node uses the proxy %s, which is not in this configuration.", e.Address)
		}
	}
	for _, p := range x.Way.Proxies {
		if !theirs[p.Address] {
			return fmt.Sprintf("The node does not use the proxy %s of this configuration yet.", p.Address)
		}
	}
	return ""
}

// locked says whether the running node has stopped sending its secret to a proxy, and until when.
func (x *examination) locked(address string) (time.Time, bool) {
	if x.Status == nil {
		return time.Time{}, false
	}
	for _, e := range x.Status.Egress {
		if e.State == string(egress.Locked) && e.Address == address {
			return e.Until, true
		}
	}
	return time.Time{}, false
}

// network lists this server's addresses, and how it gets to what is not its neighbour.
func (x *examination) network() {
	c := Check{Step: "network", State: Pass}
	four, six := x.sources()
	switch {
	case len(four)+len(six) == 0:
		c.State, c.Found, c.Action = Warn, "This server has no address but its loopback.", "If that is not meant, ask the network team."
	case len(six) == 0:
		c.Found = "IPv4 " + strings.Join(four, ", ") + "; no IPv6."
	case len(four) == 0:
		c.Found = "IPv6 " + strings.Join(six, ", ") + "; no IPv4."
	default:
		c.Found = "IPv4 " + strings.Join(four, ", ") + "; IPv6 " + strings.Join(six, ", ") + "."
	}
	if by4, by6, known := x.Routes(); known {
		switch by := append(by4, by6...); len(by) {
		case 0:
			c.Found += " No default route: only what is near, and what routes of its own lead to, is reached."
		default:
			c.Found += " Default route by " + strings.Join(by, ", ") + "."
		}
	}
	x.add(c)
}

// sources are the addresses that this server may be seen with, a few of each family.
func (x *examination) sources() (four, six []string) {
	list, err := x.Addresses()
	if err != nil {
		return nil, nil
	}
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			four = append(four, n.IP.String())
		} else {
			six = append(six, n.IP.String())
		}
	}
	slices.Sort(four)
	slices.Sort(six)
	return four[:min(len(four), 4)], six[:min(len(six), 4)]
}

// allowed looks whether desktops can get to the sign-in by the connect door.
func (x *examination) allowed() {
	cn := x.Settings.Connect
	if cn == nil {
		return
	}
	var missing []string
	for _, d := range x.destinations {
		if d.signIn && !slices.Contains(x.Settings.ConnectTargets(), d.addr) {
			missing = append(missing, d.addr)
		}
	}
	if len(missing) > 0 {
		x.add(Check{Step: "allow", Of: cn.Listen, State: Fail, Code: string(egress.HostNotAllowed), Found: "Desktops may not reach the sign-in by the connect door: " + strings.Join(missing, ", ") + ".", Action: "Add it to connect.allow."})
		return
	}
	x.add(Check{Step: "allow", Of: cn.Listen, State: Pass, Found: fmt.Sprintf("The sign-in is among those that it leads to, which are %d.", len(x.Settings.ConnectTargets()))})
}

// sentence is s with a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
