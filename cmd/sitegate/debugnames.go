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
	"unicode"

	"sitegate/license"
)

// veil calls people, machines and addresses by other names in a debug bundle: the same one
// by the same name, by a key that is nowhere else and forgotten with it. It knows names by
// where they stand (user=…), and because the site's state has them; the latter also within
// a sentence.
type veil struct {
	key   []byte
	names map[string]bool // as bare has them: of people and machines, and words of them
	keep  map[string]bool // as bare has them: nodes and addresses that a configuration has
	runs  int             // how many runs of letters and digits a name in either has at most
	clean cleaner
}

// cleaner takes out what a configuration knows to be secret, or personal.
type cleaner interface {
	Secrets(string) string  // secrets only
	Accounts(string) string // and accounts and e-mail addresses
	Text(string) string     // and paths
}

// newVeil knows no names yet.
func newVeil(clean cleaner) *veil {
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
				v.record(s.Record(k))
			}
		})
	}
	return nil
}

// record takes in the names of a record of the state.
func (v *veil) record(r any) {
	switch r := r.(type) {
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
		v.fields(x)
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

func (v *veil) fields(x reflect.Value) {
	switch r := x.Interface().(type) {
	case license.ReportMark: // whose name is day, week or month
		return
	case license.Veil: // whose name is a pseudonym
		if r.Kind != license.VeilNote {
			v.name(r.Text)
		}
		return
	case license.Learned: // whose name is a product's
		v.name(string(r.User))
		v.name(r.Email)
		return
	}
	machine := x.Type() == reflect.TypeFor[license.Machine]()
	for i := range x.NumField() {
		if f := x.Type().Field(i); f.IsExported() {
			v.in(x.Field(i), machine || slices.Contains(namedFields, f.Name))
		}
	}
}

// words takes in each word of what somebody is called.
func (v *veil) words(name string) {
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(" ,;()\"", r) }) {
		v.name(w)
	}
}

const (
	leastName = 2  // how many bytes a name has at least that is found within a sentence
	mostRuns  = 24 // of what is longer, so many are looked for
)

func (v *veil) name(name string) {
	low, runs := bare(name)
	if len(low) >= leastName && !v.keep[low] {
		v.names[low] = true
		v.runs = max(v.runs, runs)
	}
}

// stay has what the configuration says itself stay as it is: nodes, their addresses.
func (v *veil) stay(names ...string) {
	for _, n := range names {
		if low, runs := bare(n); low != "" {
			v.keep[low] = true
			v.runs = max(v.runs, runs)
			delete(v.names, low)
		}
	}
}

var (
	runForm = regexp.MustCompile(`[\p{L}\p{N}\p{M}]+`)
	// A fingerprint looks like an address in part, and is none.
	addressForm = regexp.MustCompile(`SHA256(?::[0-9A-Fa-f]{2}){32}|\[?(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|\d+\.\d+\.\d+\.\d+)(?:%[\w.-]+)?|\b\d{1,3}(?:\.\d{1,3}){3}\b`)
)

// bare is a name in lower case from its first letter or digit to its last, and of how many
// runs of these it is.
func bare(name string) (string, int) {
	runs := runForm.FindAllStringIndex(name, mostRuns)
	if len(runs) == 0 {
		return "", 0
	}
	return strings.ToLower(name[runs[0][0]:runs[len(runs)-1][1]]), len(runs)
}

// called is what a name is called in the bundle.
func (v *veil) called(name string) string {
	low := strings.ToLower(name)
	if core := strings.TrimFunc(low, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.N, unicode.M) }); core != "" {
		low = core // as it is found within a sentence
	}
	mac := hmac.New(sha256.New, v.key)
	mac.Write([]byte(low))
	return "name-" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:5]))
}

// text is a sentence without names, addresses and secrets.
func (v *veil) text(s string) string {
	return v.clean.Text(v.label(s))
}

// label is text for the value of a metric's label, whose paths are those of the API.
func (v *veil) label(s string) string {
	return addressForm.ReplaceAllStringFunc(v.known(v.clean.Secrets(s)), v.address)
}

// known is a text without the names that are known. What begins and ends with whole runs of
// letters and digits may be one, whatever is between them; the longest is taken.
func (v *veil) known(s string) string {
	var b strings.Builder
	runs := runForm.FindAllStringIndex(s, -1)
	done := 0 // bytes of s
	for i := 0; i < len(runs); {
		from, next := runs[i][0], i+1
		for j := min(len(runs), i+v.runs) - 1; j >= i; j-- {
			name := s[from:runs[j][1]]
			low := strings.ToLower(name)
			if kept := v.keep[low]; !kept && !v.names[low] {
				continue
			} else if !kept {
				b.WriteString(s[done:from])
				b.WriteString(v.called(name))
				done = runs[j][1]
			}
			next = j + 1
			break
		}
		i = next
	}
	b.WriteString(s[done:])
	return b.String()
}

func (v *veil) address(a string) string {
	ip, err := netip.ParseAddr(strings.TrimPrefix(a, "["))
	if err != nil || ip.IsLoopback() || ip.IsUnspecified() || v.kept(ip.String()) {
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

// kept is whether a name, or an address, stays as it is.
func (v *veil) kept(name string) bool {
	low, _ := bare(name)
	return v.keep[low]
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
	case slices.Contains(whoKeys, key) && !v.kept(value):
		return v.called(value)
	case slices.Contains(plainKeys, key): // of the API, which look like paths of this machine
		if key == "path" {
			value = pathOf(value, v.called)
		}
		return v.clean.Accounts(v.label(value))
	}
	return v.text(value)
}
