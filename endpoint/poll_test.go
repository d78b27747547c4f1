package endpoint

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// poll asks once, and holds the answer against the contract.
func (r *rig) poll(t *testing.T, user, query string) api.Poll {
	t.Helper()
	a := r.want(t, http.StatusOK, user, "GET", "/v1/notices/poll?machine=m-101&name=WS-101&instance=i-1&lang=en&"+query, nil)
	c, err := contracts()
	if err != nil {
		t.Fatal(err)
	}
	if err := check(c.poll, a.raw); err != nil {
		t.Errorf("the poll %s is not the contract's: %v", a.raw, err)
	}
	var p api.Poll
	a.into(t, &p)
	return p
}

func resume(h api.Hello) string {
	return fmt.Sprintf("since=%d:%d&cluster=%s", h.Epoch, h.Seq, h.Cluster)
}

// A poll begins with how things are, then tells what happens, all of it and in order,
// as soon as it does.
func TestPollingTellsWhatHappens(t *testing.T) {
	r := newRig(t, filled(t))
	first := r.poll(t, "ada", "")
	if first.State == nil || first.State.ID != "ada" || first.Hello.Recovered || len(first.Notices) != 0 {
		t.Fatalf("the first poll is %+v; want the state", first)
	}
	if p := r.poll(t, "ada", "wait_ms=0&"+resume(first.Hello)); !p.Hello.Recovered || len(p.Notices) != 0 || p.State != nil {
		t.Errorf("when nothing happened the poll is %+v", p)
	}
	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil)
	p := r.poll(t, "ada", resume(first.Hello))
	if len(p.Notices) != 2 || p.Notices[0].Kind != api.KindGranted || !p.Notices[0].Mine || p.Notices[1].Kind != api.KindFree || p.Hello.Seq < p.Notices[1].Seq {
		t.Fatalf("polled %+v; want the start and the stop", p)
	}
	// A poll that waits is answered when something happens, and what happens to others
	// takes its token along.
	r.want(t, 201, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	told := make(chan api.Poll, 1)
	go func() { told <- r.poll(t, "ada", resume(p.Hello)) }()
	eventually(t, "the poll waits", func() bool { return r.node.hub.Len() == 1 })
	r.node.do(t, license.Link{Up: true})
	if p := <-told; len(p.Notices) != 1 || p.Notices[0].Kind != api.KindLinkUp {
		t.Errorf("polled %+v; want the link", p)
	}
	if p := r.poll(t, "ada", "since=9:1"); p.Hello.Recovered || p.State == nil {
		t.Errorf("a token of another time was answered with %+v; want the state", p)
	}
}

func TestPollingWrongly(t *testing.T) {
	r := newRig(t, filled(t))
	for query, status := range map[string]int{"machine=m&instance=i&wait_ms=25001": 400, "machine=m&instance=i&wait_ms=x": 400, "machine=m": 400, "instance=i": 400,
		"machine=m&instance=i&since=x": 400, "machine=m&instance=i&feed=site": 403, "machine=m&instance=i&feed=x": 400} {
		if a := r.call(t, "ada", "GET", "/v1/notices/poll?"+query, nil); a.StatusCode != status {
			t.Errorf("%s: %d %s; want %d", query, a.StatusCode, a.raw, status)
		}
	}
	if a := r.call(t, "ada", "GET", "/v1/notices/poll?machine=m&instance=i", nil, header{"Origin": "https://evil.example"}); a.StatusCode != 403 {
		t.Errorf("a page of another site polls: %d", a.StatusCode)
	}
}

// A poll whose instance comes again is told so, and not to come back; the newer one goes on.
func TestAPollWhosePlaceIsTaken(t *testing.T) {
	r := newRig(t, filled(t))
	p := r.poll(t, "ada", "")
	told := make(chan answer, 1)
	go func() {
		told <- r.call(t, "ada", "GET", "/v1/notices/poll?machine=m-101&instance=i-1&lang=de&"+resume(p.Hello), nil)
	}()
	eventually(t, "the poll waits", func() bool { return r.node.hub.Len() == 1 })
	newer, _, _ := r.join(t, "ada", map[string]string{"machine": "m-101", "instance": "i-1"})
	a := <-told
	var problem api.Problem
	a.into(t, &problem)
	if a.StatusCode != http.StatusConflict || problem.Code != api.CodeReplaced || !strings.Contains(problem.Detail, "abgelöst") {
		t.Errorf("the poll was answered %d %s; want 409, replaced", a.StatusCode, a.raw)
	}
	r.node.do(t, license.Link{Up: true})
	if n := newer.notice(); n.Kind != api.KindLinkUp {
		t.Errorf("the newer connection was told %+v; want the link", n)
	}
}

// A node that goes lets its polls go with what they have.
func TestPollsEndWithTheNode(t *testing.T) {
	r := newRig(t, filled(t))
	p := r.poll(t, "ada", "")
	told := make(chan api.Poll, 1)
	go func() { told <- r.poll(t, "ada", resume(p.Hello)) }()
	eventually(t, "the poll waits", func() bool { return r.node.hub.Len() == 1 })
	r.stop()
	if p := <-told; len(p.Notices) != 0 || !p.Hello.Recovered {
		t.Errorf("polled %+v", p)
	}
	if a := r.call(t, "ada", "GET", "/v1/notices/poll?machine=m&instance=i&"+resume(p.Hello), nil); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("a node that goes answered %d; want 503 and Retry-After", a.StatusCode)
	}
}

// The console's events are frames of the contract, with tokens to come back with.
func TestEventsAreFramesForTheConsole(t *testing.T) {
	r := newRig(t, staffed(t))
	if a := r.call(t, "ada", "GET", "/v1/notices/events", nil); a.StatusCode != 403 {
		t.Errorf("a user reads the events: %d", a.StatusCode)
	}
	read := func(since string, kinds ...string) (last string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.URL+"/v1/notices/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.issuer.token(t, "ida"))
		if since != "" {
			req.Header.Set("Last-Event-ID", since)
		}
		resp, err := r.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s %s", resp.Status, resp.Header)
		}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for _, want := range kinds {
			if since == "" && want == api.FrameSite { // not before: what the greeting has counted in is not told again
				r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
			}
			event := map[string]string{}
			for lines.Scan() && (lines.Text() != "" || len(event) == 0) {
				if key, value, ok := strings.Cut(lines.Text(), ": "); ok && key != "" {
					event[key] = value
				}
			}
			if event["event"] != want {
				t.Fatalf("got the event %q; want %s", event, want)
			}
			wantSent(t, []byte(event["data"]))
			last = event["id"]
		}
		return last
	}
	last := read("", api.FrameHello, api.FrameState, api.FrameSite)
	r.node.do(t, license.Link{Up: true})
	read(last, api.FrameHello, api.FrameSite)
	eventually(t, "the streams have ended", func() bool { return r.e.streams.Load() == 0 })
}

// A node that may have been cut off does not say that nothing has happened: it would
// not know, and another node tells.
func TestPollsAndEventsWantALeader(t *testing.T) {
	r := newRig(t, staffed(t))
	p := r.poll(t, "ada", "")
	waiting := make(chan answer, 1)
	go func() {
		waiting <- r.call(t, "ada", "GET", "/v1/notices/poll?machine=m-101&instance=i-1&wait_ms=500&"+resume(p.Hello), nil)
	}()
	eventually(t, "the poll waits", func() bool { return r.node.hub.Len() == 1 })
	r.node.set(func() { r.node.lone = true })
	if a := <-waiting; a.StatusCode != 503 || a.problem(t).Code != api.CodeNoQuorum {
		t.Errorf("a poll of a node that lost its leader ended with %d %s; want 503 %s", a.StatusCode, a.raw, api.CodeNoQuorum)
	}
	for path, user := range map[string]string{"poll?machine=m-101&instance=i-1&" + resume(p.Hello): "ada", "poll?machine=m-101&instance=i-1": "ada", "events": "ida"} {
		if a := r.call(t, user, "GET", "/v1/notices/"+path, nil); a.StatusCode != 503 || a.problem(t).Code != api.CodeNoQuorum {
			t.Errorf("%s without a leader: %d %s; want 503 %s", path, a.StatusCode, a.raw, api.CodeNoQuorum)
		}
	}
}

// What happens after somebody was sent away is not told to them by a poll that waits.
func TestAPollTellsNothingToWhoIsSentAway(t *testing.T) {
	block := license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{User: &license.User{ID: "ada", Email: "ada@example.org", Country: "DE", Blocked: true}}}}
	tests := []struct {
		name   string
		away   func(*rig)
		status int
		code   string
	}{
		{"blocked", func(r *rig) { r.node.do(t, block) }, 403, string(license.UserBlocked)},
		{"the key is withdrawn", func(r *rig) {
			for _, is := range r.e.auth.issuers {
				is.mu.Lock()
				for _, mark := range is.marks {
					mark.withdrawn.Store(true)
				}
				is.mu.Unlock()
			}
		}, 401, api.CodeUnauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, filled(t))
			p := r.poll(t, "ada", "")
			told := make(chan answer, 1)
			go func() {
				told <- r.call(t, "ada", "GET", "/v1/notices/poll?machine=m-101&instance=i-1&"+resume(p.Hello), nil)
			}()
			eventually(t, "the poll waits", func() bool { return r.node.hub.Len() == 1 })
			test.away(r)
			r.node.do(t, license.Link{Up: true})
			if a := <-told; a.StatusCode != test.status || a.problem(t).Code != test.code {
				t.Errorf("told %d %s; want %d %s", a.StatusCode, a.raw, test.status, test.code)
			}
		})
	}
}

// Nor are events: the stream ends before them.
func TestEventsTellNothingToWhoIsSentAway(t *testing.T) {
	r := newRig(t, staffed(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", r.URL+"/v1/notices/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.issuer.token(t, "ida"))
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.node.do(t, license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{{User: &license.User{ID: "ida", Email: "ida@elsewhere.example"}}}})
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(all), "event: site") {
		t.Errorf("who does not administer the account any more was told %s", all)
	}
}
