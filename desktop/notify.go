package desktop

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gen2brain/beeep"
)

const (
	shown   = 10 * time.Second // what a notification may take to be handed over
	waiting = 8                // notifications
	longest = 300              // runes of one
)

// Notifier shows notifications one after the other. Its methods may be called at
// once from many goroutines.
type Notifier struct {
	show func(title, text string) error
	mu   sync.Mutex
	next []notification
	busy bool
	idle chan struct{} // closed when nothing is left to show
}

type notification struct{ title, text string }

// NewNotifier is nil where there is no desktop to show anything on. app is the
// program's name.
func NewNotifier(getenv func(string) string, app string) *Notifier {
	switch runtime.GOOS {
	case "windows", "darwin":
	default:
		if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" || !sessionBus(getenv) {
			return nil
		}
	}
	beeep.AppName = app
	return &Notifier{show: func(title, text string) error { return beeep.Notify(title, text, "") }}
}

// Show shows a text and does not wait for it. Where the desktop is slower than what
// is said, the oldest that is not shown yet is left out: the newest matters. A nil
// Notifier shows nothing.
func (n *Notifier) Show(title, text string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.next) == waiting {
		n.next = n.next[1:]
	}
	n.next = append(n.next, notification{harmless(title), harmless(text)})
	if !n.busy {
		n.busy, n.idle = true, make(chan struct{})
		go n.work(n.idle)
	}
}

// work shows what there is, and ends.
func (n *Notifier) work(idle chan struct{}) {
	defer close(idle)
	for {
		n.mu.Lock()
		if len(n.next) == 0 {
			n.busy = false
			n.mu.Unlock()
			return
		}
		one := n.next[0]
		n.next = n.next[1:]
		n.mu.Unlock()
		n.show(one.title, one.text) // a desktop that cannot is told nothing; the same is on stderr
	}
}

// Flush waits until everything was shown, or ctx ends, or a desktop has hung for ten
// seconds.
func (n *Notifier) Flush(ctx context.Context) {
	if n == nil {
		return
	}
	n.mu.Lock()
	idle := n.idle
	n.mu.Unlock()
	if idle == nil {
		return
	}
	late := time.NewTimer(shown)
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
	case <-ctx.Done():
	}
}

// harmless is text that means the same to a person and nothing to what shows it:
// notification servers read markup, and on some systems a script or a command line
// carries it.
func harmless(s string) string {
	open := true
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		switch r {
		case '<':
			return '‹'
		case '>':
			return '›'
		case '&':
			return '+'
		case '"':
			open = !open
			if !open {
				return '“'
			}
			return '”'
		case '\'', '`':
			return '’'
		case '$', '\\', '%':
			return ' '
		}
		return r
	}, s)
	s = strings.TrimLeft(s, "- ") // no option of a program either
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest]) + "…"
	}
	return s
}
