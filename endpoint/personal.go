package endpoint

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sitegate/api"
	"sitegate/license"
)

// Whether something that is kept is about a person is found out by looking at all of it: a
// fact or a record that comes to be later is found, too.

// names are what a person is called.
type names []string

// has reports whether a text is one of the names, or says one of them together with another
// or with a node, as who did something is recorded: ada as root, ida (ada as root), ada at gw2.
func (n names) has(text string) bool {
	if slices.ContainsFunc(n, func(name string) bool { return strings.EqualFold(text, name) }) {
		return true
	}
	if !strings.Contains(text, " ") {
		return false
	}
	said := together(text)
	return slices.ContainsFunc(n, func(name string) bool {
		called := together(name) // in more than one part where a name has such a word in it
		for i := 0; len(called) > 0 && i+len(called) <= len(said); i++ {
			if slices.EqualFunc(said[i:i+len(called)], called, strings.EqualFold) {
				return true
			}
		}
		return false
	})
}

// together are the parts of what is recorded of who did something.
func together(text string) []string {
	const end = "\x00"
	parts := strings.Split(strings.NewReplacer(" (", end, ")", end, " as ", end, " at ", end).Replace(text), end)
	return slices.DeleteFunc(parts, func(part string) bool { return part == "" })
}

// in reports whether a value names the person anywhere.
func (n names) in(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return n.has(v.String())
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && n.in(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && n.in(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return false
		}
		for i := range v.Len() {
			if n.in(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for k, x := range v.Seq2() {
			if n.in(k) || n.in(x) {
				return true
			}
		}
	}
	return false
}

// ofHead are the parts of the state's head that name the person, as who began a bypass. The
// account's are its contacts, which are told of by themselves.
func (n names) ofHead(head license.Head) []api.PersonalRecord {
	var list []api.PersonalRecord
	add := func(part reflect.Value) {
		if part.Kind() == reflect.Struct && n.in(part) {
			list = append(list, api.PersonalRecord{Kind: kindOf(part.Interface()), Data: asKept(part.Interface())})
		}
	}
	v := reflect.ValueOf(head)
	for i := range v.NumField() {
		switch part := v.Field(i); {
		case part.Type() == reflect.TypeFor[license.Account]():
		case part.Kind() == reflect.Slice:
			for j := range part.Len() {
				add(part.Index(j))
			}
		default:
			add(part)
		}
	}
	return list
}

// secretTypes and secretFields are what is told to nobody, whom it concerns neither.
var (
	secretTypes  = []reflect.Type{reflect.TypeFor[license.Digest]()}
	secretFields = []string{"Hash", "Secret", "Salt"}
)

// asKept is a value as a person can read it, in JSON: with its fields in snake_case and
// without those that are zero, or secret.
func asKept(v any) json.RawMessage {
	b, err := json.Marshal(plainly(reflect.ValueOf(v)))
	if err != nil { // which has none of the types that cannot be
		return json.RawMessage("null")
	}
	return b
}

func plainly(v reflect.Value) any {
	if v.IsValid() && v.CanInterface() {
		switch x := v.Interface().(type) {
		case license.Time:
			return x.Std()
		case time.Duration:
			return x.String()
		case license.ID:
			return x.String()
		case fmt.Stringer:
			if v.Kind() != reflect.Pointer && v.Kind() != reflect.Struct {
				return x.String()
			}
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plainly(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && !v.Field(i).IsZero() && !slices.Contains(secretTypes, f.Type) && !slices.Contains(secretFields, f.Name) {
				out[dashed(f.Name, '_')] = plainly(v.Field(i))
			}
		}
		return out
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if !v.CanInterface() || v.Kind() == reflect.Array {
				return nil
			}
			if !utf8.Valid(v.Bytes()) {
				return v.Bytes() // in base64
			}
			return string(v.Bytes())
		}
		out := make([]any, 0, v.Len())
		for i := range v.Len() {
			out = append(out, plainly(v.Index(i)))
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for k, x := range v.Seq2() {
			out[fmt.Sprint(plainly(k))] = plainly(x)
		}
		return out
	}
	return v.Interface()
}

// dashed is a name of Go's in lower case, its words divided: AssignedAt is assigned_at.
func dashed(name string, by rune) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteRune(by)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// kindOf is what a record or a fact is called: local-account.
func kindOf(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return dashed(t.Name(), '-')
}
