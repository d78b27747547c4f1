package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestCannotListenSaysWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, taken := net.Listen("tcp", ln.Addr().String())
	for _, c := range []struct {
		err  error
		want []string
	}{
		{taken, []string{ln.Addr().String(), "stop the program that has it", "another api.listen"}},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}, []string{"api.listen", "address of this machine"}},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}, []string{"api.listen", "above 1023"}},
	} {
		got := cannotListen("clients", "api.listen", c.err).Error()
		for _, want := range append(c.want, "listening for clients") {
			if !strings.Contains(got, want) {
				t.Errorf("%v: got %q, want %q in it", c.err, got, want)
			}
		}
	}
}
