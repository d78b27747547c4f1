package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sitegate/license"
)

// veil calls people, machines and addresses by other names in a debug bundle: the same one
// by the same name, by a key that is nowhere else and forgotten with it. It knows names by
// where they stand (user=…), and because the site's state has them; the latter also within
// a sentence.
type veil struct {
	key   []byte
	names map[string]bool // in lower case: of people and machines, and words of them
	odd   []string        // those that are no word, with a space or a slash, quoted for a regexp
	odds  *regexp.Regexp  // any of them; nil: there is none
	keep  map[string]bool // in lower case: nodes and addresses that a configuration has
	clean func(string) string
}

// newVeil knows no names yet. clean takes out what a configuration knows to be secret.
func newVeil(clean func(string) string) *veil {
	return &veil{key: []byte(rand.Text()), names: map[string]bool{}, keep: map[string]bool{}, clean: clean}
}

// namesAtOnce is how many records are looked at while the state waits.
const namesAtOnce = 500

// learn takes in all names that the state has.
func (v *veil) learn(ctx context.Context, view func(func(*license.State))) error {
	var keys []license.Key
	view(func(s *license.State) {
		keys = s.Keys()
		for _, c := range license.Contacts(s) {
			v.name(c.Name) // "Site Licensing", whose words are others', too
			v.name(c.Email)
		}
		v.in(reflect.ValueOf(s.Head()), false)
	})
	for piece := range slices.Chunk(keys, namesAtOnce) {
		if err := ctx.Err(); err != nil {
			return err
		}
		view(func(s *license.State) {
			for _, k := range piece {
				switch r := s.Record(k).(type) {
				case nil:
				case license.Product, *license.Product, license.Head, *license.Head, license.Node, *license.Node:
				case license.User:
					v.user(r)
				case *license.User:
					v.user(*r)
				default:
					v.in(reflect.ValueOf(r), false)
				}
			}
		})
	}
	if len(v.odd) > 0 {
		slices.SortFunc(v.odd, func(a, b string) int { return len(b) - len(a) })
		v.odds = regexp.MustCompile("(?i)" + strings.Join(slices.Compact(v.odd), "|"))
	}
	return nil
}

func (v *veil) user(u license.User) {
	v.name(string(u.ID))
	v.name(u.Email)
	local, _, _ := strings.Cut(u.Email, "@")
	v.name(local)
	v.words(u.Name)
}

// namedFields are what in a record holds a name.
var namedFields = []string{"Name", "Email", "By", "User", "Machine", "Account", "Host"}

// in takes in the names of a value: named, it is one itself.
func (v *veil) in(x reflect.Value, named bool) {
	switch x.Kind() {
	case reflect.String:
		if named || x.Type() == reflect.TypeFor[license.UserID]() {
			v.name(x.String())
		}
	case reflect.Pointer, reflect.Interface:
		if !x.IsNil() {
			v.in(x.Elem(), named)
		}
	case reflect.Struct:
		machine := x.Type() == reflect.TypeFor[license.Machine]()
		for i := range x.NumField() {
			if f := x.Type().Field(i); f.IsExported() {
				v.in(x.Field(i), machine || slices.Contains(namedFields, f.Name))
			}
		}
	case reflect.Slice, reflect.Array:
		if x.Type().Elem().Kind() != reflect.Uint8 {
			for i := range x.Len() {
				v.in(x.Index(i), named)
			}
		}
	case reflect.Map:
		for k, e := range x.Seq2() {
			v.in(k, named)
			v.in(e, named)
		}
	}
}

// words takes in each word of what somebody is called.
func (v *veil) words(name string) {
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(" ,;()\"", r) }) {
		v.name(w)
	}
}

// leastName is how long a name is at least that is found within a sentence.
const leastName = 2

func (v *veil) name(name string) {
	low := strings.ToLower(name)
	switch {
	case len(name) < leastName || v.keep[low]:
	case wordForm.FindString(low) == low:
		v.names[low] = true
	default:
		v.odd = append(v.odd, regexp.QuoteMeta(name))
	}
}

// wordForm is what may be a name as it stands in a sentence.
var (
	wordForm    = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}_.@+$-]*`)
	partForm    = regexp.MustCompile(`[\p{L}\p{N}$+-]+`)
	smallForm   = regexp.MustCompile(`[\p{L}\p{N}]+`)
	addressForm = regexp.MustCompile(`\[?(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|\d+\.\d+\.\d+\.\d+)(?:%[\w.-]+)?|\b\d{1,3}(?:\.\d{1,3}){3}\b`)
)

// called is what a name is called in the bundle.
func (v *veil) called(name string) string {
	mac := hmac.New(sha256.New, v.key)
	mac.Write([]byte(strings.ToLower(name)))
	return "name-" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:5]))
}

// text is a sentence without names, addresses and secrets.
func (v *veil) text(s string) string {
	return v.clean(addressForm.ReplaceAllStringFunc(v.known(s), v.address))
}

// label is text for the value of a metric's label, whose paths are those of the API.
func (v *veil) label(s string) string {
	return addressForm.ReplaceAllStringFunc(v.known(s), v.address)
}

// known is a text without the names that are known: first those that are no word, then
// words, parts of words, and parts of those.
func (v *veil) known(s string) string {
	if v.odds != nil {
		s = v.odds.ReplaceAllStringFunc(s, v.called)
	}
	for _, form := range []*regexp.Regexp{wordForm, partForm, smallForm} {
		s = form.ReplaceAllStringFunc(s, func(w string) string {
			bare := strings.TrimRight(w, ".-")
			if low := strings.ToLower(bare); v.names[low] && !v.keep[low] {
				return v.called(bare) + w[len(bare):]
			}
			return w
		})
	}
	return s
}

func (v *veil) address(a string) string {
	ip, err := netip.ParseAddr(strings.TrimPrefix(a, "["))
	if err != nil || ip.IsLoopback() || ip.IsUnspecified() || v.keep[ip.String()] {
		return a
	}
	mac := hmac.New(sha256.New, v.key)
	mac.Write([]byte(ip.Unmap().WithZone("").String()))
	open := ""
	if strings.HasPrefix(a, "[") {
		open = "["
	}
	return open + "address-" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:5]))
}

// Keys of the log whose values are names, whoever's they are; those of what an administrator
// has written; and those of what looks like something else.
var (
	whoKeys  = []string{"user", "machine", "other", "by", "account", "administrator", "name", "email", "token", "hostname"}
	noteKeys = []string{"note"}

	plainKeys = []string{"path", "route", "fingerprint"}
)

// value is what a line of the log says by a key.
func (v *veil) value(key, value string) string {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		key = key[i+1:]
	}
	switch {
	case value == "":
		return ""
	case slices.Contains(noteKeys, key):
		return "(left out)"
	case slices.Contains(whoKeys, key) && !v.keep[strings.ToLower(value)]:
		return v.called(value)
	case slices.Contains(plainKeys, key): // of the API, which look like paths of this machine
		return v.known(value)
	case key == "of" && !v.keep[strings.ToLower(value)]: // a user, a machine, a node, an account
		return v.called(value)
	}
	return v.text(value)
}

// stay has what the configuration says itself stay as it is: nodes, their addresses.
func (v *veil) stay(names ...string) {
	for _, n := range names {
		if n = strings.ToLower(n); n != "" {
			v.keep[n] = true
			delete(v.names, n)
		}
	}
}
