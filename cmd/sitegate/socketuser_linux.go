package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUser asks the kernel who has opened the other end.
func peerUser(conn net.Conn) (uid uint32, ok bool) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || failed != nil {
		return 0, false
	}
	return cred.Uid, true
}
