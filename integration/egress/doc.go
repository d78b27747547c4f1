// Package egress runs the gateway's way out through the proxies that sites have: squid with Basic, Digest, NTLM and Negotiate against a KDC of
// its own, tinyproxy, dante, microsocks, and haproxy in front of squid for TLS. The gateway is in a network namespace from which nothing but the
// proxies can be reached, and the cloud in one that only the proxies reach.
//
// Its tests need root, iproute2, and the Debian packages of these programs (.ci/run installs them); they are skipped, with a line that
// says what is missing, where these are not there.
package egress
