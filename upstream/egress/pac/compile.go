package pac

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// Compile reads a file. It runs nothing yet. A file on which the compiler takes too long is no good; the compiler ends by itself later.
func Compile(src []byte, cfg Config) (*Script, error) {
	if len(src) > MaxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxFile)
	}
	text := decode(src)
	if begin := strings.TrimSpace(text); strings.HasPrefix(begin, "<") {
		return nil, errors.New("it is a web page and no script")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTime)
	type compiled struct {
		program *goja.Program
		err     error
	}
	done := make(chan compiled, 1)
	go func() {
		p, err := compile(text)
		done <- compiled{p, err}
	}()
	late := time.NewTimer(defaultTime)
	defer late.Stop()
	var program *goja.Program
	select {
	case c := <-done:
		if c.err != nil {
			return nil, c.err
		}
		program = c.program
	case <-late.C:
		return nil, fmt.Errorf("compiling: %w", ErrTooLong)
	}
	if cfg.Lookup == nil {
		cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no names are resolved") }
	}
	if cfg.Own == nil {
		cfg.Own = func() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Script{cfg: cfg, text: text, program: program, idle: make(chan *engine, maxAhead), running: make(chan struct{}, maxRunning)}, nil
}

// compile keeps a file that trips the compiler from taking the node with it.
func compile(text string) (p *goja.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot be compiled (%.100v)", r)
		}
	}()
	if deep(text) {
		return nil, errors.New("it is nested too deeply")
	}
	if p, err = goja.Compile("proxy.pac", text, false); err != nil {
		return nil, fmt.Errorf("it is no JavaScript: %.300v", err)
	}
	return p, nil
}

// deep says whether a file is nested so much that a compiler which calls itself for each level would take much time, or more stack than there is.
func deep(text string) bool {
	open, run := 0, 0
	for i := range len(text) {
		run++
		switch text[i] {
		case '(', '[', '{':
			run = 0
			if open++; open > maxNested {
				return true
			}
		case ')', ']', '}':
			run, open = 0, max(open-1, 0)
		case ',', ';', '"', '\'', '`':
			run = 0
		}
		if run > maxRun {
			return true
		}
	}
	return false
}

// decode makes text of a file as it may come from an old editor: UTF-8 or UTF-16 with a mark, else UTF-8, else Latin-1.
func decode(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		b = b[3:]
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		high := 1 - int(b[1]&1) // where the high byte is: FF FE is little endian
		units := make([]uint16, 0, len(b)/2)
		for i := 2; i+1 < len(b); i += 2 {
			units = append(units, uint16(b[i+high])<<8|uint16(b[i+1-high]))
		}
		return string(utf16.Decode(units))
	}
	if utf8.Valid(b) {
		return string(b)
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}
