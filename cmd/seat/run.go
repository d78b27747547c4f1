package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/client"
	"sitegate/desktop"
)

const (
	stopTimeout = 5 * time.Second
	waitPause   = 200 * time.Millisecond // between two waits, where the first was none
)

func runFlags(fs *pflag.FlagSet, o *options) {
	fs.StringVar(&o.product, "product", "", "`ID` of the product to hold a license of")
	fs.StringVar(&o.version, "version", "", "`VERSION` of the product, four-part")
	fs.DurationVar(&o.killAfter, "kill-after", 0, "kill the program if it has not ended `DURATION` after it was asked to; 0: never, its work may not be saved")
	fs.BoolVar(&o.wait, "wait", false, "if it is in use on another machine, wait until it is free")
	fs.BoolVar(&o.request, "request", false, "if it is in use on another machine, ask that one to let go, and wait until it has")
}

// runProgram runs a program while a license is held.
func runProgram(ctx context.Context, s *seat, o *options, args []string) error {
	switch {
	case o.product == "":
		return usagef("which product? Give --product ID")
	case len(args) == 0:
		return usagef("which program? Write it after --, as in: seat run --product %s -- PROGRAM", o.product)
	}
	path, err := exec.LookPath(args[0]) // before a license is taken for nothing
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &exitError{status: exitNotRunnable, err: fmt.Errorf("running %s: %w", args[0], err)}
	case err != nil:
		return &exitError{status: exitNotFound, err: fmt.Errorf("running %s: %w", args[0], err)}
	}
	c, err := s.open(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	signals := make(chan os.Signal, 16)
	if heard := heeded(passed()...); len(heard) > 0 { // none would be all
		signal.Notify(signals, heard...)
		defer signal.Stop(signals)
	}

	session, notices, err := s.acquire(ctx, c, o, signals)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.stdin, s.stdout, s.stderr
	cmd.WaitDelay = time.Second // its children may keep the pipes longer than it lives
	status, err := s.supervise(ctx, o, c, cmd, session, notices, signals)
	notices.Close()
	s.release(ctx, session)
	if err != nil {
		return err
	}
	return &exitError{status: status}
}

// acquire starts a session, waiting for it if the options say so, and listens from just
// before. A signal gives up, and gives back.
func (s *seat) acquire(listening context.Context, c *client.Client, o *options, signals <-chan os.Signal) (*client.Session, *client.Watcher, error) {
	ctx, cancel := context.WithCancel(listening)
	defer cancel()
	gaveUp := make(chan *exitError, 1)
	go func() {
		select {
		case sig := <-signals:
			gaveUp <- interrupted(sig)
			cancel()
		case <-ctx.Done():
			gaveUp <- nil
		}
	}()
	session, notices, err := s.startOrWait(ctx, c, o, func() *client.Watcher { return c.Watch(listening) })
	cancel()
	if e := <-gaveUp; e != nil {
		if session != nil {
			s.release(ctx, session)
		}
		return nil, nil, e
	}
	return session, notices, err
}

// release gives the license back, as well as it can be done.
func (s *seat) release(ctx context.Context, session *client.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := session.Stop(ctx); err != nil {
		s.sayf("the license could not be given back; it will be free within %s (%v)", span(time.Duration(session.TTLMS)*time.Millisecond), err)
	}
}

// heeded are those of the signals that are not ignored since before seat began, as nohup
// has it: to hear of one again would undo that, for the program too.
func heeded(all ...os.Signal) []os.Signal { return slices.DeleteFunc(all, signal.Ignored) }

func interrupted(sig os.Signal) *exitError {
	if n, ok := sig.(syscall.Signal); ok {
		return &exitError{status: exitSignal + int(n)}
	}
	return &exitError{status: exitInterrupted}
}

// startOrWait listens anew before each start: what is told while somebody waits, for hours
// perhaps, is no news once it is free.
func (s *seat) startOrWait(ctx context.Context, c *client.Client, o *options, listen func() *client.Watcher) (*client.Session, *client.Watcher, error) {
	for {
		notices := listen()
		asking, cancel := context.WithTimeout(ctx, o.timeout)
		session, err := c.Start(asking, o.product, client.WithVersion(o.version))
		cancel()
		if err == nil || !o.wait && !o.request || !errors.Is(err, client.ErrActiveElsewhere) && !errors.Is(err, client.ErrReserved) {
			return session, notices, err
		}
		notices.Close()
		s.sayf("%v", err)
		s.sayf("waiting until it is free")
		began := time.Now()
		ask := c.Wait
		if o.request {
			ask = c.Request
		}
		_, err = s.await(ctx, o, ask)
		if o.request && o.wait && client.Denied(err) && !errors.Is(err, client.ErrWaitEnded) { // it cannot be asked
			s.sayf("%v", err)
			_, err = s.await(ctx, o, c.Wait)
		}
		if err != nil {
			return nil, nil, err
		}
		if time.Since(began) >= waitPause {
			continue
		}
		select { // free for the site and yet refused: not at once again
		case <-time.After(waitPause):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// await waits as ask has it. left is how long what is free is kept; zero: it is not.
func (s *seat) await(ctx context.Context, o *options, ask func(context.Context, string) (*client.Wait, error)) (left time.Duration, _ error) {
	asking, cancel := context.WithTimeout(ctx, o.timeout)
	w, err := ask(asking, o.product)
	cancel()
	if err != nil {
		return 0, err
	}
	s.sayAsked(w.Asks())
	declined := w.Declined()
	for {
		select {
		case <-w.Done():
			return w.Left(), w.Err()
		case <-declined:
			declined = nil
			s.sayf("the other machine does not let go; waiting until it is free")
		case <-ctx.Done():
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			w.Cancel(leaving) // else it ends by itself, unused
			return 0, ctx.Err()
		}
	}
}

// supervised is a program under a license.
type supervised struct {
	s       *seat
	o       *options
	cmd     *exec.Cmd
	client  *client.Client
	session *client.Session
	screen  notifier
	byKey   bool // the sign-in is out of reach, and that was said

	overdue bool // heartbeats are not acknowledged
	count   countdown
	asked   time.Time // to end, last
	kill    <-chan time.Time
}

// supervise runs the program to its end and returns its exit status.
func (s *seat) supervise(ctx context.Context, o *options, c *client.Client, cmd *exec.Cmd, session *client.Session, notices *client.Watcher, signals <-chan os.Signal) (int, error) {
	if err := cmd.Start(); err != nil {
		return 0, &exitError{status: exitNotRunnable, err: fmt.Errorf("running %s: %w", cmd.Args[0], err)}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p := &supervised{s: s, o: o, client: c, cmd: cmd, session: session, screen: s.screen(o)}
	defer flush(ctx, p.screen)
	told, lost, cancelled := notices.Notices(), session.Lost(), ctx.Done()
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	keyboard := isTerminal(s.stdin)
	for {
		select {
		case err := <-ended:
			if cmd.ProcessState == nil {
				return 0, err
			}
			return exitStatus(cmd.ProcessState), nil
		case sig := <-signals:
			if !keyboard || !fromKeyboard(sig) {
				cmd.Process.Signal(sig)
			}
		case n, ok := <-told:
			switch {
			case !ok:
				told = nil
			case n.Kind != api.KindGranted || n.ID != session.ID:
				p.tell(heard(n))
			}
		case w := <-session.Warnings():
			if w.Ending != nil { // anew, or another end than before
				p.count = countdown{}
			}
			p.remind()
		case <-clock.C:
			p.remind()
			s.sayByKey(p.client, &p.byKey, p.tell)
		case <-lost:
			lost = nil
			p.tell(s.textf("the license is lost: %v", session.Err()))
			p.finish()
		case <-cancelled:
			cancelled = nil
			p.finish()
		case <-p.kill:
			cmd.Process.Kill()
		}
	}
}

// tell says something on the desktop, which is not waited for, and on stderr.
func (p *supervised) tell(text string) {
	p.screen.Show(filepath.Base(p.cmd.Args[0]), plain(text))
	p.s.sayf("%s", text)
}

// remind counts down to the end of the license, and, once the program was asked to
// end, says now and then that it has not.
func (p *supervised) remind() {
	if !p.asked.IsZero() {
		if time.Since(p.asked) >= still {
			p.asked = time.Now()
			p.tell(p.s.textf("%s still runs, and has no license any more: save your work and close it", p.cmd.Args[0]))
		}
		return
	}
	d, counting := left(p.session)
	if was := p.overdue; was != p.session.Overdue() {
		p.overdue, p.count = !was, countdown{}
		if was && p.session.Err() == nil {
			p.tell(p.s.textf("the license gateway answers again"))
		}
	}
	if counting && p.session.Err() == nil && p.count.due(d) {
		if p.session.Ending() != nil && !p.overdue {
			p.tell(p.s.textf("%s is asked to end in %s: save your work. %s", p.cmd.Args[0], span(d), p.session.Why()))
		} else {
			p.tell(p.s.textf("the license gateway does not answer; %s is asked to end in %s: save your work", p.cmd.Args[0], span(d)))
		}
	}
}

// finish asks the program to end, so that it can save, or ask its user to. It is
// killed only where that was wanted: unsaved drawings are worth more than an hour of
// a license.
func (p *supervised) finish() {
	p.s.sayf("ending %s", p.cmd.Args[0])
	if err := desktop.AskToClose(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.tell(p.s.textf("%s could not be asked to end (%v): save your work and close it", p.cmd.Args[0], err))
	}
	p.asked = time.Now()
	if p.kill == nil && p.o.killAfter > 0 {
		p.kill = time.After(p.o.killAfter)
	}
}

// sayf writes a line on stderr, beside what the program writes.
func (s *seat) sayf(format string, args ...any) {
	fmt.Fprintf(s.stderr, "seat: %s\n", plain(s.textf(format, args...)))
}

// isTerminal reports whether somebody's keyboard is behind r.
func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
