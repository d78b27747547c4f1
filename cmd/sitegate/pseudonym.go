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
	countries []string // else the users of these, and all machines
	country   atomic.Pointer[func(license.UserID) (country string, known bool)]
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
			if err := siteca.WriteFile(file, []byte(rand.Text()+rand.Text()+"\n")); err != nil {
				return nil, fmt.Errorf("making the key for hashed names: %w", err)
			}
		}
	}
	secret, err := egress.ReadSecret(file)
	if err != nil {
		return nil, fmt.Errorf("the key for hashed names (privacy.key_file): %w", err)
	}
	if len(secret) < minPrivacyKey {
		return nil, fmt.Errorf("the key for hashed names in %s is shorter than %d characters, so that it could be guessed", file, minPrivacyKey)
	}
	p.key = []byte(secret)
	return p, nil
}

const minPrivacyKey = 20

// privacyKey is the file of a node's own key for hashed names.
func privacyKey(c configs.Config) string { return filepath.Join(c.DataDir, "privacy.key") }

// name is what a user or a machine is called. kind is user or machine; of other kinds
// it is as it was.
func (p *pseudonyms) name(kind, name string) string {
	if p == nil || name == "" || !p.hides(kind, name) {
		return name
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(kind + "\n" + strings.ToLower(name)))
	return kind[:1] + "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:10]))
}

// path is that of a request, which may be about a user.
func (p *pseudonyms) path(path string) string {
	rest, about := strings.CutPrefix(path, api.PathUsers+"/")
	if !about {
		return path
	}
	id, act, more := strings.Cut(rest, "/")
	path = api.PathUsers + "/" + p.name("user", id)
	if more {
		path += "/" + act
	}
	return path
}

// hides reports whether a name is to be hashed. Whose country is not known is hidden:
// it may be one of them.
func (p *pseudonyms) hides(kind, name string) bool {
	if p.all || kind == "machine" {
		return true
	}
	look := p.country.Load()
	if look == nil {
		return true
	}
	country, known := (*look)(license.UserID(name))
	return !known || slices.Contains(p.countries, country)
}

// lookIn is where the countries of users are known from now on.
func (p *pseudonyms) lookIn(view func(func(*license.State))) {
	if p == nil {
		return
	}
	look := func(id license.UserID) (country string, known bool) {
		view(func(s *license.State) {
			if u := s.User(id); u != nil {
				country, known = u.Country, true
			}
		})
		return country, known
	}
	p.country.Store(&look)
}

// nameKeys are the keys of the log whose values are names, and of what.
var nameKeys = map[string]string{"user": "user", "of": "user", "machine": "machine", "other": "machine"}

// logger is one that writes names as they are to be called.
func (p *pseudonyms) logger(l *slog.Logger) *slog.Logger {
	if p == nil {
		return l
	}
	return slog.New(&namingHandler{l.Handler(), p})
}

// namingHandler calls people and machines by other names.
type namingHandler struct {
	slog.Handler
	names *pseudonyms
}

// Handle writes a record.
func (h *namingHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

func (h *namingHandler) attr(a slog.Attr) slog.Attr {
	switch kind := nameKeys[a.Key]; {
	case a.Value.Kind() == slog.KindGroup:
		var all []slog.Attr
		for _, b := range a.Value.Group() {
			all = append(all, h.attr(b))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(all...)}
	case a.Key == "path":
		return slog.String(a.Key, h.names.path(a.Value.Resolve().String()))
	case kind != "":
		return slog.String(a.Key, h.names.name(kind, a.Value.Resolve().String()))
	}
	return a
}

// WithAttrs is a handler with more to say each time.
func (h *namingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		named[i] = h.attr(a)
	}
	return &namingHandler{h.Handler.WithAttrs(named), h.names}
}

// WithGroup is a handler whose attributes belong together.
func (h *namingHandler) WithGroup(name string) slog.Handler {
	return &namingHandler{h.Handler.WithGroup(name), h.names}
}
