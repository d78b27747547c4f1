package egress

import "strings"

// challenge is one offer of a Proxy-Authenticate header (RFC 9110, 11.6.1).
type challenge struct {
	scheme string
	params map[string]string // names in lower case; a token68 is under ""
}

// parseChallenges reads all headers: each may hold several challenges, each challenge several parameters, both divided by commas, and a
// quoted value may hold commas itself. What makes no sense is left out.
func parseChallenges(headers []string) []challenge {
	var list []challenge
	for _, h := range headers {
		for len(list) < 32 {
			h = strings.TrimLeft(h, " \t,")
			word := token(h)
			if word == "" {
				break
			}
			h = strings.TrimLeft(h[len(word):], " \t")
			if strings.HasPrefix(h, "=") && len(list) > 0 { // a parameter of the last challenge
				var value string
				value, h = paramValue(strings.TrimLeft(h[1:], " \t"))
				list[len(list)-1].params[strings.ToLower(word)] = value
				continue
			}
			c := challenge{scheme: word, params: map[string]string{}}
			if t := token68(h); t != "" {
				c.params[""] = t
				h = h[len(t):]
			}
			list = append(list, c)
		}
	}
	return list
}

func token(s string) string {
	return s[:span(s, "!#$%&'*+-.^_`|~")]
}

// token68 is a value without a name, as NTLM and Negotiate have: it ends at a comma or the end.
func token68(s string) string {
	n := span(s, "-._~+/")
	n += len(s[n:]) - len(strings.TrimLeft(s[n:], "="))
	if rest := strings.TrimLeft(s[n:], " \t"); n > 0 && (rest == "" || rest[0] == ',') {
		return s[:n]
	}
	return ""
}

// span is how many bytes s begins with that are letters, digits or one of more.
func span(s, more string) int {
	i := 0
	for i < len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(more, c) >= 0) {
			break
		}
		i++
	}
	return i
}

// paramValue reads a token or a quoted string, and gives what follows.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		t := token(s)
		return t, s[len(t):]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
