package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

const (
	srvTime  = 5 * time.Second
	srvNodes = 16
)

// discover finds the gateway's nodes by their SRV records, _sitegate._tcp in the
// site's domain (RFC 2782). Which of them is asked first is chosen at random, whatever
// their priorities and weights: they do the same, and name each other.
//
// A network that somebody else runs can say what its domain is, and have a gateway
// there with a certificate of a public authority; an access token would go to it. So
// the domain must be named by IT (--domain, or settings), or the site's own authority
// be known (--ca), and nodes must be in the domain whose record names them.
func (s *seat) discover(ctx context.Context, o *options) ([]string, error) {
	domain := strings.Trim(o.domain, ".")
	if domain == "" && o.ca == "" {
		return nil, nil
	}
	if domain == "" {
		domain = ownDomain(s.getenv)
	}
	name := "_sitegate._tcp"
	if domain != "" {
		name += "." + domain + "."
	}
	ctx, cancel := context.WithTimeout(ctx, min(srvTime, o.timeout))
	defer cancel()
	at, records, err := s.lookup(ctx, name)
	if err != nil {
		if d, ok := errors.AsType[*net.DNSError](err); ok && d.IsNotFound {
			if o.domain == "" { // nobody has said that there is one
				return nil, nil
			}
			err = errors.New("there is no such record")
		}
		return nil, fmt.Errorf("looking for %s: %w", strings.TrimSuffix(name, "."), err)
	}
	if domain == "" { // the resolver knows it
		_, domain, _ = strings.Cut(strings.Trim(at, "."), "_sitegate._tcp.")
	}
	var nodes []string
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		if host == "" || r.Port == 0 { // "decidedly not available at this domain"
			continue
		}
		if domain == "" || host != strings.ToLower(domain) && !strings.HasSuffix(host, "."+strings.ToLower(domain)) {
			return nil, fmt.Errorf("the record %s names %s, which is not in that domain: a token is not sent there; give --gateway instead", strings.TrimSuffix(name, "."), plain(host))
		}
		if len(nodes) < srvNodes {
			nodes = append(nodes, "https://"+net.JoinHostPort(host, fmt.Sprint(r.Port)))
		}
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("the record %s names no gateway", strings.TrimSuffix(name, "."))
	}
	return nodes, nil
}

// ownDomain is the domain that this computer belongs to; empty: the resolver may
// know better.
func ownDomain(getenv func(string) string) string {
	if d := getenv("USERDNSDOMAIN"); d != "" { // of a Windows domain
		return strings.ToLower(d)
	}
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	_, domain, _ := strings.Cut(host, ".")
	return domain
}

// lookupSRV asks the system's resolver. at is the name that was found.
func lookupSRV(ctx context.Context, name string) (at string, _ []*net.SRV, _ error) {
	return net.DefaultResolver.LookupSRV(ctx, "", "", name)
}
