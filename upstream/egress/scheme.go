package egress

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/go-ntlmssp"
	"github.com/icholy/digest"
)

// title is a scheme as it is written.
func title(s Scheme) string {
	switch s {
	case NTLM:
		return "NTLM"
	case "":
		return "nothing"
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}

// basic shows the password as it is.
type basic struct {
	x    *exchange
	done bool
}

func (b *basic) answer(ctx context.Context, _ []challenge) (string, error) {
	if b.done {
		return "", nil
	}
	b.done = true
	c, err := b.x.secret(ctx)
	if err != nil {
		return "", err
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password)), nil
}

func (b *basic) legs() bool { return false }
func (b *basic) close()     {}

// digestAuth shows that it knows the password, by a number of the proxy's (RFC 7616). A number that was good once is used again, until the proxy
// gives another.
type digestAuth struct {
	x        *exchange
	old      bool // the last answer used a remembered number
	answered bool // it was by a number of this exchange
	stale    bool // and the proxy has called it stale once
}

func (a *digestAuth) answer(ctx context.Context, offers []challenge) (string, error) {
	p := a.x.p
	var chal *digest.Challenge
	if offers == nil {
		p.mu.Lock()
		chal = p.nonce
		p.mu.Unlock()
		if chal == nil {
			return "", nil
		}
		a.old = true
	} else {
		var err error
		if chal, err = strongestDigest(offers, p.Realm); err != nil {
			return "", err
		}
		switch {
		case !a.answered: // what was remembered may have become too old, whether the proxy says so or not
		case chal.Stale && !a.stale:
			a.stale = true
		default:
			return "", nil
		}
		a.old, a.answered = false, true
	}
	c, err := a.x.secret(ctx)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	if p.nonce == nil || p.nonce.Nonce != chal.Nonce {
		p.nonce, p.count = chal, 0
	}
	p.count++
	count := p.count
	p.mu.Unlock()
	cred, err := digest.Digest(chal, digest.Options{Method: "CONNECT", URI: a.x.addr, Username: c.user, Password: c.password, Count: count})
	if err != nil {
		return "", err
	}
	return digestHeader(cred), nil
}

// digestHeader writes credentials so that names and realms in whatever encoding come out as they went in.
func digestHeader(c *digest.Credentials) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var b strings.Builder
	fmt.Fprintf(&b, `Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`, quoted.Replace(c.Username), quoted.Replace(c.Realm), quoted.Replace(c.Nonce), quoted.Replace(c.URI), c.Response)
	if c.Algorithm != "" {
		fmt.Fprintf(&b, ", algorithm=%s", c.Algorithm)
	}
	if c.Opaque != "" {
		fmt.Fprintf(&b, `, opaque="%s"`, quoted.Replace(c.Opaque))
	}
	if c.QOP != "" {
		fmt.Fprintf(&b, `, qop=%s, nc=%08x, cnonce="%s"`, c.QOP, c.Nc, c.Cnonce)
	}
	if c.Userhash {
		b.WriteString(", userhash=true")
	}
	return b.String()
}

func (a *digestAuth) legs() bool { return false }
func (a *digestAuth) close()     {}

// digests are the algorithms, the strongest first.
var digests = []string{"SHA-512-256", "SHA-512", "SHA-256", "MD5", ""}

// strongestDigest is the best offer that can be answered.
func strongestDigest(offers []challenge, realm string) (*digest.Challenge, error) {
	best, rank := (*digest.Challenge)(nil), len(digests)
	for _, o := range offers {
		if !strings.EqualFold(o.scheme, "digest") || realm != "" && o.params["realm"] != realm {
			continue
		}
		c := &digest.Challenge{Realm: o.params["realm"], Nonce: o.params["nonce"], Opaque: o.params["opaque"], Algorithm: o.params["algorithm"],
			Stale: strings.EqualFold(o.params["stale"], "true"), Userhash: strings.EqualFold(o.params["userhash"], "true")}
		for q := range strings.SplitSeq(o.params["qop"], ",") {
			if q = strings.ToLower(strings.TrimSpace(q)); q != "" {
				c.QOP = append(c.QOP, q)
			}
		}
		for i, a := range digests[:rank] {
			if strings.EqualFold(a, c.Algorithm) && c.Nonce != "" && digest.CanDigest(c) {
				best, rank = c, i
				break
			}
		}
	}
	if best == nil {
		return nil, errors.New("none of its challenges can be answered")
	}
	return best, nil
}

// ntlm shows that it knows the password, in two steps on one connection ([MS-NLMP], NTLMv2 only).
type ntlm struct {
	x    *exchange
	step int
}

func (n *ntlm) answer(ctx context.Context, offers []challenge) (string, error) {
	n.step++
	switch n.step {
	case 1:
		b, err := ntlmssp.NewNegotiateMessage("", "")
		if err != nil {
			return "", err
		}
		return "NTLM " + base64.StdEncoding.EncodeToString(b), nil
	case 2:
		b, err := token68Of(offers, NTLM)
		if err != nil || b == nil {
			return "", err
		}
		c, err := n.x.secret(ctx)
		if err != nil {
			return "", err
		}
		b, err = ntlmAnswer(b, c)
		if err != nil {
			return "", err
		}
		return "NTLM " + base64.StdEncoding.EncodeToString(b), nil
	}
	return "", nil
}

// ntlmAnswer is made by a library that reads lengths and offsets of the proxy's choice.
func ntlmAnswer(challenge []byte, c *credential) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the challenge cannot be read (%s)", strconv.Quote(printable(fmt.Sprint(r), 100)))
		}
	}()
	return ntlmssp.NewAuthenticateMessage(readable(challenge), c.user, c.password, nil)
}

// readable is an NTLM challenge without what cannot be read and is not needed: the name of the proxy's domain and target information, where they lie
// outside of the message ([MS-NLMP] 2.2.1.2). There are proxies that leave the fields out and begin with the text in their place, and the
// library gives up over them.
func readable(challenge []byte) []byte {
	const name, info, head = 12, 40, 48
	if len(challenge) < info {
		return challenge
	}
	b := slices.Clone(challenge)
	if missing := head - len(b); missing > 0 {
		b = append(b, make([]byte, missing)...)
	}
	for _, field := range []int{name, info} {
		length, at := binary.LittleEndian.Uint16(b[field:]), binary.LittleEndian.Uint32(b[field+4:])
		if uint64(at)+uint64(length) > uint64(len(challenge)) {
			clear(b[field : field+8])
		}
	}
	return b
}

func (n *ntlm) legs() bool { return n.step > 1 }
func (n *ntlm) close()     {}

// token68Of is the token that comes with the offer of a scheme; nil: there is none.
func token68Of(offers []challenge, s Scheme) ([]byte, error) {
	for _, o := range offers {
		if strings.EqualFold(o.scheme, string(s)) && o.params[""] != "" {
			b, err := base64.StdEncoding.DecodeString(o.params[""])
			if err != nil {
				return nil, errors.New("the proxy's token is not base64")
			}
			return b, nil
		}
	}
	return nil, nil
}
