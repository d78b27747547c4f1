package doctor

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// defaultRoutes are how this system gets to what is not its neighbour, such as "10.1.2.1 (eth0)", for each family. known: the system tells.
func defaultRoutes() (four, six []string, known bool) {
	read := func(file string, parse func(io.Reader) []string) []string {
		f, err := os.Open(file)
		if err != nil {
			return nil
		}
		defer f.Close()
		known = true
		return parse(io.LimitReader(f, 4<<20))
	}
	four = read("/proc/net/route", routes4)
	six = read("/proc/net/ipv6_route", routes6)
	return four, six, known
}

const maxRoutes = 4 // that are shown

// routes4 reads the default routes of Linux' /proc/net/route: interface, destination, gateway, flags, …, mask, in hexadecimal and the machine's order.
func routes4(r io.Reader) (list []string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() && len(list) < maxRoutes {
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 4 {
			continue
		}
		by := f[0]
		if gw := netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32(b)))); !gw.IsUnspecified() {
			by = gw.String() + " (" + f[0] + ")"
		}
		if !slices.Contains(list, by) {
			list = append(list, by)
		}
	}
	return list
}

// routes6 reads those of /proc/net/ipv6_route: destination, its length, source, its length, next hop, metric, …, interface. What leads to nowhere goes by lo.
func routes6(r io.Reader) (list []string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() && len(list) < maxRoutes {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || f[9] == "lo" {
			continue
		}
		b, err := hex.DecodeString(f[4])
		if err != nil || len(b) != 16 {
			continue
		}
		by := f[9]
		if gw := netip.AddrFrom16([16]byte(b)); !gw.IsUnspecified() {
			by = gw.String() + " (" + f[9] + ")"
		}
		if !slices.Contains(list, by) {
			list = append(list, by)
		}
	}
	return list
}
