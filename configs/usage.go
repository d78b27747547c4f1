package configs

import (
	"strings"

	"sitegate/license"
)

// Usage is how usage gets to the vendor, and how much of it may wait for that.
type Usage struct {
	// RoomMB is how many megabytes of the journal, before compression, may be kept for
	// usage that is not with the cloud yet. When they are full nothing new is granted. 0:
	// there is no bound but the disk.
	RoomMB int `key:"room_mb"`
	// Way is site (the cloud's site API), realtime or csv (the vendor's own).
	Way string `key:"way"`
	// PostingURL is for realtime, LocationURL and UploadHosts for csv, UltimateID for both.
	PostingURL  string   `key:"posting_url"`
	LocationURL string   `key:"location_url"`
	UploadHosts []string `key:"upload_hosts"` // hosts, or domains as .blob.example.com
	UltimateID  string   `key:"ultimate_id"`
	// ReceiptKeyFile is the vendor's public key or certificate, in PEM, which the
	// receipts of files that somebody carries are signed with. Empty: none are taken.
	ReceiptKeyFile string `key:"receipt_key_file,path"`
}

// minRoom is the least room for usage.
const minRoom = 64

// Ways are the ways of usage by their names.
func (u Usage) way() (license.UsageWay, bool) {
	for _, w := range []license.UsageWay{license.WaySite, license.WayRealtime, license.WayFile} {
		if u.Way == w.String() {
			return w, true
		}
	}
	return 0, false
}

// UsageWay is Way as the rules know it.
func (u Usage) UsageWay() license.UsageWay {
	w, _ := u.way()
	return w
}

// Room is RoomMB in bytes.
func (u Usage) Room() uint64 { return uint64(u.RoomMB) << 20 }

func (u Usage) validate(p *Problems, cloud bool) {
	if u.RoomMB != 0 && (u.RoomMB < minRoom || u.RoomMB > 1<<24) {
		p.add("usage.room_mb", "is %d; use 0 for no bound, or at least %d", u.RoomMB, minRoom)
	}
	p.oneOf("usage.way", u.Way, "site", "realtime", "csv")
	needs := func(key, value, why string) bool {
		if value == "" {
			p.add(key, "is missing; usage.way: %s needs it: %s", u.Way, why)
		}
		return value != ""
	}
	switch w, _ := u.way(); w {
	case license.WayRealtime:
		if needs("usage.posting_url", u.PostingURL, "the address of the vendor's posting service") {
			p.url("usage.posting_url", u.PostingURL, true)
		}
		needs("usage.ultimate_id", u.UltimateID, "the account's id at the vendor")
	case license.WayFile:
		if needs("usage.location_url", u.LocationURL, "the address of the vendor's location service") {
			p.url("usage.location_url", u.LocationURL, true)
		}
		needs("usage.ultimate_id", u.UltimateID, "the account's id at the vendor")
		if len(u.UploadHosts) == 0 {
			p.add("usage.upload_hosts", "is missing; name the hosts that usage files may go to, or their domain as .blob.example.com")
		}
	}
	for i, h := range u.UploadHosts {
		p.hostOrDomain(keyf("usage.upload_hosts[%d]", i+1), h)
	}
	if !cloud && u.Way != "" && u.Way != "site" {
		p.add("usage.way", "is %s, but there is no cloud to send to; leave it out, or set the section cloud", u.Way)
	}
}

// hostOrDomain checks where files may go.
func (p *Problems) hostOrDomain(key, h string) {
	bare := strings.TrimPrefix(h, ".")
	if bare == "" || strings.ContainsAny(bare, "/ @*?#") || strings.HasPrefix(bare, ".") || !strings.Contains(bare, ".") {
		p.add(key, "%.100q is neither a host (logs.example.com) nor a domain (.blob.example.com)", h)
	}
}
