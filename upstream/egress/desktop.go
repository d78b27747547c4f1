package egress

import "fmt"

// ForDesktop is what is said to a person whose program could not get to addr by this way out: what is wrong in general, and whom to ask for
// what. It names no account, no proxy and nothing that one has said: those are for the log.
func (e *Error) ForDesktop(addr string) string {
	switch e.Code {
	case ProxyDNSFailed, ProxyConnectRefused, ProxyConnectTimeout, ProxyConnectFailed:
		return "The license gateway cannot reach the site's proxy. Ask IT to look whether the proxy runs, and whether the gateway may connect to it."
	case ProxyTLSFailed, ProxyBadAnswer:
		return "The license gateway and the site's proxy do not understand each other. Ask IT to look at the proxy's address and kind in the gateway's configuration."
	case ProxyNoAnswer:
		return fmt.Sprintf("The site's proxy has not connected the license gateway to %s in time. Try again; if it stays so, ask IT to look whether the proxy's own link is up.", addr)
	case ProxyAuthRequired:
		return "The site's proxy wants to know who the license gateway is, and the gateway has no credentials that it takes. Ask IT to give the gateway an account at the proxy. Your own account has nothing to do with it."
	case ProxyAuthRejected, ProxySecretUnusable:
		return "The site's proxy does not take the license gateway's account. Ask IT to correct the gateway's user name or password there. Your own account has nothing to do with it."
	case KerberosClockSkew:
		return "The license gateway's clock is wrong, so that the site's proxy does not believe it. Ask IT to set that clock."
	case KerberosSPN, KerberosFailed:
		return "The license gateway gets no Kerberos ticket for the site's proxy. Ask IT to look at the gateway's Kerberos settings. Your own account has nothing to do with it."
	case ProxyDenied:
		return fmt.Sprintf("The site's proxy does not let the license gateway connect to %s. Ask IT to have CONNECT to %s allowed for the gateway.", addr, addr)
	case PACFailed:
		return fmt.Sprintf("The site's proxy configuration file (PAC) does not say how to get to %s. Ask IT to have that file put right.", addr)
	case CaptivePortal:
		return "Something between the site and the internet wants a person to sign in on a web page first. Ask IT to exempt the license gateway from that page."
	case HostNotAllowed:
		return fmt.Sprintf("%s is not to be reached from this site: the license gateway's own configuration denies it. If the licensing client needs it, ask IT to change that.", addr)
	case PrivateAddress:
		return fmt.Sprintf("%s leads to an address inside this site, where the license gateway lets nobody through. If the licensing client needs it, ask IT to allow that network at the gateway (connect.private).", addr)
	case APIUnreachable:
		return fmt.Sprintf("%s does not answer, or the site's own link is down. Try again later; if it stays so, ask IT.", addr)
	case TLSIntercepted, TLSNameMismatch, TLSExpired, TLSFailed, WebsocketBlocked:
		return fmt.Sprintf("Something between the site and %s interferes with the connection. Ask IT to have that host exempted from inspection.", addr)
	}
	return fmt.Sprintf("The license gateway could not connect to %s. Ask IT to look at its log.", addr)
}
