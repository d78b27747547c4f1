// Package pac evaluates proxy auto-configuration files: FindProxyForURL(url, host) in JavaScript, with the functions that such files use.
//
// A file is other people's program, so it gets nothing for free. It is compiled once, and runs in engines that are kept for the next call. Every call
// has a deadline; an engine that does not stop by then, such as in a regular expression that goes back and forth for ever, is abandoned, and when there are too many of
// those nothing is evaluated until one of them ends. A call during which the heap grows too much is interrupted, and what could take
// much memory in a single step is not there (ArrayBuffer) or bounded (repeat, padStart, padEnd, join). The result is short and has few
// entries. The URL and the host are passed as arguments and never become part of the program.
//
// A result is what FindProxyForURL says: nothing at all, or nothing that can be understood, is an error and does not mean to connect directly.
//
// It leaves to others: where a file comes from and how often it is asked (upstream/egress), and names (Config.Lookup).
package pac

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"
)

// The bounds of a file and of its calls.
const (
	MaxFile     = 512 << 10 // bytes of a file
	maxNested   = 2000      // brackets
	maxRun      = 64 << 10  // bytes without a bracket, comma, semicolon or quote: what nests without them
	maxResult   = 4 << 10   // bytes of a result
	maxAhead    = 4         // engines that wait for the next call
	maxRunning  = 8         // calls at once, abandoned ones included
	maxStack    = 512       // calls within calls
	maxLookups  = 16        // of names, in one call
	maxGrowth   = 128 << 20
	watchEvery  = 2 * time.Millisecond
	watchAfter  = 20 * time.Millisecond // a call that is well is over by then
	lookupTime  = 2 * time.Second
	defaultTime = 5 * time.Second
)

// Errors of a call. Others are the file's own.
var (
	ErrTooLong    = errors.New("it does not come to an end")
	ErrTooLarge   = errors.New("it takes too much memory")
	ErrBusy       = errors.New("too many of its calls do not come to an end")
	ErrNoFunction = errors.New("it has no function FindProxyForURL")
)

// Config is what a file may see of the world.
type Config struct {
	Timeout time.Duration // of one call; zero is 5 s
	// Lookup resolves a name; it keeps to ctx. Nil: no name resolves.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// Own is this machine's address; nil is 127.0.0.1.
	Own func() netip.Addr
	Now func() time.Time // nil is time.Now
}

// Script is a compiled file. It is safe for use by many goroutines.
type Script struct {
	cfg     Config
	text    string
	program *goja.Program
	idle    chan *engine
	running chan struct{} // holds one for each call that has not ended
}

// engine is one JavaScript machine, used by one call at a time.
type engine struct {
	vm   *goja.Runtime
	find goja.Callable
	call atomic.Pointer[call] // under way
}

// call is one evaluation.
type call struct {
	ctx     context.Context
	lookups int
	waiting atomic.Bool // for a name: the heap is not watched
}

// outcome is what an engine came to.
type outcome struct {
	e    *engine
	text string
	err  error
}

// Text is the file in UTF-8, whatever it came in.
func (s *Script) Text() string { return s.text }

// Find is what the file says about a URL, of which host is the host. It takes no longer than the timeout.
func (s *Script) Find(ctx context.Context, url, host string) ([]Entry, error) {
	text, err := s.ask(ctx, func(e *engine) (string, error) { return e.say(url, host) })
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Load runs the file and looks for its function, without calling it.
func (s *Script) Load(ctx context.Context) error {
	_, err := s.ask(ctx, func(*engine) (string, error) { return "", nil })
	return err
}

// ask has a call done by an engine in which the file has been run.
func (s *Script) ask(ctx context.Context, say func(*engine) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	select {
	case s.running <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return "", ErrBusy
	}
	c := &call{ctx: ctx}
	var e *engine
	select {
	case e = <-s.idle:
	default:
		e = &engine{vm: goja.New()}
	}
	e.call.Store(c)
	ended, watched := make(chan struct{}), make(chan struct{})
	result := make(chan outcome, 1)
	go func() {
		defer close(watched)
		e.watch(c, ended)
	}()
	go func() {
		defer func() { <-s.running }()
		text, err := s.run(e, say)
		close(ended)
		<-watched // which may still interrupt
		cancel()
		result <- outcome{e, text, err}
	}()
	var o outcome
	select {
	case o = <-result:
	case <-ctx.Done():
		e.vm.Interrupt(ErrTooLong)
		grace := time.NewTimer(100 * time.Millisecond) // most stop at once; what does not is abandoned
		defer grace.Stop()
		select {
		case o = <-result:
		case <-grace.C:
			return "", ErrTooLong
		}
	}
	if o.err != nil {
		return "", sort(o.err)
	}
	o.e.vm.ClearInterrupt()
	select {
	case s.idle <- o.e:
	default:
	}
	return o.text, nil
}

// sort tells an interruption from the file's own errors.
func sort(err error) error {
	var stopped *goja.InterruptedError
	if errors.As(err, &stopped) {
		if why, ok := stopped.Value().(error); ok {
			return why
		}
	}
	var deep *goja.StackOverflowError
	if errors.As(err, &deep) {
		return fmt.Errorf("%w: it calls itself too often", ErrTooLarge)
	}
	return err
}

// run has an engine say something, after running the file in it if it is new.
func (s *Script) run(e *engine, say func(*engine) (string, error)) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it breaks the engine (%.100v)", r)
		}
	}()
	if e.find == nil {
		e.vm.SetMaxCallStackSize(maxStack)
		if err := s.helpers(e); err != nil {
			return "", clipped(err)
		}
		if _, err := e.vm.RunProgram(s.program); err != nil {
			return "", clipped(err)
		}
		find, ok := goja.AssertFunction(e.vm.Get("FindProxyForURL"))
		if !ok {
			return "", ErrNoFunction
		}
		e.find = find
	}
	return say(e)
}

// say calls the file's function.
func (e *engine) say(url, host string) (string, error) {
	v, err := e.find(goja.Undefined(), e.vm.ToValue(url), e.vm.ToValue(host))
	if err != nil {
		return "", clipped(err)
	}
	if _, ok := v.(goja.String); !ok {
		return "", errors.New("FindProxyForURL gives no text")
	}
	if n := v.(goja.String).Length(); n > maxResult {
		return "", fmt.Errorf("FindProxyForURL gives %d characters, which is too much", n)
	}
	return v.String(), nil
}

// clipped bounds what a file throws.
func clipped(err error) error {
	var stopped *goja.InterruptedError
	var deep *goja.StackOverflowError
	if errors.As(err, &stopped) || errors.As(err, &deep) {
		return err
	}
	return fmt.Errorf("it throws %.200s", err.Error())
}

// watch interrupts a call during which the heap grows too much. Others use the heap, too: a call that is well is over before it is looked at.
func (e *engine) watch(c *call, ended <-chan struct{}) {
	after := time.NewTimer(watchAfter)
	defer after.Stop()
	begun := heap()
	select {
	case <-ended:
		return
	case <-after.C:
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		switch now := heap(); {
		case c.waiting.Load():
			begun = now
		case now > begun+maxGrowth:
			e.vm.Interrupt(ErrTooLarge)
			return
		}
		select {
		case <-ended:
			return
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// heap is how much of it is in use, with what is not collected yet.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
