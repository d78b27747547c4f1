//go:build unix

package tpmkey

import (
	"cmp"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// device lends the TPM by turns: whoever opens it sees only what they have loaded.
const device = "/dev/tpmrm0"

// answerTime is how long a socket's TPM may take, with others before us, for all that it is
// asked.
const answerTime = time.Minute

// open opens a device, or connects to a socket. One connection at a time is served there.
func open(path string) (transport.TPMCloser, error) {
	path = cmp.Or(path, device)
	if at, err := os.Stat(path); err != nil || at.Mode()&os.ModeSocket == 0 {
		return linuxtpm.Open(path)
	}
	end := time.Now().Add(answerTime)
	conn, err := net.DialTimeout("unix", path, answerTime)
	for errors.Is(err, syscall.EAGAIN) && time.Now().Before(end) { // too many wait there
		time.Sleep(10 * time.Millisecond)
		conn, err = net.DialTimeout("unix", path, answerTime)
	}
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(end); err != nil {
		conn.Close()
		return nil, err
	}
	return transport.FromReadWriteCloser(conn), nil
}

// busy: /dev/tpm0 is another's, or a socket's TPM serves another.
func busy(err error) bool {
	return errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded)
}

func forbidden(error) bool { return false }
