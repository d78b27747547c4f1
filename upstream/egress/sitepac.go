package egress

import (
	"context"
	"sync"

	"sitegate/upstream/egress/pac"
)

// SitePAC is the site's own PAC file for others to hand on: looked at again and again, tried before it is taken, with the last good copy in use where it
// cannot be had.
type SitePAC struct {
	d   *Dialer
	cfg PAC
	own string

	mu   sync.Mutex
	file *pacFile
}

// SitePAC makes one. own is what files have in them that gateways make: such a one is no good, or the gateway's own file would hold itself, more often each time.
func (d *Dialer) SitePAC(cfg PAC, own string) *SitePAC { return &SitePAC{d: d, cfg: cfg, own: own} }

// Text is the file's. The error is an *Error with PACFailed, or ctx's, if there is no good one and no copy.
func (s *SitePAC) Text(ctx context.Context) (string, error) {
	w := s.d.way.Load()
	s.mu.Lock()
	if s.file == nil || s.file.w != w {
		f := newPACFile(w, s.cfg)
		f.kind, f.own = "desktops", s.own
		if s.file != nil {
			f.takeOver(s.file)
		}
		s.file = f
	}
	f := s.file
	s.mu.Unlock()
	script, err := f.current(ctx)
	if err != nil {
		return "", err
	}
	return script.Text(), nil
}

// CheckAnswer says what is wrong with an answer of FindProxyForURL, such as "PROXY proxy.example.com:8080; DIRECT".
func CheckAnswer(s string) error {
	_, err := pac.Parse(s)
	return err
}
