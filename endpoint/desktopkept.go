package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// The bounds of the policies that a node keeps.
const (
	maxKept       = 50_000
	maxKeptBytes  = 256 << 20
	maxKeptOfUser = 64
	maxKeptWaits  = 1024 // that wait to be written
	keptWrites    = time.Second
	keptSweep     = time.Hour // between two looks for those that have expired
)

// askedFor is what a policy was asked for: by whom, on which machine, for which
// products.
type askedFor struct {
	user     license.UserID
	machine  string
	products []wanted
}

// hashes are the parts of a file's name: of the user, the machine and the products,
// in whatever order these were asked for. A new version of a product is no other one.
func (a askedFor) hashes() (user, machine, products string) {
	var list []string
	for _, p := range a.products {
		list = append(list, strconv.Quote(string(p.product))+strconv.Quote(p.feature))
	}
	slices.Sort(list)
	return hash128(string(a.user)), hash128(strings.ToLower(a.machine)), hash128(strings.Join(slices.Compact(list), ","))
}

func (a askedFor) key() string {
	user, machine, products := a.hashes()
	return user + "-" + machine + "-" + products
}

func hash128(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// keptPolicies are the answers with the last policies that the vendor has signed for
// those who ask this node, each in a file of its own, for the time in which nobody can
// ask the vendor. They are kept as they came, to the byte, and nothing in here is
// believed: whoever finds one verifies it.
//
// Keeping one never waits for the disk: run writes, and what was not written when the
// power went is lost, as is what exceeds the bounds, first what expires first. Dropping
// one is done when drop returns.
type keptPolicies struct {
	dir     string
	most    int
	room    int64
	low     func() bool // there is little room on the disk
	log     *slog.Logger
	writing sync.Mutex // held while files change; taken before mu

	mu      sync.Mutex // guards all below
	files   map[string]keptFile
	ofUser  map[string]map[string]bool // keys by the hash of their user
	size    int64
	waits   map[string]keptAnswer
	signers []byte    // the vendor's answer with its certificate
	named   time.Time // the vendor gave that answer last
	touched time.Time // that is the time of its file
	older   []keptSigner
	unsaved bool // that is to be written again: the disk did not take it
}

// keptFile is a file that is there.
type keptFile struct {
	size  int64
	until int64             // the policy's end, in Unix seconds; part of the file's name
	sum   [sha256.Size]byte // of what is in it; zero: it was there before this process
}

// keptAnswer is one that is to be written.
type keptAnswer struct {
	answer []byte
	until  int64
}

var errLowDisk = errors.New("there is too little room on the disk")

const (
	keptCertificate = "certificate"
	keptTemporary   = "new"
)

func openKeptPolicies(dir string, low func() bool, log *slog.Logger) (*keptPolicies, error) {
	k := &keptPolicies{dir: dir, most: maxKept, room: maxKeptBytes, low: low, log: log,
		files: map[string]keptFile{}, ofUser: map[string]map[string]bool{}, waits: map[string]keptAnswer{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for the vendor's policies: %w", err)
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the vendor's policies: %w", err)
	}
	for _, f := range all {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		key, end, _ := strings.Cut(f.Name(), ".")
		until, err := strconv.ParseInt(end, 10, 64)
		switch old, twice := k.files[key]; {
		case f.Name() == keptCertificate:
			if k.signers, err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
				return nil, fmt.Errorf("reading the vendor's certificate: %w", err)
			}
			k.named, k.touched = info.ModTime(), info.ModTime()
		case strings.HasPrefix(f.Name(), keptOlder):
			k.readOlder(f.Name(), info)
		case err != nil || len(key) != 3*32+2 || info.Size() > cloudapi.MaxPolicy:
			os.Remove(filepath.Join(dir, f.Name())) // half written, or nothing of this node's
		case twice && old.until >= until:
			os.Remove(k.path(key, until))
		case twice:
			k.unlink(key)
			k.enter(key, keptFile{size: info.Size(), until: until})
		default:
			k.enter(key, keptFile{size: info.Size(), until: until})
		}
	}
	k.older = olderThan(k.signers, k.older, time.Now())
	return k, nil
}

func (k *keptPolicies) path(key string, until int64) string {
	return filepath.Join(k.dir, key+"."+strconv.FormatInt(until, 10))
}

// keep keeps an answer in place of the one before, until its policy ends. The one that
// is there already is not written again.
func (k *keptPolicies) keep(of askedFor, answer []byte, until time.Time) {
	key, sum := of.key(), sha256.Sum256(answer)
	k.mu.Lock()
	defer k.mu.Unlock()
	_, waits := k.waits[key]
	switch f, there := k.files[key]; {
	case !waits && there && f.until == until.Unix() && f.sum == sum:
		return
	case !waits && len(k.waits) >= maxKeptWaits:
		return // the disk is too slow; there will be another one
	}
	k.waits[key] = keptAnswer{answer, until.Unix()}
}

// has reports whether there is an answer for what was asked for, by the key of that.
func (k *keptPolicies) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, waits := k.waits[key] // as it does while it is written
	_, there := k.files[key]
	return waits || there
}

// find returns an answer that is kept, or nil.
func (k *keptPolicies) find(of askedFor) []byte {
	key := of.key()
	k.mu.Lock()
	if w, waits := k.waits[key]; waits {
		k.mu.Unlock()
		return w.answer
	}
	f, there := k.files[key]
	k.mu.Unlock()
	if !there {
		return nil
	}
	b, err := os.ReadFile(k.path(key, f.until))
	if err != nil {
		k.log.Warn("a policy that was kept cannot be read", "err", err)
		return nil
	}
	return b
}

// drop forgets what is kept for what was asked for, and reports whether there was something.
func (k *keptPolicies) drop(of askedFor) bool {
	key := of.key()
	if !k.has(key) {
		return false
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.waits, key)
	k.unlink(key)
	return true
}

// dropAll forgets everything of a user on a machine, or, without one, on all machines.
func (k *keptPolicies) dropAll(user license.UserID, machine string) {
	prefix, on, _ := askedFor{user: user, machine: machine}.hashes()
	if machine != "" {
		prefix += "-" + on
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.waits, func(key string, _ keptAnswer) bool { return strings.HasPrefix(key, prefix+"-") })
	owner, _, _ := strings.Cut(prefix, "-")
	for key := range maps.Clone(k.ofUser[owner]) {
		if strings.HasPrefix(key, prefix+"-") {
			k.unlink(key)
		}
	}
}

// run writes what is kept, and removes what has expired, until ctx ends.
func (k *keptPolicies) run(ctx context.Context) {
	writes, sweep := time.NewTicker(keptWrites), time.NewTicker(keptSweep)
	defer writes.Stop()
	defer sweep.Stop()
	k.sweep(time.Now())
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-sweep.C:
			k.sweep(time.Now())
			continue
		case <-writes.C: // a client that asks often is written once
		}
		k.saveAgain()
		for k.writeNext() {
		}
	}
}

// writeNext writes one of those that wait; false: none does.
func (k *keptPolicies) writeNext() bool {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	var key string
	var next keptAnswer
	for key, next = range k.waits {
		break
	}
	k.mu.Unlock()
	if key == "" {
		return false
	}
	err := errLowDisk
	if !k.low() {
		err = k.write(filepath.Base(k.path(key, next.until)), next.answer)
	}
	file := keptFile{int64(len(next.answer)), next.until, sha256.Sum256(next.answer)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.waits[key]; bytes.Equal(now.answer, next.answer) {
		delete(k.waits, key) // else a newer one has come meanwhile, and is written next
	}
	switch old, there := k.files[key]; {
	case errors.Is(err, errLowDisk): // which others tell of
		k.unlink(key)
	case err != nil:
		k.log.Warn("a policy of the vendor is not kept", "err", err)
		k.unlink(key) // the one before is no more the last
	case there && old.until == next.until: // the file was replaced
		k.size += file.size - old.size
		k.files[key] = file
	default:
		k.unlink(key)
		k.enter(key, file)
	}
	k.shrink(key)
	return true
}

// write makes a file with a name at once, or not at all. The caller holds writing.
func (k *keptPolicies) write(name string, content []byte) error {
	temporary := filepath.Join(k.dir, keptTemporary)
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(k.dir, name))
}

// shrink removes what is too much now that there is a new one, first what ends first.
// The caller holds both locks.
func (k *keptPolicies) shrink(added string) {
	user, _, _ := strings.Cut(added, "-")
	if len(k.ofUser[user]) > maxKeptOfUser {
		k.removeFirst(slices.Collect(maps.Keys(k.ofUser[user])), func() bool { return len(k.ofUser[user]) <= maxKeptOfUser })
	}
	if len(k.files) > k.most || k.size > k.room {
		// A little more than needed, so that it is not sorted for every single one.
		k.removeFirst(slices.Collect(maps.Keys(k.files)), func() bool { return len(k.files) <= k.most-k.most/20 && k.size <= k.room-k.room/20 })
	}
}

func (k *keptPolicies) removeFirst(keys []string, enough func() bool) {
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(k.files[a].until, k.files[b].until), cmp.Compare(a, b))
	})
	for _, key := range keys {
		if enough() {
			return
		}
		k.unlink(key)
	}
}

func (k *keptPolicies) sweep(now time.Time) {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, f := range k.files {
		if f.until <= now.Unix() {
			k.unlink(key)
		}
	}
}

func (k *keptPolicies) enter(key string, f keptFile) {
	k.files[key] = f
	k.size += f.size
	user, _, _ := strings.Cut(key, "-")
	if k.ofUser[user] == nil {
		k.ofUser[user] = map[string]bool{}
	}
	k.ofUser[user][key] = true
}

// unlink removes a file, if it is there.
func (k *keptPolicies) unlink(key string) {
	f, there := k.files[key]
	if !there {
		return
	}
	if err := os.Remove(k.path(key, f.until)); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Warn("a policy that is kept no more is still there", "err", err)
	}
	delete(k.files, key)
	k.size -= f.size
	user, _, _ := strings.Cut(key, "-")
	delete(k.ofUser[user], key)
	if len(k.ofUser[user]) == 0 {
		delete(k.ofUser, user)
	}
}
