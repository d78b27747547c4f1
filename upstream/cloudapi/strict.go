package cloudapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxJSONDepth is how deep what is read of the vendor's desktop protocol may nest; a policy nests five deep.
const maxJSONDepth = 16

// readJSON reads exactly one JSON value of at most limit bytes. A field that is given twice, in whichever case, is refused: two readers that
// take another one of the two would see different requests. Fields that are not known are passed over, since clients and services of other
// versions have more of them.
func readJSON(data []byte, limit int, into any) error {
	switch {
	case len(data) > limit:
		return fmt.Errorf("it is larger than %d bytes", limit)
	case !utf8.Valid(data):
		return errors.New("it is not valid UTF-8")
	}
	if err := oneOfEach(data); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// oneOfEach checks that no object in data has a field twice, and that it does not nest too deep. Of what is no JSON it says nothing: it is
// for who reads it then to find that out. It is read for each policy that passes, and so without a decoder.
func oneOfEach(data []byte) error {
	var (
		open   [maxJSONDepth]objectAt // those that are not closed
		depth  int
		fields [][]byte // of all open objects
	)
	for i := 0; i < len(data); {
		switch data[i] {
		case '{', '[':
			if depth == maxJSONDepth {
				return errors.New("it nests too deep")
			}
			open[depth] = objectAt{object: data[i] == '{', key: data[i] == '{', from: len(fields)}
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return nil
			}
			depth--
			fields = fields[:open[depth].from]
			i++
		case ',':
			if depth > 0 {
				open[depth-1].key = open[depth-1].object
			}
			i++
		case '"':
			end := endOfString(data, i)
			if end < 0 {
				return nil
			}
			if depth > 0 && open[depth-1].key {
				top := &open[depth-1]
				name, err := fieldName(data[i:end])
				if err != nil {
					return err
				}
				for _, other := range fields[top.from:] {
					if bytes.EqualFold(name, other) {
						return fmt.Errorf("the field %.40q is given twice", name)
					}
				}
				if len(fields)-top.from == maxJSONFields {
					return errors.New("an object in it has too many fields")
				}
				fields, top.key = append(fields, name), false
			}
			i = end
		default:
			i++
		}
	}
	return nil
}

// objectAt is an object, or an array, that is not closed yet.
type objectAt struct {
	object bool
	key    bool // a field's name comes next
	from   int  // of its fields
}

// maxJSONFields is more than any object of the protocol has.
const maxJSONFields = 256

// endOfString is behind the string that begins at i, or negative: it does not end.
func endOfString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// fieldName is what a field's name in quotes says.
func fieldName(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		return nil, err
	}
	return []byte(name), nil
}

// withoutText is data without the text of a field of the outermost object, and that text. Where it is not written in base64 alone, data is
// returned as it is. The text of a policy is nearly all there is of a token, and what reads JSON would go over it four times.
func withoutText(data []byte, field string) (rest []byte, text string) {
	depth := 0
	for i := 0; i < len(data); {
		switch data[i] {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case '"':
			end := endOfString(data, i)
			if end < 0 {
				return data, ""
			}
			if depth != 1 || string(data[i+1:end-1]) != field || !bytes.HasPrefix(data[end:], []byte(`:"`)) {
				i = end
				continue
			}
			from := end + 2
			to := from + bytes.IndexByte(data[from:], '"')
			if to < from || !only(data[from:to], "+/=") {
				return data, ""
			}
			return append(append(make([]byte, 0, len(data)-to+from), data[:from]...), data[to:]...), string(data[from:to])
		default:
			i++
		}
	}
	return data, ""
}

// isTokenInQuotes reports whether text is a JSON string of what tokens are made of: nothing in it needs to be read.
func isTokenInQuotes(text []byte) bool {
	last := len(text) - 1
	return last > 0 && text[0] == '"' && text[last] == '"' && only(text[1:last], "-_.")
}

// only reports whether text has nothing but letters, digits and these. Each byte is looked up: which
// of them comes next is as good as random, and would be guessed wrong all the time.
func only(text []byte, these string) bool {
	var good [256]bool
	for _, all := range []string{"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", these} {
		for i := range len(all) {
			good[all[i]] = true
		}
	}
	for _, c := range text {
		if !good[c] {
			return false
		}
	}
	return true
}
