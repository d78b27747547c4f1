package endpoint

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// silent is a vendor that takes requests and says nothing.
type silent struct{ asked atomic.Int64 }

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestOneReadingOfTheCertificateIsForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vendor := &silent{}
		s := newSigners(vendor, "https://vendor.example/certificate", nil)
		p := &cloudapi.SignedPolicy{}
		begun, done := time.Now(), make(chan error)
		for range 8 {
			go func() {
				_, err := s.verify(t.Context(), p)
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want that the vendor did not answer in time", err)
			}
		}
		if took, n := time.Since(begun), vendor.asked.Load(); took != signerTime || n != 1 {
			t.Errorf("it took %v and %d requests, want %v and 1", took, n, signerTime)
		}
		if _, err := s.verify(t.Context(), p); err == nil || vendor.asked.Load() != 1 {
			t.Errorf("just after it: %v and %d requests, want an error and none more", err, vendor.asked.Load())
		}
		time.Sleep(signersAtMost)
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.verify(gone, p) // a client that does not wait
		s.verify(t.Context(), p)
		if n := vendor.asked.Load(); n != 3 {
			t.Errorf("%d requests, want 3: who has left speaks for nobody else", n)
		}
	})
}

// A node that was restarted goes on with the certificate it had.
func TestCertificateOutlivesARestart(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "1234")
	s.again()
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.DefaultPolicyPath + cloudapi.PathSigningCertificate, Status: http.StatusServiceUnavailable})
	s.granted(false, "ada", "WS-1", "1234")
}
