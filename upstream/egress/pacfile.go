package egress

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sitegate/upstream/egress/pac"
)

const (
	pacFetchTime = 10 * time.Second
	pacRetry     = 15 * time.Second // after a fetch that failed
	pacKeep      = time.Minute      // of an answer
	maxPACKept   = 1024             // answers
	maxRedirects = 3
)

// pacFile is a PAC file, wherever it comes from. A file that cannot be had or read any more leaves the last good one in use, from memory or from the
// copy on disk. Without any, there is no way out: never directly.
type pacFile struct {
	w    *way
	cfg  PAC
	kind string // whom it is for, which its copy is called after
	own  string // what no such file has in it; empty: anything
	one  singleflight.Group

	mu      sync.Mutex
	script  *pac.Script
	src     [sha256.Size]byte // of script
	from    time.Time         // when script was good: now, or as the copy tells
	looked  time.Time         // when it was looked for last
	err     error             // why script is not the newest
	answers map[string]pacAnswer
}

type pacAnswer struct {
	list  []pac.Entry
	until time.Time
}

func newPACFile(w *way, cfg PAC) *pacFile {
	cfg.Refresh = cmp.Or(cfg.Refresh, 10*time.Minute)
	return &pacFile{w: w, cfg: cfg, kind: "proxy", answers: map[string]pacAnswer{}}
}

// takeOver begins with what an older configuration knows of the same file; it is looked for anew all the same.
func (f *pacFile) takeOver(old *pacFile) {
	if old.place() != f.place() {
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	f.script, f.src, f.from = old.script, old.src, old.from
}

func (f *pacFile) place() string { return cmp.Or(f.cfg.URL, f.cfg.File) }

// candidates are what the file says about a destination.
func (f *pacFile) candidates(ctx context.Context, host, port string) ([]candidate, error) {
	entries, err := f.find(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var list []candidate
	for _, e := range entries {
		if e.Kind == pac.Direct {
			list = append(list, candidate{})
			continue
		}
		p, err := f.w.named(Kind(e.Kind), e.Address)
		if err != nil {
			return nil, f.failed(err)
		}
		list = append(list, candidate{p})
	}
	return list, nil
}

// find asks the script, or remembers what it said a minute ago.
func (f *pacFile) find(ctx context.Context, host, port string) ([]pac.Entry, error) {
	script, err := f.current(ctx)
	if err != nil {
		return nil, err
	}
	url := pacURL(host, port)
	now := time.Now()
	f.mu.Lock()
	a, ok := f.answers[url]
	f.mu.Unlock()
	if ok && now.Before(a.until) {
		return a.list, nil
	}
	list, err := script.Find(ctx, url, host)
	if err != nil {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		if ok { // what it said before is better than nothing
			f.w.d.log.Warn("the PAC file fails, what it said before is used", "pac", f.place(), "err", err)
			return a.list, nil
		}
		return nil, f.failed(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.script != script {
		return list, nil
	}
	if len(f.answers) >= maxPACKept {
		clear(f.answers)
	}
	f.answers[url] = pacAnswer{list, now.Add(pacKeep)}
	return list, nil
}

// pacURL is what the file is told: never a path, which is nobody's business.
func pacURL(host, port string) string {
	name := host
	if net.ParseIP(host) != nil {
		name = net.JoinHostPort(host, "")
		name = name[:len(name)-1]
	}
	switch port {
	case "80":
		return "http://" + name + "/"
	case "443":
		return "https://" + name + "/"
	}
	return "https://" + name + ":" + port + "/"
}

// failed is the file's error.
func (f *pacFile) failed(err error) error {
	return &Error{Code: PACFailed, Err: err, Message: fmt.Sprintf("The PAC file %s does not say how to connect: %s. Nothing is connected directly for that.", f.place(), printable(err.Error(), 300)),
		Action: "Ask the proxy team to look at the PAC file, or name the proxies in the gateway's configuration."}
}

// current is the script to ask: the one at hand, or, if there is none yet, the one that is there after looking for it.
func (f *pacFile) current(ctx context.Context) (*pac.Script, error) {
	f.mu.Lock()
	script, stale := f.script, time.Since(f.looked) >= f.again()
	f.mu.Unlock()
	if script != nil && !stale {
		return script, nil
	}
	done := f.one.DoChan("", func() (any, error) {
		f.refresh(context.WithoutCancel(ctx))
		return nil, nil
	})
	if script != nil {
		return script, nil // the newer one is for those who come later
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.script == nil {
		return nil, f.err
	}
	return f.script, nil
}

// again is when the file is looked at again; the lock is held.
func (f *pacFile) again() time.Duration {
	switch {
	case f.err == nil:
		return f.cfg.Refresh
	case f.script == nil:
		return time.Second
	}
	return pacRetry
}

// refresh looks at the file again.
func (f *pacFile) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pacFetchTime)
	defer cancel()
	src, err := f.fetch(ctx)
	var script *pac.Script
	sum := sha256.Sum256(src)
	f.mu.Lock()
	same := f.script != nil && sum == f.src
	f.mu.Unlock()
	if err == nil && !same {
		if script, err = f.compile(ctx, src); err != nil {
			err = fmt.Errorf("the file is no good: %w", err)
		}
	}
	if err == nil {
		f.keep(src)
		f.mu.Lock()
		defer f.mu.Unlock()
		if !same {
			f.script, f.src = script, sum
			clear(f.answers)
		}
		f.from, f.looked, f.err = time.Now(), time.Now(), nil
		return
	}
	f.mu.Lock()
	have, from := f.script != nil, f.from
	f.mu.Unlock()
	if !have {
		if copied, at, copyErr := f.copied(); copyErr == nil {
			if script, compileErr := f.compile(ctx, copied); compileErr == nil {
				f.mu.Lock()
				f.script, f.src, f.from = script, sha256.Sum256(copied), at
				f.mu.Unlock()
				have, from = true, at
			}
		}
	}
	e := &Error{Code: PACFailed, Err: err, Message: fmt.Sprintf("The PAC file %s cannot be used: %s.", f.place(), printable(err.Error(), 300)),
		Action: "Ask the proxy team where the PAC file is, or name the proxies in the gateway's configuration. Nothing is connected directly for that."}
	if have {
		e.Message = fmt.Sprintf("The PAC file %s cannot be used: %s; the copy of %s is in use.", f.place(), printable(err.Error(), 300), from.UTC().Format("2006-01-02 15:04"))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.w.d.log.Warn("the PAC file cannot be had or is no good", "pac", f.place(), "err", e)
	}
	f.looked, f.err = time.Now(), e
}

// compile makes a script of a file and has it say something about the cloud, so that one that only fails when it is asked does not replace one
// that works.
func (f *pacFile) compile(ctx context.Context, src []byte) (*pac.Script, error) {
	s, err := pac.Compile(src, pac.Config{Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	}, Own: ownAddress})
	if err != nil {
		return nil, err
	}
	if f.own != "" && strings.Contains(s.Text(), f.own) {
		return nil, errors.New("it is one that a license gateway makes, and not the site's own")
	}
	if err := s.Load(ctx); err != nil || f.w.cfg.Probe == "" {
		return s, err
	}
	host, port, err := splitAddr(f.w.cfg.Probe)
	if err == nil {
		_, err = s.Find(ctx, pacURL(host, port), host)
	}
	return s, err
}
