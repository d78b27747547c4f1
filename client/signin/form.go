package signin

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
)

// form is the issuer's sign-in form, with its hidden fields.
type form struct {
	action string
	fields url.Values
}

var (
	formTag   = regexp.MustCompile(`(?is)<form\b[^>]*>.*?</form\s*>`)
	openTag   = regexp.MustCompile(`(?is)<(?:form|input)\b[^>]*>`)
	attribute = regexp.MustCompile(`(?s)([a-zA-Z-]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?`)
	alertTag  = regexp.MustCompile(`(?is)<[a-z0-9]+\b[^>]*\brole="alert"[^>]*>([^<]*)<`)
)

// readForm finds the form that asks for email and password in a page.
func readForm(at *url.URL, page []byte) (form, error) {
	for _, text := range formTag.FindAllString(string(page), 20) {
		tags := openTag.FindAllString(text, 100)
		f := form{fields: url.Values{}}
		var email, password bool
		for _, tag := range tags[1:] {
			a := attributes(tag)
			switch name := a["name"]; {
			case name == "email":
				email = true
			case name == "password":
				password = true
			case name != "" && strings.EqualFold(a["type"], "hidden"):
				f.fields.Set(name, a["value"])
			}
		}
		if !email || !password {
			continue
		}
		to, err := at.Parse(attributes(tags[0])["action"])
		if err != nil {
			return f, fmt.Errorf("the sign-in form leads nowhere: %w", err)
		}
		if to.Scheme != at.Scheme || to.Host != at.Host {
			return f, fmt.Errorf("the sign-in form at %s sends the password to %s", at.Host, to.Host)
		}
		f.action = to.String()
		return f, nil
	}
	return form{}, errors.New("the sign-in page has no form with email and password: sign in with a browser")
}

// attributes are those of a tag, names in lower case.
func attributes(tag string) map[string]string {
	all := map[string]string{}
	tag = strings.TrimSuffix(tag[strings.IndexAny(tag, " \t\r\n/>"):], ">")
	for _, m := range attribute.FindAllStringSubmatch(tag, 50) {
		all[strings.ToLower(m[1])] = html.UnescapeString(strings.Trim(m[2], `"'`))
	}
	return all
}

// alert is what a page says went wrong.
func alert(page []byte) string {
	m := alertTag.FindSubmatch(page)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(html.UnescapeString(string(m[1])))
}
