package configs_test

import (
	"strings"
	"testing"

	"sitegate/configs"
	"sitegate/license"
)

func TestUsageSettings(t *testing.T) {
	c, _, err := load(t, configs.SingleNode+`
usage:
  way: csv
  location_url: https://usage.example.com/location
  upload_hosts: [.blob.example.com, logs.example.com]
  ultimate_id: "1004711"
  room_mb: 100
privacy:
  countries: [DE, AT]
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Usage.UsageWay() != license.WayFile || c.Usage.Room() != 100<<20 || !c.Privacy.Hashes() || c.Privacy.Names != "clear" {
		t.Errorf("got %+v, %+v", c.Usage, c.Privacy)
	}
	if c, _, err = load(t, configs.SingleNode); err != nil || c.Usage.UsageWay() != license.WaySite || c.Usage.Room() == 0 || c.Privacy.Hashes() {
		t.Errorf("left out: %+v, %+v, %v", c.Usage, c.Privacy, err)
	}
	for text, want := range map[string][]string{
		"usage: {way: csv}":      {"usage.location_url: is missing", "usage.ultimate_id: is missing", "usage.upload_hosts: is missing"},
		"usage: {way: realtime}": {"usage.posting_url: is missing", "usage.ultimate_id: is missing"},
		"usage: {way: pigeon}":   {"usage.way"},
		"usage: {room_mb: 5}":    {"usage.room_mb: is 5"},
		"usage: {way: csv, location_url: \"https://x.example\", ultimate_id: \"1\", upload_hosts: [\"*.example.com\", \"..x.example\", localhost]}": {"upload_hosts[1]", "upload_hosts[2]", "upload_hosts[3]"},
		"privacy: {names: hidden, countries: [de]}": {"privacy.names", "privacy.countries[1]"},
	} {
		_, _, err := load(t, configs.SingleNode+"\n"+text+"\n")
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q in it", text, err, w)
			}
		}
	}
}
