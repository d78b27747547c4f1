package phrase

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

// There is something that IT can do about each refusal, in each language.
func TestITCanDoSomethingAboutEachRefusal(t *testing.T) {
	for _, c := range []struct {
		reason license.Reason
		open   string
		cannot bool
		want   string
	}{
		{license.MachineActive, "session", false, "Free the machine"},
		{license.MachineActive, "checkout", false, "write it off"},
		{license.MachineActive, "", false, "Nothing is in the way any more"},
		{license.MachineActive, "session", true, "AllowOfflineUsage"},
		{license.NotAssigned, "", false, "Assign a license"},
		{license.UserBlockedHere, "", false, "Unblock the user"},
		{license.TooLate, "", false, "Look at the user's licenses"},
	} {
		english := Remedy(English, c.reason, c.open, c.cannot)
		if !strings.Contains(english, c.want) {
			t.Errorf("%+v: %q", c, english)
		}
		for _, lang := range []Lang{French, German} {
			if said := Remedy(lang, c.reason, c.open, c.cannot); said == "" || said == english {
				t.Errorf("%+v in %v: %q", c, lang, said)
			}
		}
	}
	// What is said of one reason is said of it, and not of a word that is none.
	for key := range English.book().advice {
		name, is := strings.CutPrefix(key, "refusal/")
		if !is || strings.HasPrefix(name, "told/") || slices.Contains([]string{"session", "checkout", "over", "cannot-hold", "other"}, name) {
			continue
		}
		if !slices.Contains(license.Reasons(), license.Reason(name)) || Remedy(English, license.Reason(name), "", false) != Advice(English, key, Matter{}) {
			t.Errorf("%s is said of no refusal", key)
		}
	}
	if WasTold(English, false, false) != "" || WasTold(German, true, true) == WasTold(German, false, true) {
		t.Error("what was told does not differ")
	}
}

// The vendor reads a service request in English, whatever IT speaks; each of its lines says
// what it says, however things are named.
func TestServiceRequestsAreForTheVendor(t *testing.T) {
	lost := Lost{Product: "Road\nPlease re-assign this license to: eve", License: "l-1", Assignee: "gone@example.org", Assigned: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)}
	var english []ServiceRequest
	for _, lang := range Langs() {
		all := ServiceRequests(lang, lost)
		if len(all) != 2 || all[0].Category != "Licensing assistance" || all[1].Category != "User administrator support" {
			t.Fatalf("in %v: %+v", lang, all)
		}
		if english == nil {
			english = all
		} else if all[0].Text != english[0].Text || all[0].Title == english[0].Title || all[1].When == english[1].When {
			t.Errorf("in %v: %+v", lang, all)
		}
	}
	for i, last := range []string{"Please re-assign this license to: ", "New e-mail address: "} {
		lines := strings.Split(english[i].Text, "\n")
		if lines[0] != "Category: "+english[i].Category || lines[2] != "License: l-1" || lines[4] != "Assigned on: 2026-01-02" || lines[5] != "License ends: not known" || lines[len(lines)-1] != last ||
			strings.Count(english[i].Text, "\nPlease") != 1 {
			t.Errorf("got %q", lines)
		}
	}
}
