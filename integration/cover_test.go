package integration

import (
	"fmt"
	"testing"
	"time"

	"sitegate/client"
	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// A user works by what the account has for all. It is withdrawn in the cloud, and they are
// told; it comes back in time, and they go on; its term comes to an end, and they are
// told of that.
func TestTheAccountsCoverGoesInMidSession(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 20)
	ctx := deadline(t, time.Minute)
	const product = "3103" // of which this user has no license
	from := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)
	cover := cloudapi.License{ID: "pool-1", ProductID: product, Kind: cloudapi.LicenseCommercial, StartsAt: from, EndsAt: from.AddDate(1, 0, 0)}
	s.Cloud.PutLicense(cover)
	c := s.Client(t, emulator.UserB, "WS-303", 0)
	var session *client.Session
	Eventually(t, 20*time.Second, "the account's license is known", func() (err error) {
		session, err = c.Start(ctx, product)
		return err
	})
	if session.LicenseType != "Pooled" || len(session.Warnings()) != 0 {
		t.Errorf("started as %s, want Pooled", session.LicenseType)
	}
	ends := func(what, reason string, until time.Time) {
		t.Helper()
		Eventually(t, 20*time.Second, what, func() error {
			session.Beat()
			e := session.Ending()
			switch {
			case (e == nil) != (reason == ""), e != nil && e.Reason != reason:
				return fmt.Errorf("it ends: %+v; want reason %q", e, reason)
			case e != nil && !until.IsZero() && !e.Until.Equal(until):
				return fmt.Errorf("it ends at %v, want %v", e.Until, until)
			}
			return nil
		})
	}
	s.Cloud.DeleteLicense(cover.ID)
	ends("the session is told that the cover is gone", "not-covered", time.Time{})
	if left := time.Until(session.Ending().Until); left < 10*time.Minute || left > 15*time.Minute {
		t.Errorf("%v are left to save, want about 15 min", left)
	}
	s.Cloud.PutLicense(cover)
	ends("the session goes on", "", time.Time{})
	cover.EndsAt = time.Now().Add(30 * time.Minute).UTC().Truncate(time.Second)
	s.Cloud.PutLicense(cover)
	ends("the session is told of the term", "license-ended", cover.EndsAt)
	if err := session.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}
