package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream"
	"sitegate/upstream/cloudapi"
)

// used is n records of usage, of a user each.
func used(n int) []license.Usage {
	var usage []license.Usage
	for i := range n {
		at := license.TimeOf(time.Date(2026, 4, 1, 8, 0, i, 0, time.UTC))
		usage = append(usage, license.Usage{Seq: uint64(2*i + 2), Record: fmt.Sprintf("r-%d", i), ID: license.ID{14: byte(i >> 8), 15: byte(i)}, User: license.UserID(fmt.Sprintf("u-%d", i)),
			Product: emulator.ProductCapped, License: "l-1", Machine: license.Machine{ID: "m", Name: "WS-1"}, Started: at, Ended: at.Add(time.Hour), Country: "DE"})
	}
	return usage
}

// Of a posting that the cloud refuses it is found out which records it refuses. The
// others get there, each once.
func TestOnlyWhatIsRefusedIsSetAside(t *testing.T) {
	s := newSite(t, nil)
	s.cloud.RefuseUsageOf("u-0", "u-511", "u-512", "u-999")
	d, err := s.SendUsage(t.Context(), "k", used(1000))
	if err != nil || d.Done != 1000 {
		t.Fatalf("got %d done, %v; want 1000", d.Done, err)
	}
	var aside []string
	for _, x := range d.SetAside {
		aside = append(aside, x.Usage.Record)
		if !strings.Contains(x.Why, "of a user that is not known") {
			t.Errorf("%s is set aside for %q", x.Usage.Record, x.Why)
		}
	}
	if got := strings.Join(aside, " "); got != "r-0 r-511 r-512 r-999" {
		t.Errorf("set aside are %s", got)
	}
	if got := s.cloud.Usage(); len(got) != 996 || s.cloud.UsageDuplicates() != 0 {
		t.Errorf("the cloud has %d records, %d came twice; want 996, 0", len(got), s.cloud.UsageDuplicates())
	}
	if n := s.cloud.Requests(cloudapi.PathUsage); n > 80 {
		t.Errorf("it took %d postings to find four", n)
	}
}

// Where very many are refused only as many as may be are set aside, and the rest is
// left for another time.
func TestThoseThatAreRefusedAreSetAsideByAndBy(t *testing.T) {
	s := newSite(t, nil)
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf("u-%d", i))
	}
	s.cloud.RefuseUsageOf(all...)
	d, err := s.SendUsage(t.Context(), "k", used(400))
	if err != nil || len(d.SetAside) != license.MaxSetAsideAtOnce || d.Done != license.MaxSetAsideAtOnce {
		t.Errorf("got %d set aside of %d done, %v; want %d of as many", len(d.SetAside), d.Done, err, license.MaxSetAsideAtOnce)
	}
}

// Only the cloud's own word that a record is wrong sets it aside.
func TestRefusalsOfOthersSetNothingAside(t *testing.T) {
	s := newSite(t, nil)
	for _, f := range []emulator.Fault{
		{Status: http.StatusBadRequest, Body: "<html>blocked</html>"},
		{Status: http.StatusRequestEntityTooLarge},
		{Status: http.StatusForbidden, Type: "application/json", Body: `{"reason":"invalid"}`},
		{Status: http.StatusNotFound, Type: "application/json", Body: `{"reason":"not-offered"}`},
		{Status: http.StatusOK, Type: "application/json", Body: `{"key":"k","accepted":1,"duplicates":0}`},
		{Status: http.StatusOK, Type: "application/json", Body: `{"accepted":1}`},
	} {
		f.Prefix = cloudapi.PathUsage
		s.cloud.SetFault(f)
		if d, err := s.SendUsage(t.Context(), "k", used(1)); err == nil || len(d.SetAside) != 0 {
			t.Errorf("%+v: got %+v, %v; want an error", f, d, err)
		}
	}
	// What is too large for a box in between is sent in smaller pieces.
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Status: http.StatusRequestEntityTooLarge, Times: 1})
	if d, err := s.SendUsage(t.Context(), "k", used(10)); err != nil || d.Done != 10 || len(s.cloud.Usage()) != 10 {
		t.Errorf("in smaller pieces: %+v, %v; the cloud has %d", d, err, len(s.cloud.Usage()))
	}
}

// A receipt that is not that of this posting acknowledges nothing, however well
// formed: an answer that came twice, or was kept by something in between.
func TestTheReceiptOfAnotherPostingIsNone(t *testing.T) {
	s := newSite(t, nil)
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Again: true})
	usage := used(30)
	if _, err := s.SendUsage(t.Context(), "k", usage[:10]); err != nil {
		t.Fatal(err)
	}
	if d, err := s.SendUsage(t.Context(), "k", usage[10:20]); !errors.Is(err, upstream.ErrGarbage) {
		t.Errorf("with the answer to another posting: %+v, %v; want %v", d, err, upstream.ErrGarbage)
	}
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Lose: true, Times: 1})
	if d, err := s.SendUsage(t.Context(), "k", usage[20:]); !errors.Is(err, upstream.ErrUnreachable) {
		t.Errorf("with a lost answer: %+v, %v; want %v", d, err, upstream.ErrUnreachable)
	}
	s.cloud.ClearFaults()
	if got := len(s.cloud.Usage()); got != 30 {
		t.Errorf("the cloud has %d records, want those of the lost answers, too", got)
	}
	if d, err := s.SendUsage(t.Context(), "k", usage); err != nil || d.Done != 30 || len(s.cloud.Usage()) != 30 {
		t.Errorf("sent again: %+v, %v; the cloud has %d, want 30", d, err, len(s.cloud.Usage()))
	}
}
