//go:build unix

// Package tpmtest is a TPM 2.0 for tests: swtpm, which a test starts, cuts off and clears. A
// test is skipped where there is no swtpm, unless SITEGATE_TEST_TPM_MUST is set.
package tpmtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// TPM is one of a computer of its own.
type TPM struct {
	Path string // of its socket
	t    testing.TB
	dir  string
	stop func()
}

// New starts a TPM that nobody has used.
func New(t testing.TB) *TPM {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		if os.Getenv("SITEGATE_TEST_TPM_MUST") != "" {
			t.Fatal("there is no swtpm: install Debian's package of that name")
		}
		t.Skip("skipped: there is no swtpm (Debian's package of that name)")
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	tpm := &TPM{Path: filepath.Join(dir, "tpm"), t: t, dir: dir}
	tpm.start(program)
	t.Cleanup(func() { tpm.Off() })
	return tpm
}

func (p *TPM) start(program string) {
	p.t.Helper()
	said, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer said.Close()
	c := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+p.dir, "--server", "type=unixio,path="+p.Path,
		"--ctrl", "type=unixio,path="+filepath.Join(p.dir, "ctrl"), "--flags", "not-need-init,startup-clear")
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	p.stop = func() { c.Process.Kill(); <-ended }
	for late := time.After(time.Minute); ; {
		if conn, err := net.Dial("unix", p.Path); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(said.Name())
			p.t.Fatalf("swtpm has ended: %s", text)
		case <-late:
			p.t.Fatal("swtpm does not answer")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Off switches it off: there is none.
func (p *TPM) Off() {
	p.stop()
	os.Remove(p.Path)
}

// On switches it on again, as after a restart of the computer.
func (p *TPM) On() {
	p.t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		p.t.Fatal(err)
	}
	p.start(program)
}

// Do speaks to it.
func (p *TPM) Do(work func(transport.TPM) error) {
	p.t.Helper()
	conn, err := net.Dial("unix", p.Path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		p.t.Fatal(err)
	}
	if err := work(transport.FromReadWriteCloser(conn)); err != nil {
		p.t.Fatal(err)
	}
}

// Clear makes it forget its owner, as the firmware's menu does: no key of before is good.
func (p *TPM) Clear() {
	p.t.Helper()
	p.Do(func(tpm transport.TPM) error {
		_, err := tpm2.Clear{AuthHandle: tpm2.TPMRHLockout}.Execute(tpm)
		return err
	})
}

// Keep makes the root key of a standard template persistent, as systems do.
func (p *TPM) Keep(template tpm2.TPMTPublic) {
	p.t.Helper()
	p.Do(func(tpm transport.TPM) error {
		made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(tpm)
		if err != nil {
			return err
		}
		defer tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(tpm)
		_, err = tpm2.EvictControl{Auth: tpm2.TPMRHOwner, ObjectHandle: &tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}, PersistentHandle: 0x81000001}.Execute(tpm)
		return err
	})
}
