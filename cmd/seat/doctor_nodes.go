package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"sitegate/api"
)

const (
	nodeTime = 5 * time.Second
	nodeBody = 64 << 10
)

// checkNodes asks each node whether it is ready, without a token, and what time it is.
func (s *seat) checkNodes(ctx context.Context, o *options, f *findings) (ahead time.Duration, known bool) {
	var roots *x509.CertPool
	if o.ca != "" && len(o.gateways) > 0 {
		pem, err := os.ReadFile(o.ca)
		roots = x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			f.add(fail, "authority", "", fmt.Sprintf("%s does not hold a certificate in PEM that can be read", o.ca), "Ask IT for the site's CA file, site-ca.pem.")
			return 0, false
		}
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t, Timeout: nodeTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, node := range o.gateways {
		if d, ok := checkNode(ctx, c, strings.TrimRight(strings.TrimSpace(node), "/"), f); ok && !known {
			ahead, known = d, true
		}
	}
	return ahead, known
}

func checkNode(ctx context.Context, c *http.Client, node string, f *findings) (ahead time.Duration, known bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/readyz", nil)
	if err != nil || req.URL.User != nil {
		f.add(fail, "node", "", "a gateway URL cannot be read", "Write it as https://HOST:PORT.")
		return 0, false
	}
	resp, err := c.Do(req)
	if err != nil {
		f.add(fail, "node", node, err.Error(), nodeAction(err))
		return 0, false
	}
	defer resp.Body.Close()
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil { // to the second
		ahead, known = time.Until(at.Add(time.Second/2)), true
	}
	var ready api.Ready
	b, err := io.ReadAll(io.LimitReader(resp.Body, nodeBody))
	if err != nil || json.Unmarshal(b, &ready) != nil {
		f.add(fail, "node", node, "what answers there is not a license gateway", "Check the address; IT knows it.")
		return 0, false
	}
	until := ""
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		until = ", its certificate is good until " + clock(resp.TLS.PeerCertificates[0].NotAfter)
	}
	if !ready.Ready {
		f.add(warn, "node", node, "answers, and is not ready (it lacks: "+strings.Join(ready.Missing, ", ")+")"+until, "Ask IT, if it stays so for more than a minute.")
		return ahead, known
	}
	f.add(pass, "node", node, "is ready"+until, "")
	return ahead, known
}

// nodeAction is what to do where a node does not answer.
func nodeAction(err error) string {
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		if d.IsNotFound {
			return "Check the name; are you on the site's network, or its VPN? IT knows the name."
		}
		return "The name server does not answer: check that this computer is on the site's network."
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "The certificate is for another name: write the address with a name it is for; IT knows it."
	}
	if i, ok := errors.AsType[x509.CertificateInvalidError](err); ok && i.Reason == x509.Expired {
		return "The certificate is not valid at this computer's time: check the date; if it is right, tell IT."
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "Ask IT for the site's CA file, and name it: --ca FILE, or ca in the settings. If IT knows nothing of such a certificate, something in between inspects the connection."
	}
	return "Check that this computer is on the site's network; ask IT whether the gateway runs, and whether a firewall lets you there."
}
