package egress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"sitegate/upstream/egress/pac"
)

// ownAddress is the address that this machine has towards the outside. Nothing is sent for it.
func ownAddress() netip.Addr {
	for _, to := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // documentation's addresses: any that is far away
		if c, err := net.Dial("udp", to); err == nil {
			a := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
			c.Close()
			return a
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// fetch reads the file, directly: it says how to connect, so it cannot need a proxy.
func (f *pacFile) fetch(ctx context.Context) ([]byte, error) {
	if f.cfg.File != "" {
		file, err := os.Open(f.cfg.File)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readPAC(file)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.cfg.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/x-ns-proxy-autoconfig, */*")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, DialContext: f.w.net.DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, _, err := splitAddr(addr)
			if err != nil {
				return nil, err
			}
			raw, err := f.w.net.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return f.w.handshake(ctx, raw, host, addr, "http/1.1")
		}},
		CheckRedirect: redirected}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return readPAC(resp.Body)
}

// redirected refuses where a file must not come from because the server that has it says so: what was asked for over TLS comes over TLS, and no other
// protocol is spoken than the web's. To another host it may lead, as it does where one file serves many names; it is told nothing but what is asked for.
func redirected(to *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("it is redirected more than %d times", maxRedirects)
	case to.URL.Scheme != "https" && to.URL.Scheme != "http":
		return fmt.Errorf("it is redirected to %.20q, which is not of the web", to.URL.Scheme)
	case to.URL.Scheme == "http" && via[0].URL.Scheme == "https":
		return fmt.Errorf("it is redirected from https to http, where anybody on the way could change it: set the address that it is to be read from")
	}
	to.Header.Del("Referer") // an address may be nobody else's business
	return nil
}

func readPAC(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, pac.MaxFile+1))
	if err == nil && len(b) > pac.MaxFile {
		err = fmt.Errorf("it is larger than %d bytes", pac.MaxFile)
	}
	return b, err
}

// kept is where the last good copy is; empty: nowhere.
func (f *pacFile) kept() string {
	if f.w.cfg.StateDir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(f.place()))
	return filepath.Join(f.w.cfg.StateDir, f.kind+"-"+hex.EncodeToString(sum[:6])+".pac")
}

// keep writes the copy; its time is when the file was last good. What goes wrong is told and changes nothing.
func (f *pacFile) keep(src []byte) {
	name := f.kept()
	if name == "" {
		return
	}
	if old, err := os.ReadFile(name); err == nil && string(old) == string(src) {
		now := time.Now()
		_ = os.Chtimes(name, now, now) // only what is said about the copy is less exact
		return
	}
	tmp := name + ".new"
	err := os.WriteFile(tmp, src, 0o600)
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		f.w.d.log.Warn("no copy of the PAC file could be kept", "file", name, "err", err)
	}
}

func (f *pacFile) copied() ([]byte, time.Time, error) {
	name := f.kept()
	if name == "" {
		return nil, time.Time{}, os.ErrNotExist
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	b, err := readPAC(file)
	return b, st.ModTime(), err
}
