package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sitegate/client"
	"sitegate/emulator"
)

// diskSize is that of the small disk of these tests: the marks are then at 60, 30
// and 6 MB.
const diskSize = 600 << 20

// NewSiteOnSmallDisk is a site of one whose data folder is a file system of its own.
func NewSiteOnSmallDisk(t testing.TB, users int) (s *Site, disk string) {
	t.Helper()
	s = &Site{direct: true, Env: []string{"SITEGATE_DISK_BALLAST_MB=16"}}
	s.Dir = t.TempDir()
	s.openCloud(t, users)
	s.write(t, 1)
	disk = filepath.Join(filepath.Dir(s.Nodes[0].Config), "data")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skip("a file system of its own can be mounted as root only")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.Nodes[0].Ended() {
			s.Nodes[0].Kill()
		}
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	s.Start(t, 0)
	s.AwaitReady(t, s.Nodes[0])
	return s, disk
}

// takeRoom writes a file until so many bytes are free on its disk, as a backup that
// went to the wrong place does; 0: until nothing fits.
func takeRoom(t testing.TB, path string, leave uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, 256<<10)
	rand.Read(piece)
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
			t.Fatal(err)
		}
		free := st.Bavail * uint64(st.Bsize)
		if free <= leave {
			return
		}
		_, err := f.Write(piece[:min(uint64(len(piece)), max(free-leave, 1))])
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that gets low grants nothing new and keeps what runs; there is room again, and
// all goes on.
func TestLowDiskGrantsNothingNew(t *testing.T) {
	t.Parallel()
	s, disk := NewSiteOnSmallDisk(t, 20)
	ctx := deadline(t, 2*time.Minute)
	a, b := s.Client(t, emulator.UserA, "WS-101", 0), s.Client(t, emulator.UserB, "WS-202", 0)
	session, err := a.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(disk, "somebody-elses-backup")
	takeRoom(t, big, 20<<20)
	Eventually(t, 30*time.Second, "new starts are refused", func() error {
		other, err := b.Start(ctx, emulator.ProductCapped)
		if err == nil {
			return errors.Join(errors.New("it was granted"), other.Stop(ctx))
		}
		if !errors.Is(err, client.ErrDiskLow) {
			return err
		}
		return nil
	})
	session.Beat()
	if err := session.Stop(ctx); err != nil {
		t.Errorf("a session could not be stopped: %v", err)
	}
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 30*time.Second, "there is room, and starts are granted", func() error {
		other, err := b.Start(ctx, emulator.ProductCapped)
		if err != nil {
			return err
		}
		return other.Stop(ctx)
	})
}

// A disk that fills up to the last block between two looks, while a user starts and
// stops: the node stops granting, or stops altogether, and says why; when there is room
// and it is started again, what it had acknowledged is there.
func TestDiskFullToTheLastBlock(t *testing.T) {
	t.Parallel()
	s, disk := NewSiteOnSmallDisk(t, 20)
	ctx := deadline(t, 3*time.Minute)
	n := s.Nodes[0]
	kept, err := s.Client(t, emulator.UserA, "WS-101", 0).Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	done, worked := make(chan error), make(chan struct{}, 1000)
	c := s.Client(t, emulator.UserB, "WS-202", 0)
	go func() {
		for working.Err() == nil {
			short, cancel := context.WithTimeout(working, 10*time.Second)
			x, err := c.Start(short, emulator.ProductCapped)
			if err == nil {
				err = x.Stop(short)
			}
			cancel()
			if err != nil {
				done <- err
				return
			}
			select {
			case worked <- struct{}{}:
			default:
			}
		}
		done <- nil
	}()
	<-worked
	big := filepath.Join(disk, "somebody-elses-backup")
	takeRoom(t, big, 0)
	var refused error
	select {
	case refused = <-done:
	case <-time.After(time.Minute):
		t.Error("starts and stops went on for a minute on a full disk")
	}
	stop()
	t.Logf("the user was told: %v", refused)
	takeRoom(t, big, 0) // the ballast as well
	Eventually(t, time.Minute, "the node says what is the matter", func() error {
		if out := n.Output(); !strings.Contains(out, "the disk is full") && !strings.Contains(out, "the disk is low") {
			return fmt.Errorf("it wrote:\n%s", last(out, 2000))
		}
		return nil
	})
	if strings.Contains(n.Output(), "goroutine ") {
		t.Errorf("the node has crashed, want it to stop with a line that says why:\n%s", last(n.Output(), 4000))
	}
	n.Kill()
	n.Wait(t, 10*time.Second)
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	s.Start(t, 0)
	s.AwaitReady(t, n)
	if !s.there(t, n, emulator.UserA, kept.ID) {
		t.Error("the session that was granted before is lost")
	}
	Eventually(t, 30*time.Second, "starts are granted again", func() error {
		x, err := s.Client(t, emulator.UserA, "WS-101", 0).Start(ctx, emulator.ProductCapped)
		if err != nil {
			return err
		}
		return x.Stop(ctx)
	})
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }
