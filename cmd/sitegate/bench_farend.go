package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
)

// What is said to a far end, and how much a small answer is.
const (
	farSmall = "small\n"
	farPour  = "pour\n"
	farBytes = 1 << 10
)

// farEnd is what tunnels lead to: a few ports of loopback.
type farEnd struct {
	targets   []string // localhost:port
	listeners []net.Listener
	wg        sync.WaitGroup
	mu        sync.Mutex
	conns     map[net.Conn]struct{}
}

func newFarEnd() (*farEnd, error) {
	f := &farEnd{conns: map[net.Conn]struct{}{}}
	for range 8 {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			f.close()
			return nil, fmt.Errorf("listening for what tunnels lead to: %w", err)
		}
		f.listeners = append(f.listeners, ln)
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		f.targets = append(f.targets, "localhost:"+port)
		f.wg.Go(func() { f.accept(ln) })
	}
	return f, nil
}

func (f *farEnd) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = struct{}{}
		f.mu.Unlock()
		f.wg.Go(func() {
			f.serve(c)
			c.Close()
			f.mu.Lock()
			delete(f.conns, c)
			f.mu.Unlock()
		})
	}
}

func (f *farEnd) serve(c net.Conn) {
	line, err := bufio.NewReaderSize(c, 16).ReadString('\n')
	switch {
	case err != nil:
	case line == farSmall:
		var answer [farBytes]byte
		c.Write(answer[:]) // who has gone gets none
		io.Copy(io.Discard, c)
	case line == farPour:
		block := make([]byte, 256<<10)
		for err == nil {
			_, err = c.Write(block)
		}
	}
}

func (f *farEnd) close() {
	for _, ln := range f.listeners {
		ln.Close()
	}
	f.mu.Lock()
	for c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}
