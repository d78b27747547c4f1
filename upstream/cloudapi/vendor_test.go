package cloudapi_test

import (
	"strings"
	"testing"

	"sitegate/upstream/cloudapi"
)

func TestRunsAreReadOfPostings(t *testing.T) {
	const run = `{"imsID":"u-1","hID":"WS-101","prdid":"3101","corID":"r-1","lSrc":"RealTime","ver":"any","new":{"a":1}`
	for body, want := range map[string]struct {
		list, ends bool
		n          int
	}{
		run + `}`: {n: 1},
		run + `,"eDateZ":"0001-01-01T00:00:00Z"}`:                          {n: 1},
		run + `,"eDateZ":"2026-04-01T08:00:00Z"}`:                          {n: 1, ends: true},
		`[` + run + `,"eDateZ":"2026-04-01","ftrID":"f"}]`:                 {list: true, n: 1},
		`[` + run + `,"eDateZ":"2026-04-01","ftrID":"3101"},` + run + `}]`: {list: true, n: 2, ends: true},
		`[]`: {list: true},
	} {
		runs, err := cloudapi.ReadRuns([]byte(body), want.list)
		if err != nil || len(runs) != want.n || want.n > 0 && (runs[0].Ends() != want.ends || runs[0].Host != "WS-101" || runs[0].CorrelationID != "r-1") {
			t.Errorf("%s: got %+v, %v", body, runs, err)
		}
	}
	for name, body := range map[string]string{"a field twice": `{"corID":"a","corid":"b"}`, "a list": `[]`, "cut short": run, "large": `{"a":"` + strings.Repeat("a", cloudapi.MaxPosting) + `"}`} {
		if runs, err := cloudapi.ReadRuns([]byte(body), false); err == nil {
			t.Errorf("%s: got %+v, want it refused", name, runs)
		}
	}
	if _, err := cloudapi.ReadRuns([]byte(`[{}`+strings.Repeat(",{}", cloudapi.MaxPostings)+`]`), true); err == nil {
		t.Error("very many: want them refused")
	}
}

func TestOnlyAFilesPlaceIsReplaced(t *testing.T) {
	const old = ` { "status":"success" , "epInfo":{"SharedAccessSignature":"?sv=1&sig=a%2Fb","epUri":"https://blob.test/a"},"EpUri" : "https://blob.test/a" ,"reqID":"1"}` + "\n"
	l, err := cloudapi.ReadLocation([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	place, signature, err := l.Place()
	if err != nil || place.String() != "https://blob.test/a" || signature != "sv=1&sig=a%2Fb" {
		t.Errorf("got %v, %q, %v", place, signature, err)
	}
	got, err := cloudapi.ReplaceEndpoint([]byte(old), "https://gate.test/b")
	if want := strings.Replace(old, `"EpUri" : "https://blob.test/a"`, `"EpUri" : "https://gate.test/b"`, 1); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, body := range []string{`{}`, `{"epUri":1}`, `{"epUri":null}`, `null`, `[]`, `{"epUri":"a","EPURI":"b"}`, `{"epUri":"a"`} {
		if got, err := cloudapi.ReplaceEndpoint([]byte(body), "https://gate.test/b"); err == nil {
			t.Errorf("%s: got %s, want it refused", body, got)
		}
	}
	for _, at := range []cloudapi.Location{{Endpoint: "http://blob.test/a"}, {Endpoint: "https:///a"}, {Endpoint: "https://u@blob.test/a"}, {Endpoint: "https://blob.test/a?b"},
		{Endpoint: "https://blob.test/a", Info: cloudapi.LocationInfo{Signature: "a b"}}} {
		if place, _, err := at.Place(); err == nil {
			t.Errorf("%+v: got %v, want it refused", at, place)
		}
	}
}
