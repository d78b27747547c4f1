package egress_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"sitegate/upstream/egress/krb/krbtest"
)

// corporate is a proxy that asks for credentials as real products do. Everything it lets through is answered by itself: the bytes of the
// tunnel come back.
type corporate struct {
	offers         []string         // the Proxy-Authenticate headers, one each; several schemes in one are possible
	user, password string           // of NTLM (with domain), Digest and Basic
	service        *krbtest.Service // of Negotiate; nil: every ticket is refused

	closeFirst bool   // the connection ends after a 407 to a request without credentials, as the first one
	closeAll   bool   // it ends after every 407
	type1Is200 bool   // NTLM's first message opens the tunnel
	type2      string // what answers NTLM's first message instead of a challenge
	nonces     int    // a Digest nonce is good for so many requests; zero: any number
	tls        *tls.Config

	addr  string
	mu    sync.Mutex
	open  bool     // everybody is let through
	log   []string // what came with each request: "1 Basic", the number of the connection before it
	conns int
	nonce int
	used  int
}

func (p *corporate) start(t *testing.T) *corporate {
	t.Helper()
	ln := listen(t)
	p.addr = ln.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				if p.tls != nil {
					c = tls.Server(c, p.tls)
				}
				p.serve(c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return p
}

// requests is what came since the last time.
func (p *corporate) requests() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.log, ", ")
	p.log = nil
	return s
}

func (p *corporate) serve(c net.Conn) {
	p.mu.Lock()
	p.conns++
	conn := p.conns
	p.mu.Unlock()
	br := bufio.NewReader(c)
	var challenge []byte // of NTLM, on this connection
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		value := req.Header.Get("Proxy-Authorization")
		scheme, rest, _ := strings.Cut(value, " ")
		p.mu.Lock()
		p.log = append(p.log, strings.TrimSpace(fmt.Sprint(conn, " ", scheme)))
		open := p.open
		p.mu.Unlock()
		headers, ok := p.offers, len(p.offers) == 0
		switch scheme {
		case "Basic":
			ok = rest == base64.StdEncoding.EncodeToString([]byte(p.user+":"+p.password))
		case "Digest":
			var stale bool
			if ok, stale = p.digest(req.Host, rest); stale {
				headers = []string{fmt.Sprintf(`Digest realm="r", nonce="%d", qop="auth", stale=TRUE`, p.number())}
			}
		case "NTLM":
			token, _ := base64.StdEncoding.DecodeString(rest)
			switch {
			case len(token) > 8 && token[8] == 1 && p.type1Is200:
				ok = true
			case len(token) > 8 && token[8] == 1 && p.type2 != "":
				headers = []string{p.type2}
			case len(token) > 8 && token[8] == 1:
				challenge = []byte("8 bytes!")
				headers = []string{"NTLM " + base64.StdEncoding.EncodeToString(type2(challenge))}
			case challenge != nil:
				ok = p.ntlm(challenge, token)
				challenge = nil
			}
		case "Negotiate":
			token, _ := base64.StdEncoding.DecodeString(rest)
			if p.service != nil {
				_, err := p.service.Accept(token)
				ok = err == nil
			}
		}
		if ok || open {
			io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
			io.Copy(c, br)
			return
		}
		var h strings.Builder
		for _, o := range headers {
			fmt.Fprintf(&h, "Proxy-Authenticate: %s\r\n", strings.ReplaceAll(o, "NONCE", fmt.Sprint(p.current())))
		}
		over := p.closeAll || p.closeFirst && scheme == ""
		if over {
			h.WriteString("Connection: close\r\nProxy-Connection: close\r\n")
		}
		fmt.Fprintf(c, "HTTP/1.1 407 Proxy Authentication Required\r\nServer: corporate (edge/5.7)\r\n%sContent-Length: 9\r\n\r\nSign in.\n", h.String())
		if over {
			return
		}
	}
}

func (p *corporate) number() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nonce++
	p.used = 0
	return p.nonce
}

func (p *corporate) current() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nonce
}

// digest checks MD5 with qop=auth.
func (p *corporate) digest(host, rest string) (ok, stale bool) {
	v := map[string]string{}
	for part := range strings.SplitSeq(rest, ", ") {
		k, value, _ := strings.Cut(part, "=")
		v[k] = strings.ReplaceAll(strings.Trim(value, `"`), `\\`, `\`)
	}
	sum := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	want := sum(sum(p.user+":"+v["realm"]+":"+p.password) + ":" + v["nonce"] + ":" + v["nc"] + ":" + v["cnonce"] + ":auth:" + sum("CONNECT:"+host))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used++
	if v["nonce"] != fmt.Sprint(p.nonce) || p.nonces > 0 && p.used > p.nonces {
		return false, true
	}
	return v["response"] == want && v["username"] == p.user && v["nc"] == fmt.Sprintf("%08x", p.used), false
}

// type2 is an NTLM challenge ([MS-NLMP] 2.2.1.2).
func type2(challenge []byte) []byte {
	info := []byte{2, 0, 8, 0, 'C', 0, 'O', 0, 'R', 0, 'P', 0, 0, 0, 0, 0}
	b := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	b = append(b, 0, 0, 0, 0, 48, 0, 0, 0) // no target's name
	b = binary.LittleEndian.AppendUint32(b, 0x1|0x200|0x80000|0x800000)
	b = append(append(b, challenge...), make([]byte, 8)...)
	b = append(b, byte(len(info)), 0, byte(len(info)), 0, 48, 0, 0, 0)
	return append(b, info...)
}

// ntHash is MD4 of corpPass in UTF-16.
const ntHash = "8b7ea1c9407550f4a32270873894a388"

// ntlm checks an NTLMv2 answer.
func (p *corporate) ntlm(challenge, token []byte) bool {
	field := func(at int) []byte {
		if len(token) < at+8 {
			return nil
		}
		n, off := int(binary.LittleEndian.Uint16(token[at:])), int(binary.LittleEndian.Uint32(token[at+4:]))
		if off+n > len(token) {
			return nil
		}
		return token[off : off+n]
	}
	wide := func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return b
	}
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(md5.New, key)
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	domain, user, _ := strings.Cut(p.user, `\`)
	nt := field(20)
	if len(nt) < 24 || !bytes.Equal(field(28), wide(domain)) || !bytes.Equal(field(36), wide(user)) {
		return false
	}
	hash, err := hex.DecodeString(ntHash)
	if err != nil || p.password != corpPass {
		return false
	}
	key := mac(hash, wide(strings.ToUpper(user)+domain))
	return bytes.Equal(nt[:16], mac(key, challenge, nt[16:]))
}
