package signin

import "net/url"

// ReadForm is readForm, for tests.
func ReadForm(at string, page []byte) (action string, fields url.Values, err error) {
	u, err := url.Parse(at)
	if err != nil {
		return "", nil, err
	}
	f, err := readForm(u, page)
	return f.action, f.fields, err
}
