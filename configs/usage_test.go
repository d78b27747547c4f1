package configs_test

import (
	"slices"
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
	if c, _, err = load(t, configs.SingleNode); err != nil || c.Usage.UsageWay() != license.WaySite || c.Usage.Room() == 0 || c.Privacy.Names != "clear" || !slices.Equal(c.Privacy.Countries, []string{"DE"}) {
		t.Errorf("left out: %+v, %+v, %v", c.Usage, c.Privacy, err)
	}
	if c, _, err = load(t, configs.SingleNode+"\nprivacy: {countries: []}\n"); err != nil || c.Privacy.Hashes() {
		t.Errorf("nobody hidden, by the file: %+v, %v", c.Privacy, err)
	}
	if c, _, err = configs.Load(write(t, configs.SingleNode), func(key string) string {
		if key == "SITEGATE_PRIVACY_COUNTRIES" {
			return "[]"
		}
		return ""
	}, nil); err != nil || c.Privacy.Hashes() {
		t.Errorf("nobody hidden, by the environment: %+v, %v", c.Privacy, err)
	}
	for text, want := range map[string][]string{
		"usage: {way: csv}":      {"usage.location_url: is missing", "usage.ultimate_id: is missing", "usage.upload_hosts: is missing"},
		"usage: {way: realtime}": {"usage.posting_url: is missing", "usage.ultimate_id: is missing"},
		"usage: {way: pigeon}":   {"usage.way"},
		"usage: {room_mb: 5}":    {"usage.room_mb: is 5"},
		"usage: {way: csv, location_url: \"https://x.example\", ultimate_id: \"1\", upload_hosts: [\"*.example.com\", \"..x.example\", localhost]}": {"upload_hosts[1]", "upload_hosts[2]", "upload_hosts[3]"},
		"privacy: {history: 0s}":                    {"privacy.history: is 0s"},
		"privacy: {history: 10000d}":                {"privacy.history"},
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
