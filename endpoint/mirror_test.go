package endpoint

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

func TestAShrinkIsSeenAndAccepted(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	crowd := license.Mirror{From: "c1", Cursor: "c2", Last: true}
	for i := range 50 {
		crowd.Changes = append(crowd.Changes, license.Change{User: &license.User{ID: license.UserID(fmt.Sprint("u", i))}})
	}
	node.do(t, crowd)
	if p := it.want(t, 409, "", "POST", "/v1/mirror/accept", acts).problem(t); p.Code != "mirror-not-held" {
		t.Errorf("with nothing held back the refusal is %+v", p)
	}
	node.do(t, license.HoldBack{Losing: license.Sizes{Users: 50, Licenses: 1}})
	see := func() *api.HeldMirror {
		var s api.Status
		it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
		if s.Mirror.Held == nil {
			t.Fatal("the status does not tell of it")
		}
		return s.Mirror.Held
	}
	h := see()
	if h.Losing != (api.MirrorSizes{Users: 50, Licenses: 1}) || h.Of.Users < 50 || h.Of.Users > 70 || h.Since.IsZero() || h.By != "" || !h.Until.IsZero() {
		t.Errorf("held: %+v", h)
	}
	it.want(t, 400, "", "POST", "/v1/mirror/accept", api.ReleaseRequest{Note: "by nobody"})
	for range 2 {
		var got api.HeldMirror
		it.want(t, 200, "", "POST", "/v1/mirror/accept", acts).into(t, &got)
		if got.By != acts.By || got.Note != acts.Note || got.Until.Sub(got.Since) < license.AcceptFor || got.Losing != h.Losing {
			t.Errorf("accepted: %+v", got)
		}
	}
	if h := see(); h.By != acts.By || h.Until.IsZero() {
		t.Errorf("after it was accepted the status has %+v", h)
	}
}

// Records of a file are in the mirror, and say that they are from there.
func TestAFileIsImportedAndItsRecordsSayWhereTheyAreFrom(t *testing.T) {
	node := newNode(t)
	_, it := operated(t, node)
	ends := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	part := api.ImportRequest{By: "ida", Note: "portal", Records: []api.MirrorRecord{
		{Kind: "product", ID: "road", Name: "Road Designer", Capped: "yes"}, {Kind: "user", ID: "ada", Email: "ada@firm.example", Country: "FR"},
		{Kind: "license", ID: "L1", Product: "road", Assignee: "ada", Type: "virtuoso", Ends: ends}, {Kind: "user", ID: "ben", Gone: true}}, Last: true}
	it.want(t, 204, "", "POST", "/v1/mirror/import", part)
	var got api.List[api.MirrorRecord]
	it.want(t, 200, "", "GET", "/v1/mirror/records", nil).into(t, &got)
	if len(got.Items) != 3 {
		t.Fatalf("got %+v, want three records", got.Items)
	}
	for _, r := range got.Items {
		if r.Source != "file" || r.AsOf.IsZero() {
			t.Errorf("got %+v, want it to say that it is from a file, and of when", r)
		}
	}
	var s api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if !s.Mirror.Filled || s.Mirror.Source != "file" || s.Mirror.Imported.IsZero() || s.Counts.Users != 1 || s.Counts.Licenses != 1 {
		t.Errorf("the status has %+v, %+v", s.Mirror, s.Counts)
	}
	for name, bad := range map[string]api.MirrorRecord{
		"no id":                 {Kind: "user"},
		"no kind":               {ID: "x"},
		"a product that is not": {Kind: "product", ID: "view", Capped: "no"},
		"a license without end": {Kind: "license", ID: "L2", Product: "road", Type: "virtuoso"},
		"another type":          {Kind: "license", ID: "L2", Product: "road", Type: "trial", Ends: ends},
	} {
		if p := it.want(t, 400, "", "POST", "/v1/mirror/import", api.ImportRequest{By: "ida", Records: []api.MirrorRecord{bad}}).problem(t); p.Detail == "" {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	it.want(t, 400, "", "POST", "/v1/mirror/import", api.ImportRequest{Records: part.Records})
	it.want(t, 400, "", "POST", "/v1/mirror/import", api.ImportRequest{By: "ida", Records: make([]api.MirrorRecord, 1001)})
	node.do(t, license.Mirror{Cursor: "c1", Full: true, Last: true, Changes: []license.Change{{User: &license.User{ID: "ada"}}}})
	if p := it.want(t, 409, "", "POST", "/v1/mirror/import", part).problem(t); p.Code != "mirror-follows-feed" {
		t.Errorf("where there is a feed the refusal is %+v", p)
	}
	it.want(t, 200, "", "GET", "/v1/mirror/records", nil).into(t, &got)
	for _, r := range got.Items {
		if r.ID == "ada" && r.Source != "feed" {
			t.Errorf("got %+v, want it from the feed", r)
		}
	}
}

func TestWhatCannotBeUnderstoodIsListed(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{
		{DeleteUser: "zoe", Malformed: "another id is in it"}, {Account: &license.Account{ID: "firm"}, Malformed: "a time in its terms is less than nothing"}}})
	var list api.List[api.MalformedRecord]
	it.want(t, 200, "", "GET", "/v1/mirror/malformed", nil).into(t, &list)
	if len(list.Items) != 2 || list.Items[0].Kind != "account" || list.Items[1].ID != "zoe" || list.Items[1].Why != "another id is in it" || list.Items[1].Since.IsZero() {
		t.Errorf("got %+v", list.Items)
	}
	var s api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if s.Mirror.Malformed != 2 {
		t.Errorf("the status tells of %d, want 2", s.Mirror.Malformed)
	}
}

// What every node knows of its site is in /metrics, from when the node begins.
func TestMetricsTellOfTheLinkAndTheMirror(t *testing.T) {
	node := filled(t)
	users, _ := operated(t, node)
	has := func(lines ...string) {
		t.Helper()
		got := string(users.want(t, 200, "", "GET", "/metrics", nil).raw)
		for _, line := range lines {
			if !strings.Contains(got, "\n"+line+"\n") {
				t.Errorf("/metrics lacks %q", line)
			}
		}
	}
	has(`sitegate_link_state{state="down"} 1`, `sitegate_link_state{state="up"} 0`, `sitegate_mirror_malformed 0`, `sitegate_mirror_held 0`, `sitegate_sessions{provisional="true"} 0`)
	node.do(t, license.Link{Up: true, Slow: true, Contact: license.TimeOf(time.Now().Add(-time.Minute))})
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{{DeleteUser: "zoe", Malformed: "another id is in it"}}})
	node.do(t, license.NoteCloud{Feed: license.OfferYes, Holds: license.OfferNo})
	has(`sitegate_link_state{state="slow"} 1`, `sitegate_link_state{state="down"} 0`, `sitegate_mirror_malformed 1`,
		`sitegate_cloud_offers{what="feed"} 1`, `sitegate_cloud_offers{what="holds"} 0`)
	node.do(t, license.Link{Up: true, Contact: license.TimeOf(time.Now())})
	has(`sitegate_link_state{state="up"} 1`, `sitegate_link_state{state="slow"} 0`)
}
