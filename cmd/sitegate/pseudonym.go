package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint/console"
	"sitegate/license"
	"sitegate/siteca"
	"sitegate/upstream/egress"
)

// pseudonyms name users and machines by keyed hashes (HMAC-SHA-256) in what the site
// itself writes, where that is asked for. The key does not leave the site, so that who
// has the list of all users and no key cannot find out who is who.
type pseudonyms struct {
	key       []byte
	all       bool     // everybody
	countries []string // else the users of these, and who may be one of them
	state     atomic.Pointer[stateOf]
}

// stateOf is where the countries of users are. try reads it only where nobody is to be
// waited for; false: it was not read.
type stateOf struct {
	view func(func(*license.State))
	try  func(func(*license.State)) bool
}

// openPseudonyms reads the key, or makes one in the data folder; nil: names are clear.
func openPseudonyms(c configs.Config) (*pseudonyms, error) {
	if !c.Privacy.Hashes() {
		return nil, nil
	}
	p := &pseudonyms{all: c.Privacy.Names == "hashed", countries: c.Privacy.Countries}
	file := c.Privacy.KeyFile
	if file == "" {
		file = privacyKey(c)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			if err := siteca.WriteFile(file, newPrivacyKey()); err != nil {
				return nil, fmt.Errorf("making the key for hashed names: %w", err)
			}
		}
	}
	var err error
	p.key, err = readPrivacyKey(file)
	return p, err
}

func readPrivacyKey(file string) ([]byte, error) {
	secret, err := egress.ReadSecret(file)
	if err != nil {
		return nil, fmt.Errorf("the key for hashed names (privacy.key_file): %w", err)
	}
	if len(secret) < minPrivacyKey {
		return nil, fmt.Errorf("the key for hashed names in %s is shorter than %d characters, so that it could be guessed", file, minPrivacyKey)
	}
	return []byte(secret), nil
}

// givenKey is the key that the other nodes may be given; nil: there is none.
func (p *pseudonyms) givenKey() []byte {
	if p == nil {
		return nil
	}
	return p.key
}

const minPrivacyKey = 20

// newPrivacyKey is what is in the file of a new key for hashed names.
func newPrivacyKey() []byte { return []byte(rand.Text() + rand.Text() + "\n") }

// privacyKey is the file of a node's own key for hashed names.
func privacyKey(c configs.Config) string { return filepath.Join(c.DataDir, "privacy.key") }

// name is what a user or a machine is called in the log. kind is user or machine; of other
// kinds it is as it was. A line may be written by who reads the state, or changes it, and
// then nothing must be waited for: who cannot be looked up at once is hidden.
func (p *pseudonyms) name(kind, name string) string {
	return p.called(kind, name, func(of *stateOf, f func(*license.State)) {
		if of != nil {
			of.try(f)
		}
	})
}

// shown is what a user or a machine is called in reports. s is the state that the caller
// reads; nil: they read none, and it is waited for.
func (p *pseudonyms) shown(s *license.State, kind, name string) string {
	return p.called(kind, name, func(of *stateOf, f func(*license.State)) {
		if s != nil {
			f(s)
		} else if of != nil {
			of.view(f)
		}
	})
}

func (p *pseudonyms) called(kind, name string, read func(*stateOf, func(*license.State))) string {
	if p == nil || name == "" || !p.hides(kind, name, read) {
		return name
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(kind + "\n" + strings.ToLower(name)))
	return kind[:1] + "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:10]))
}

// aboutUsers are the paths below which a user's id follows.
var aboutUsers = []string{api.PathUsers + "/", api.PathSiteUsers + "/", console.Base + "users/"}

// path is that of a request, which may be about a user.
func (p *pseudonyms) path(path string) string {
	return pathOf(path, func(id string) string { return p.name("user", id) })
}

// pathOf is the path of a request with another name for the user that it may be about.
func pathOf(path string, called func(id string) string) string {
	for _, above := range aboutUsers {
		if rest, about := strings.CutPrefix(path, above); about {
			id, act, more := strings.Cut(rest, "/")
			if id != api.InQuery && id != "" { // which is not logged
				id = called(id)
			}
			path = above + id
			if more {
				path += "/" + act
			}
			break
		}
	}
	return path
}

// hides reports whether a name is to be hashed. Whose country is not known is hidden:
// it may be one of them. So is a machine: who knows that its user is not hidden does not ask.
func (p *pseudonyms) hides(kind, name string, read func(*stateOf, func(*license.State))) bool {
	if p.all || kind == "machine" {
		return true
	}
	hidden := true
	read(p.state.Load(), func(s *license.State) {
		u := s.User(license.UserID(name))
		hidden = u == nil || u.Country == "" || slices.Contains(p.countries, u.Country)
	})
	return hidden
}

// lookIn is where the countries of users are known from now on.
func (p *pseudonyms) lookIn(view func(func(*license.State)), try func(func(*license.State)) bool) {
	if p != nil {
		p.state.Store(&stateOf{view, try})
	}
}

// nameKey is of what the values of a key of the log are names; empty: of nothing.
func nameKey(key string) string {
	switch key {
	case "user":
		return "user"
	case "machine", "other":
		return "machine"
	}
	return ""
}

// logger is one that writes names as they are to be called.
func (p *pseudonyms) logger(l *slog.Logger) *slog.Logger {
	if p == nil {
		return l
	}
	return slog.New(&namingHandler{Handler: l.Handler(), names: p})
}

// namingHandler calls people and machines by other names. A machine is called by its own in a
// line that says on whom it is, if nobody of those is hidden.
type namingHandler struct {
	slog.Handler
	names *pseudonyms
	users userNames // of what is in each line
}

// userNames are the users that a line of the log is about, as far as it matters.
type userNames struct{ clear, hidden bool }

func (u userNames) and(names *pseudonyms, a slog.Attr) userNames {
	if nameKey(a.Key) == "user" {
		if name := a.Value.Resolve().String(); name != "" {
			same := names.name("user", name) == name
			u.clear, u.hidden = u.clear || same, u.hidden || !same
		}
	}
	return u
}

// Handle writes a record.
func (h *namingHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	users := h.users
	r.Attrs(func(a slog.Attr) bool {
		users = users.and(h.names, a)
		return true
	})
	var room [16]slog.Attr
	named := room[:0]
	r.Attrs(func(a slog.Attr) bool {
		named = append(named, h.attr(a, users))
		return true
	})
	out.AddAttrs(named...)
	return h.Handler.Handle(ctx, out)
}

func (h *namingHandler) attr(a slog.Attr, users userNames) slog.Attr {
	switch kind := nameKey(a.Key); {
	case a.Value.Kind() == slog.KindGroup:
		var all []slog.Attr
		for _, b := range a.Value.Group() {
			all = append(all, h.attr(b, users))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(all...)}
	case a.Key == "path":
		return slog.String(a.Key, h.names.path(a.Value.Resolve().String()))
	case kind == "machine" && users.clear && !users.hidden:
	case kind != "":
		return slog.String(a.Key, h.names.name(kind, a.Value.Resolve().String()))
	}
	return a
}

// WithAttrs is a handler with more to say each time.
func (h *namingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	named, users := make([]slog.Attr, len(attrs)), h.users
	for _, a := range attrs {
		users = users.and(h.names, a)
	}
	for i, a := range attrs {
		named[i] = h.attr(a, users)
	}
	return &namingHandler{h.Handler.WithAttrs(named), h.names, users}
}

// WithGroup is a handler whose attributes belong together.
func (h *namingHandler) WithGroup(name string) slog.Handler {
	return &namingHandler{h.Handler.WithGroup(name), h.names, h.users}
}
