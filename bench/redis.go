package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// redis is one server that fsyncs every write before it answers. A claim is SET NX
// PX; giving back is DEL. It has no replicas, so it is an upper bound for what one
// durable store can do, and no peer.
type redis struct {
	server *process
	conns  []*redisConn
}

type redisConn struct {
	net.Conn
	r *bufio.Reader
}

func startRedis(ctx context.Context, dir string, o options) (claims, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	r := &redis{}
	r.server, err = startProcess(ctx, dir, "redis-server", "--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "")
	if err != nil {
		return nil, err
	}
	err = r.server.await(ctx, func() error {
		for len(r.conns) < o.clients {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
			if err != nil {
				return err
			}
			r.conns = append(r.conns, &redisConn{c, bufio.NewReader(c)})
		}
		return nil
	})
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// do sends a command and reads a simple answer, without its mark.
func (c *redisConn) do(args ...string) (string, error) {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write(b); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if line = strings.TrimSpace(line); strings.HasPrefix(line, "-") {
		return "", errors.New(line)
	}
	return line[1:], nil
}

func (r *redis) claim(_ context.Context, client, user int) (time.Time, bool, error) {
	c, key := r.conns[client], fmt.Sprintf("hold/b-%07d", user)
	got, err := c.do("SET", key, fmt.Sprintf("m-BENCH-%d", client), "NX", "PX", "180000")
	if err == nil && got != "OK" {
		err = errors.New("somebody holds it")
	}
	if err != nil {
		return time.Time{}, false, err
	}
	over := time.Now()
	gone, err := c.do("DEL", key)
	return over, err == nil && gone == "0", err
}

func (r *redis) close() {
	for _, c := range r.conns {
		c.Close()
	}
	r.server.stop()
}
