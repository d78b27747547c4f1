package endpoint

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/api"
	"sitegate/license"
)

// Issuer is an OpenID Connect issuer whose access tokens are taken.
type Issuer struct {
	URL      string // exactly as in the tokens' iss
	Audience string // one of the tokens' aud
	// UserClaim holds the vendor's id of the user: its name or, with dots, the path to it;
	// empty: sub.
	UserClaim string
	// Domains are those of the e-mails of the users it vouches for, in lower case; nil: it
	// vouches for all.
	Domains []string
	// EmailsVerified: an e-mail is that of whom a token is made out to, also where the token
	// does not say so by email_verified.
	EmailsVerified bool
	// Client fetches the issuer's keys; it goes through the site's way out.
	Client *http.Client
}

// The rhythm of an issuer's keys.
const (
	keysEvery  = 15 * time.Minute   // they are read again
	keysAtMost = time.Minute        // between two readings that tokens ask for
	keysWait   = 2 * time.Second    // a token with a new key waits for a reading
	keysLife   = 7 * 24 * time.Hour // they are good without having been read again
	keysTime   = 15 * time.Second   // for one reading
	maxKeys    = 64
	maxKeyFile = 256 << 10
)

// issuer keeps one issuer's keys: in memory, on disk, and fresh. Only run reads
// them; whoever meets an unknown key id rings and waits a little.
type issuer struct {
	cfg     Issuer
	file    string
	log     *slog.Logger
	metrics *metrics
	forget  func()        // called when a key was withdrawn
	ring    chan struct{} // asks run to read now

	mu      sync.Mutex
	keys    map[string]jose.JSONWebKey // by key id
	absent  map[string]bool            // ids of keys that the last reading did not list, and that count until the next
	marks   map[string]*keyMark        // of the keys that tokens were verified with
	fetched time.Time                  // the keys were read
	tried   time.Time                  // the last reading ended, well or not
	next    chan struct{}              // closed when the next reading ends
	about   aboutIssuer                // as the last reading found it; zero: none did since the start
	held    map[string]jose.JSONWebKey // what the last reading found instead of keys that the site knows; nil: nothing

	// view reads the state, in which the site's other nodes say which keys they know, and catchUp
	// waits until they have said so here; nil: this node is alone. They are set before run.
	view    func(func(*license.State))
	catchUp func(context.Context) error
}

// keyMark tells whoever holds a token that its key was withdrawn.
type keyMark struct{ withdrawn atomic.Bool }

// kept is an issuer's file.
type kept struct {
	Issuer  string             `json:"issuer"`
	Fetched time.Time          `json:"fetched"`
	Keys    jose.JSONWebKeySet `json:"keys"`
}

func newIssuer(cfg Issuer, dir string, log *slog.Logger, m *metrics, forget func()) (*issuer, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("endpoint: the issuer %q is not an https URL", cfg.URL)
	}
	if cfg.Audience == "" || cfg.Client == nil {
		return nil, fmt.Errorf("endpoint: the issuer %s needs an audience and an HTTP client", cfg.URL)
	}
	client := *cfg.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.Client = &client
	name := sha256.Sum256([]byte(cfg.URL))
	is := &issuer{cfg: cfg, file: filepath.Join(dir, hex.EncodeToString(name[:8])+".json"), log: log.With("issuer", cfg.URL),
		metrics: m, forget: forget, marks: map[string]*keyMark{}, ring: make(chan struct{}, 1), next: make(chan struct{})}
	if err := is.load(); err != nil {
		is.log.Warn("the issuer's kept keys were not used", "err", err)
	}
	return is, nil
}

// key returns the public key of an id. One that is not known makes the keys be
// read again, at most once a minute for all, and the caller wait for a moment.
func (is *issuer) key(ctx context.Context, id string) (jose.JSONWebKey, *keyMark, error) {
	is.mu.Lock()
	k, mark, err := is.look(id)
	if mark != nil || time.Since(is.tried) < keysAtMost {
		is.mu.Unlock()
		return k, mark, err
	}
	next := is.asked()
	is.mu.Unlock()
	await(ctx, next)
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.look(id)
}

// asked has the issuer be read now, or as soon as it is run, and tells when that has ended.
// is.mu is held, and so a reading that ends has answered everybody who has rung.
func (is *issuer) asked() (next <-chan struct{}) {
	select {
	case is.ring <- struct{}{}:
	default:
	}
	return is.next
}

// await waits for a moment until a reading has ended.
func await(ctx context.Context, next <-chan struct{}) {
	timer := time.NewTimer(keysWait)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// look finds a key in memory, and its mark. Without any keys that may be used, nobody's
// token can be judged, and that is not the caller's fault.
func (is *issuer) look(id string) (jose.JSONWebKey, *keyMark, error) {
	if len(is.keys) == 0 || time.Since(is.fetched) > keysLife {
		return jose.JSONWebKey{}, nil, &trouble{code: api.CodeNotReady, detail: "the issuer's keys have not been read"}
	}
	k, ok := is.keys[id]
	if _, held := is.held[id]; !ok && held {
		return k, nil, &trouble{code: api.CodeNotReady, detail: "the issuer lists other keys only than this site knows, and an administrator has not accepted them"}
	}
	if !ok {
		return k, nil, &authError{tokenKey}
	}
	mark := is.marks[id]
	if mark == nil {
		mark = &keyMark{}
		is.marks[id] = mark
	}
	return k, mark, nil
}

// run reads the keys every quarter of an hour, sooner after a failure, and when
// somebody rings.
func (is *issuer) run(ctx context.Context) {
	failures := 0
	for is.awaitSite(ctx) {
		err := is.read(ctx)
		pause := keysEvery + rand.N(keysEvery/10)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			is.log.Warn("reading the issuer's keys failed", "err", err)
			pause = min(time.Second<<min(failures, 6), keysAtMost)
			pause += rand.N(pause/4 + 1)
			failures++
		} else {
			failures = 0
			if is.doubtful() {
				pause = keysAtMost
			}
		}
		if !is.rest(ctx, pause, err == nil) {
			return
		}
	}
}

// doubtful reports whether a key was missing in the last reading.
func (is *issuer) doubtful() bool {
	is.mu.Lock()
	defer is.mu.Unlock()
	return len(is.absent) > 0
}

// read fetches the keys, keeps them, and tells those who wait. A key is withdrawn once two
// readings do not list it: one of several servers of an issuer may be behind the others
// for a moment, and would end everybody's connections. Another key under its id
// withdraws it at once, and so do keys that the site knows and this node did not. What is
// not believed changes nothing but what is held.
func (is *issuer) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysTime)
	defer cancel()
	about, keys, set, err := is.fetch(ctx)
	is.metrics.keyReads.WithLabelValues(result(err)).Inc()
	site := is.siteKnows()

	now := time.Now()
	is.mu.Lock()
	is.tried = now
	believed, overlaps := is.believes(keys, site)
	if err == nil {
		is.hold(keys, believed)
	}
	if err == nil && believed {
		withdrawn, absent := false, map[string]bool{}
		for id, k := range is.keys {
			now, listed := keys[id]
			if sameKey(k, now) {
				continue
			}
			if !listed && !is.absent[id] && overlaps {
				absent[id], keys[id] = true, k
				set.Keys = append(set.Keys, k)
				is.log.Warn("the issuer does not list a key that it had: if it is missing again, tokens that it has signed are taken no more", "key", printable(id))
				continue
			}
			withdrawn = true
			if mark := is.marks[id]; mark != nil {
				mark.withdrawn.Store(true)
				delete(is.marks, id)
			}
		}
		is.keys, is.absent, is.fetched, is.about = keys, absent, now, about
		if withdrawn {
			is.forget() // before anybody hears of the new keys
		}
	}
	close(is.next)
	is.next = make(chan struct{})
	select { // it has been done
	case <-is.ring:
	default:
	}
	is.mu.Unlock()
	if err != nil || !believed {
		return err
	}
	if err := is.save(kept{is.cfg.URL, now.UTC(), set}); err != nil {
		return fmt.Errorf("keeping the issuer's keys: %w", err)
	}
	return nil
}

func (is *issuer) fetch(ctx context.Context) (aboutIssuer, map[string]jose.JSONWebKey, jose.JSONWebKeySet, error) {
	var about aboutIssuer
	var set jose.JSONWebKeySet
	if err := is.get(ctx, strings.TrimSuffix(is.cfg.URL, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return about, nil, set, err
	}
	if about.Issuer != is.cfg.URL {
		return about, nil, set, fmt.Errorf("the discovery document is of issuer %.200q: set the issuer's URL exactly so", about.Issuer)
	}
	if !is.sound(about.Keys) {
		return about, nil, set, fmt.Errorf("the discovery document's jwks_uri %.200q is not an https URL", about.Keys)
	}
	if err := is.get(ctx, about.Keys, &set); err != nil {
		return about, nil, set, err
	}
	keys, set := usable(set)
	if len(keys) == 0 {
		return about, nil, set, fmt.Errorf("%s lists no key that can be used", about.Keys)
	}
	return about, keys, set, nil
}

func (is *issuer) get(ctx context.Context, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := is.cfg.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", from, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = errors.New("the answer is too large")
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	return nil
}

// usable picks the public signing keys with an id, the first of each, and drops
// everything else: above all anything private or symmetric.
func usable(set jose.JSONWebKeySet) (map[string]jose.JSONWebKey, jose.JSONWebKeySet) {
	keys, out := map[string]jose.JSONWebKey{}, jose.JSONWebKeySet{}
	for _, k := range set.Keys {
		_, dup := keys[k.KeyID]
		if dup || k.KeyID == "" || len(k.KeyID) > maxKeyID || k.Use != "" && k.Use != "sig" || !k.IsPublic() || !k.Valid() || len(keys) == maxKeys {
			continue
		}
		keys[k.KeyID] = k
		out.Keys = append(out.Keys, k)
	}
	return keys, out
}

// sameKey compares the keys themselves (RFC 7638): a renewed certificate, or an algorithm
// that is named now, makes no other key of one.
func sameKey(a, b jose.JSONWebKey) bool {
	if b.Key == nil {
		return false
	}
	x, err := a.Thumbprint(crypto.SHA256)
	if err != nil {
		return false
	}
	y, err := b.Thumbprint(crypto.SHA256)
	return err == nil && bytes.Equal(x, y)
}

// load reads the keys that were kept, if there are any.
func (is *issuer) load() error {
	data, err := os.ReadFile(is.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("%s cannot be read: %w", is.file, err)
	}
	if k.Issuer != is.cfg.URL || k.Fetched.After(time.Now().Add(keysEvery)) {
		return fmt.Errorf("%s is of issuer %.200q and of %v", is.file, k.Issuer, k.Fetched)
	}
	keys, _ := usable(k.Keys)
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys, is.fetched = maps.Clone(keys), k.Fetched
	return nil
}

// save keeps the keys so that a crash leaves the old file or the new one.
func (is *issuer) save(k kept) error {
	data, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(is.file), ".keys-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already where all went well
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), is.file)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(is.file))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
