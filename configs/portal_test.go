package configs_test

import (
	"strings"
	"testing"
)

// The portal's page is a link of https, or is not there.
func TestThePortalsPage(t *testing.T) {
	for url, want := range map[string]string{
		"https://portal.example.com/licenses":   "",
		"https://portal.example.com/#/licenses": "",
		"https://portal.example.com/#/%zz":      "is not of the form",
		"http://portal.example.com/#/licenses":  "is not https",
		"https://portal.example.com/?a=b#/x":    "has more than",
		"http://portal.example.com/":            "is not https",
		"javascript:alert(1)":                   "is not of the form",
		"https://ada:secret@portal.example.com": "has credentials in it",
	} {
		c, _, err := load(t, "cloud:\n  url: https://cloud.example\n  portal_url: "+url+"\n")
		text := "" // other things are missing
		if err != nil {
			text = err.Error()
		}
		if told := strings.Contains(text, "cloud.portal_url: "); told != (want != "") || !strings.Contains(text, want) {
			t.Errorf("%s: %s; want %q", url, text, want)
		}
		if want == "" && (c.Cloud == nil || c.Cloud.PortalURL != url) {
			t.Errorf("%s: the configuration has %+v", url, c.Cloud)
		}
	}
}
