package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// inspectors are products that inspect TLS, by words in the certificates that they issue.
var inspectors = []struct{ word, product string }{
	{"zscaler", "Zscaler"}, {"netskope", "Netskope"}, {"goskope", "Netskope"}, {"blue coat", "Symantec (Blue Coat) ProxySG"}, {"bluecoat", "Symantec (Blue Coat) ProxySG"},
	{"symantec web", "Symantec Web Security"}, {"forcepoint", "Forcepoint"}, {"websense", "Forcepoint (Websense)"}, {"mcafee", "Skyhigh (McAfee) Web Gateway"}, {"skyhigh", "Skyhigh Web Gateway"},
	{"palo alto", "Palo Alto Networks"}, {"paloalto", "Palo Alto Networks"}, {"globalprotect", "Palo Alto Networks"}, {"prisma", "Palo Alto Networks Prisma"}, {"fortinet", "Fortinet FortiGate"}, {"fortigate", "Fortinet FortiGate"},
	{"check point", "Check Point"}, {"checkpoint", "Check Point"}, {"sophos", "Sophos"}, {"barracuda", "Barracuda"}, {"watchguard", "WatchGuard"}, {"sonicwall", "SonicWall"},
	{"umbrella", "Cisco Umbrella"}, {"ironport", "Cisco Secure Web Appliance"}, {"cisco", "Cisco"}, {"menlo", "Menlo Security"}, {"iboss", "iboss"}, {"cato networks", "Cato Networks"}, {"cloudflare gateway", "Cloudflare Gateway"}, {"gateway ca - cloudflare", "Cloudflare Gateway"},
	{"kaspersky", "Kaspersky"}, {"eset", "ESET"}, {"avast", "Avast"}, {"avg", "AVG"}, {"bitdefender", "Bitdefender"}, {"trend micro", "Trend Micro"}, {"aruba", "Aruba"}, {"huawei", "Huawei"}, {"ubiquiti", "Ubiquiti"}, {"untangle", "Untangle"},
	{"smoothwall", "Smoothwall"}, {"lightspeed", "Lightspeed"}, {"contentkeeper", "ContentKeeper"}, {"clearswift", "Clearswift"}, {"squid", "Squid"}, {"pfsense", "pfSense"}, {"mitmproxy", "mitmproxy"},
}

// inspector is the product that probably issued a certificate, or "".
func inspector(c *x509.Certificate) string {
	words := strings.Fields(strings.ToLower(strings.Join(append([]string{c.Issuer.String(), strings.Join(c.EmailAddresses, " ")}, c.IssuingCertificateURL...), " ")))
	text := " " + strings.Map(func(r rune) rune {
		if strings.ContainsRune(",=+/\"'()@.", r) {
			return ' '
		}
		return r
	}, strings.Join(words, " "))
	for _, i := range inspectors {
		if strings.Contains(text, " "+i.word) { // at the beginning of a word: "reset" is not ESET
			return i.product
		}
	}
	return ""
}

// leafOf is the certificate that a handshake failed on, or nil.
func leafOf(err error) *x509.Certificate {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0 {
		return verify.UnverifiedCertificates[0]
	}
	return nil
}

func issuerOf(err error) string {
	if c := leafOf(err); c != nil {
		if s := c.Issuer.String(); s != "" {
			return printable(s, 200)
		}
	}
	return "an unnamed authority"
}

// tlsError tells why a handshake with the destination addr failed.
func (w *way) tlsError(addr string, err error) error {
	e := &Error{Code: TLSFailed, Err: err, Message: fmt.Sprintf("The TLS handshake with %s failed: %v.", addr, err),
		Action: "Ask the proxy or firewall team whether something between here and there answers in its place."}
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	issuer := issuerOf(err)
	switch {
	case errors.As(err, &name):
		e.Code = TLSNameMismatch
		e.Message = fmt.Sprintf("The certificate that answered for %s, issued by '%s', is for another name.", addr, issuer)
		e.Action = "Check the address in the configuration, and whether something between here and there answers in its place."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Code = TLSExpired
		e.Message = fmt.Sprintf("The certificate of %s, issued by '%s', has expired or is not valid yet by this server's clock.", addr, issuer)
		e.Action = "Check this server's clock first; then tell whoever runs the authority."
	case errors.As(err, &unknown):
		e.Code = TLSIntercepted
		by := "the connection is probably inspected on its way"
		if leaf := leafOf(err); leaf != nil {
			if product := inspector(leaf); product != "" {
				by = "the connection is inspected by " + product
			}
		}
		host, _, _ := net.SplitHostPort(addr)
		e.Message = fmt.Sprintf("The certificate of %s was issued by '%s', which is not trusted here: %s.", addr, issuer, by)
		e.Action = fmt.Sprintf("Ask the proxy team not to inspect %s, or for the root certificate, and add that under egress.extra_ca for %s.", w.inspected(host), host)
	case errors.As(err, &record):
		e.Code = CaptivePortal
		e.Message = fmt.Sprintf("What answered for %s speaks no TLS: something between here and there answers in its place, such as a sign-in page.", addr)
		e.Action = "Ask the proxy or network team to exempt this server from its sign-in page."
	case isTimeout(err), errors.Is(err, context.DeadlineExceeded):
		e.Message = fmt.Sprintf("The TLS handshake with %s got no answer.", addr)
		e.Action = "Ask the proxy or firewall team whether it lets TLS 1.2 and 1.3 to this destination through; some drop large first packets."
	}
	return e
}
