package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/upstream/egress"
)

// The ends of a certificate that are near.
const nearEnd = 14 * 24 * time.Hour

// listener looks at the certificate that clients are to be shown, where it is the site's own, and at what they are shown, where the node runs.
func (x *examination) listener(ctx context.Context) {
	a := x.Settings.API
	if a.CertFile != "" {
		leaf, err := readLeaf(a.CertFile)
		if err != nil {
			x.add(Check{Step: "listener", Of: a.Listen, State: Fail, Found: sentence("api.cert_file: " + err.Error()), Action: "Give it a certificate in PEM, the node's own first."})
			return
		}
		x.add(shown(a.Listen, nameOf(a.URL), leaf, "Get a new api.cert_file from the site's PKI."))
	} else {
		x.add(Check{Step: "listener", Of: a.Listen, State: Skip, Found: "The node's own certificate, which it renews by itself."})
	}
	if x.Status == nil || x.Reach == nil {
		return
	}
	x.asDesktops(ctx)
}

// shown is about a certificate that clients are shown, by the name they come by; empty: it is not known. renew is what to do at its end.
func shown(of, name string, leaf *x509.Certificate, renew string) Check {
	c := Check{Step: "listener", Of: of, State: Pass, Found: "Good until " + leaf.NotAfter.UTC().Format(time.DateOnly) + "."}
	switch left := time.Until(leaf.NotAfter); {
	case left <= 0:
		c.State, c.Code, c.Found, c.Action = Fail, string(egress.TLSExpired), "Ended on "+leaf.NotAfter.UTC().Format(time.DateOnly)+": clients refuse it.", renew
	case name != "" && leaf.VerifyHostname(name) != nil:
		c.State, c.Code, c.Found, c.Action = Fail, string(egress.TLSNameMismatch), "It is not for "+name+", by which clients reach this node.", "Get one with that name, or set api.url."
	case left < nearEnd:
		c.State, c.Found, c.Action = Warn, "Ends on "+leaf.NotAfter.UTC().Format(time.DateOnly)+".", renew
	}
	return c
}

// asDesktops comes to the node by the address that desktops have: whatever stands in front of it, such as a load balancer, has a certificate of its own, and may not let websockets through.
func (x *examination) asDesktops(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hopTime)
	defer cancel()
	name, addr := nameOf(x.Settings.API.URL), hostPort(x.Settings.API.URL)
	if addr == "" {
		addr = x.Settings.API.Listen
		if host, port, err := net.SplitHostPort(addr); err == nil {
			if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
				addr = net.JoinHostPort("localhost", port)
			}
		}
	}
	raw, err := x.Reach(ctx, addr)
	if err != nil {
		x.add(Check{Step: "listener", Of: addr, State: Warn, Found: sentence("This server does not reach it, by which desktops come: " + err.Error()), Action: "Try it from a desktop: seat doctor. If it fails there, too, ask whoever runs the load balancer or DNS."})
		return
	}
	defer raw.Close()
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any
	}
	roots.AppendCertsFromPEM(x.SiteCA)
	var leaf *x509.Certificate
	var untrusted error
	own := false
	over := tls.Client(raw, &tls.Config{ServerName: cmp.Or(name, "localhost"), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // nothing is shown to it, and it is looked at here
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("it shows no certificate")
			}
			leaf = s.PeerCertificates[0]
			opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, c := range s.PeerCertificates[1:] {
				opts.Intermediates.AddCert(c)
			}
			_, untrusted = leaf.Verify(opts)
			own = bytes.Equal(fileLeaf(x.Settings.API.CertFile), leaf.Raw)
			return nil
		}})
	if err := over.HandshakeContext(ctx); err != nil {
		x.add(Check{Step: "listener", Of: addr, State: Fail, Code: string(egress.TLSFailed), Found: sentence("TLS with it, as desktops begin it, fails: " + err.Error()), Action: "Check api.url, and what stands in front of this node."})
		return
	}
	c := shown(addr, name, leaf, "Renew it where it is: on this node, or on what stands in front of it.")
	if c.State == Pass {
		c.Found = fmt.Sprintf("Desktops are shown a certificate issued by '%s'. %s", leaf.Issuer, c.Found)
		switch _, unknown := errors.AsType[x509.UnknownAuthorityError](untrusted); {
		case untrusted != nil && !unknown:
			c.State, c.Action = Warn, sentence("It is refused by this server, and may be by desktops: "+untrusted.Error())+" Replace it where it is: on this node, or on what stands in front of it."
		case unknown:
			c.State, c.Action = Warn, "This server does not trust that authority, or lacks certificates in between. Make sure that desktops do: seat doctor, on one of them."
			if own {
				c.Action = "This server does not trust that authority. Make sure that desktops do, and that api.cert_file has the certificates in between after the node's own."
			}
		}
	}
	x.add(c)
	c = Check{Step: "websocket", Of: addr, State: Pass, Found: "Desktops' websockets get through to the node."}
	if err := egress.AskWebsocket(ctx, over, addr, api.PathNotices); err != nil {
		c.State = Warn
		if c.explain(err); c.Code == string(egress.WebsocketBlocked) {
			c.State = Fail
		}
	}
	x.add(c)
}

// nameOf is the host of a URL; empty: it has none.
func nameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

func readLeaf(file string) (*x509.Certificate, error) {
	f, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(f)
	if block == nil {
		return nil, errors.New("it has no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// fileLeaf is a file's first certificate as bytes; nil: there is none.
func fileLeaf(file string) []byte {
	if file == "" {
		return nil
	}
	c, err := readLeaf(file)
	if err != nil {
		return nil
	}
	return c.Raw
}
