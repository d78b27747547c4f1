package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"sitegate/api"
	"sitegate/license"
)

// maxDepth is how deep a body may nest; ours nest twice.
const maxDepth = 8

// maxWaste is how much of a body that is too large is still taken, and dropped,
// before the answer.
const maxWaste = 1 << 20

// readAll reads a body to its end.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &trouble{code: api.CodeTooLarge}
	case err != nil:
		return nil, malformed("the body could not be read to its end")
	}
	return data, nil
}

// unmarshal reads one JSON object and nothing else: an unknown field, a field
// given twice, something behind the object or broken text is malformed, and said
// so.
func unmarshal(data []byte, into any) error {
	if !utf8.Valid(data) {
		return malformed("the body is not valid UTF-8")
	}
	if !simple(data) {
		if err := strict(data); err != nil {
			return err
		}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return malformed(jsonFault(err))
	}
	return nil
}

// strict checks what encoding/json lets pass: fields given twice or in another
// case, and more than one value.
func strict(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type object struct {
		seen map[string]bool // nil: an array
		key  bool            // a key comes next
	}
	var open []object
	for n := 0; ; n++ {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			if n == 0 || len(open) > 0 {
				return malformed("the body ends too early")
			}
			return nil
		}
		if err != nil {
			return malformed(jsonFault(err))
		}
		if n > 0 && len(open) == 0 {
			return malformed("there is more behind the object")
		}
		if n == 0 && tok != json.Delim('{') {
			return malformed("the body is not a JSON object")
		}
		if delim, ok := tok.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			top := &open[len(open)-1]
			if key, ok := tok.(string); ok && top.seen != nil && top.key {
				top.key = false
				switch {
				case top.seen[key]:
					return malformed(fmt.Sprintf("the field %.40q is given twice", key))
				case strings.ToLower(key) != key:
					return malformed(fmt.Sprintf("the field %.40q is not known", key))
				}
				top.seen[key] = true
				continue
			}
			top.key = top.seen != nil
		}
		if delim, ok := tok.(json.Delim); ok {
			if len(open) == maxDepth {
				return malformed("the body nests too deep")
			}
			o := object{}
			if delim == '{' {
				o = object{seen: map[string]bool{}, key: true}
			}
			open = append(open, o)
		}
	}
}

// jsonFault says what is wrong with JSON without the package's own words.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("the field %.60q cannot be a %s", kind.Field, kind.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the body ends too early"
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Sprintf("the field %.42s is not known", field)
	}
	return "a value in it cannot be read, such as a time that is not RFC 3339"
}

// machine checks the machine a request names and makes it the rules'.
func machine(m api.Machine) (license.Machine, error) {
	switch {
	case m.ID == "":
		return license.Machine{}, malformed("machine.id is missing")
	case !plain(m.ID) || !plain(m.Name):
		return license.Machine{}, malformed("the machine's id or name is longer than 256 bytes or has control characters")
	}
	return license.Machine{ID: m.ID, Name: m.Name}, nil
}

// plain reports whether s can be an id or a name: valid text of at most MaxName
// bytes without control characters.
func plain(s string) bool {
	return len(s) <= license.MaxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func parseID(s string) (license.ID, error) {
	id, err := license.ParseID(s)
	if err != nil {
		return id, malformed(err.Error())
	}
	if id.IsZero() {
		return id, malformed("the id is zero")
	}
	return id, nil
}
