package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/desktop"
	"sitegate/emulator"
	"sitegate/license"
	"sitegate/phrase"
)

// found is the check of a step, which there must be.
func (f *findings) found(t *testing.T, step string) check {
	t.Helper()
	for _, c := range f.Checks {
		if c.Step == step {
			return c
		}
	}
	t.Fatalf("no check of %s in %+v", step, f.Checks)
	return check{}
}

func TestDoctorFindsAllWell(t *testing.T) {
	r := newRig(t)
	e, flags := issuer(t, r)
	r.expect(r.seat(append(flags, "--password-file", r.file("pw", emulator.Password(emulator.UserA)))...), 0)
	path := filepath.Join(r.dir, "kept", "token.json")
	token, err := (&tokenFile{path: path}).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.g.Users[token] = ann
	r.env["SITEGATE_TOKEN_FILE"] = path
	r.expect(r.seat("doctor", "--client-version", "23.00.01.25"), 0, "0 failed", "is ready, its certificate is good until", "signed in: as "+ann, "come by websocket",
		"agrees with the gateway's", "sign-in "+e.Issuer+": reached through", "license 3101", "Ada Admin <ada@site.example>", "client 23.00.01.25: is new enough")
	var f findings
	if err := json.Unmarshal([]byte(r.seat("doctor", "--json").out), &f); err != nil || len(f.Checks) < 8 || f.found(t, "signed in").State != pass {
		t.Errorf("doctor --json: %v, %+v; want the checks", err, f)
	}
	if n := r.g.Asked("POST"); n != 0 {
		t.Errorf("the doctor sent %d requests that change something, want none", n)
	}
}

// TestDoctorFindsPollsBehindABoxThatIsSlow: what breaks websockets may take its time over
// it, more than there is for a request.
func TestDoctorFindsPollsBehindABoxThatIsSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	box := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") == "" {
			r.g.ServeHTTP(w, req)
			return
		}
		select {
		case <-time.After(3 * time.Second):
		case <-req.Context().Done():
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(box.Close)
	r.env["SITEGATE_GATEWAY"] = box.URL // httptest's servers share a certificate
	r.expect(r.seat("doctor", "--timeout", "5s"), 0, "WARN  notices (websocket_blocked)", "notices come by long poll")
}

// TestDoctorFindsABoxThatHoldsAnswersBack: what is short comes through, and what is to come
// by and by does not.
func TestDoctorFindsABoxThatHoldsAnswersBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	box := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, api.PathNotices) {
			r.g.ServeHTTP(w, req)
			return
		}
		<-req.Context().Done()
	}))
	t.Cleanup(box.Close)
	r.env["SITEGATE_GATEWAY"] = box.URL // httptest's servers share a certificate
	r.expect(r.seat("doctor", "--timeout", "5s"), 1, "FAIL  notices (proxy_buffering)", "holds connections back")
}

// TestDoctorTellsWhatTheGatewayAnswers: a gateway that gives no notices is not taken for
// something in between.
func TestDoctorTellsWhatTheGatewayAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, api.PathNotices) {
			r.g.ServeHTTP(w, req)
			return
		}
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusServiceUnavailable)
		json.NewEncoder(w).Encode(api.Problem{Code: api.CodeNotReady, Status: http.StatusServiceUnavailable, Detail: "The gateway is not ready yet.", Next: []string{"Try again in a minute."}})
	}))
	t.Cleanup(front.Close)
	r.env["SITEGATE_GATEWAY"] = front.URL // httptest's servers share a certificate
	r.expect(r.seat("doctor", "--timeout", "5s"), 1, "FAIL  notices: none come: The gateway is not ready yet.", "Try again in a minute.")
}

func TestDoctorSaysWhatIsWrong(t *testing.T) {
	r := newRig(t)
	r.file("token", "old-token")
	r.expect(r.seat("doctor"), 1, "FAIL  signed in: There is no valid sign-in.", "Sign in again")

	r = newRig(t)
	delete(r.env, "SITEGATE_CA")
	r.expect(r.seat("doctor", "--timeout", "2s"), 1, "FAIL  node", "--ca FILE", "inspects the connection")

	r = newRig(t)
	r.expect(r.seat("doctor", "--gateway", "https://127.0.0.1:1", "--timeout", "300ms"), 1, "FAIL  node https://127.0.0.1:1", "whether a firewall lets you there")

	r = newRig(t)
	r.without("SITEGATE_GATEWAY", "SITEGATE_CA")
	r.expect(r.seat("doctor"), 1, "FAIL  gateway: where is the gateway?", "SKIP  clock")

	portal := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>Welcome to our hotel")) }))
	defer portal.Close()
	r = newRig(t) // httptest's servers share a certificate
	r.expect(r.seat("doctor", "--gateway", portal.URL, "--timeout", "1s"), 1, "what answers there is not a license gateway")

	r = newRig(t)
	r.etc("sign_in:\n  issuer: https://127.0.0.1:1\n")
	r.expect(r.seat("doctor", "--timeout", "2s"), 1, "FAIL  sign-in https://127.0.0.1:1", "CONNECT door")
}

func TestDoctorTellsOfANodeThatIsNotReady(t *testing.T) {
	r := newRig(t)
	r.g.Before = func(req *http.Request) *api.Problem { return nil }
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		json.NewEncoder(w).Encode(api.Ready{Missing: []string{api.MissingLeader}})
	}))
	defer srv.Close()
	got := r.seat("doctor", "--gateway", srv.URL+","+r.srv.URL)
	r.expect(got, 0, "WARN  node "+srv.URL+": answers, and is not ready (it lacks: leader)", "PASS  node "+r.srv.URL)
}

func TestClockIsCompared(t *testing.T) {
	for ahead, want := range map[time.Duration]string{0: pass, 30 * time.Second: pass, -90 * time.Second: warn, 6 * time.Minute: fail, -time.Hour: fail} {
		var f findings
		checkClock(ahead, true, &f)
		c := f.found(t, "clock")
		if c.State != want || want != pass && !strings.Contains(c.Found, ahead.Abs().String()) {
			t.Errorf("%v: %+v, want %s and by how much", ahead, c, want)
		}
		if ahead < 0 && !strings.Contains(c.Found, "is "+ahead.Abs().String()+" ahead of") {
			t.Errorf("%v: %q, want that this computer is ahead", ahead, c.Found)
		}
	}
}

func TestLicensesNeedTheirOwnEmail(t *testing.T) {
	var f findings
	checkEmail(&api.Me{SignedIn: "ann@home.example", Email: ann}, &f)
	if c := f.found(t, "signed in"); c.State != fail || !strings.Contains(c.Action, "do not delete the user") {
		t.Errorf("%+v, want a failure and R11's advice", c)
	}
	f = findings{}
	checkEmail(&api.Me{SignedIn: "Ann@site.example", Email: ann}, &f)
	if c := f.found(t, "signed in"); c.State != pass {
		t.Errorf("%+v, want case to make no difference", c)
	}
}

// TestAnUnknownUserIsToldWhatToDo is R27's "user not listed": was the user created, has it a
// country, and nothing old is to be kept here after that. The gateway's steps say so, in the
// user's language; where an earlier one has none, seat does.
func TestAnUnknownUserIsToldWhatToDo(t *testing.T) {
	r := newRig(t)
	var next []string
	r.g.Before = func(req *http.Request) *api.Problem {
		if req.URL.Path != api.PathMe {
			return nil
		}
		return &api.Problem{Code: "unknown-user", Status: http.StatusForbidden, Detail: "This site's account does not have you as a user.",
			Next: next, Contacts: []api.Administrator{{Name: "Ada Admin", Email: "ada@site.example"}}}
	}
	const said, help = "FAIL  signed in: This site's account does not have you as a user.", "Who can help:\n  Ada Admin <ada@site.example>"
	r.expect(r.seat("doctor"), 1, said, "Ask your license administrator whether your user was created in the account, and has a country; then: seat logout, seat login\n", help)
	for _, lang := range phrase.Langs() {
		_, _, next = phrase.Denial(lang, license.Denial{Reason: license.UnknownUser}, phrase.Names{Administrators: []string{"Ada Admin"}}, "")
		r.expect(r.seat("doctor"), 1, said, strings.Join(next, " ")+"\n", help)
	}
}

func TestTheCountryIsSaidAndMissed(t *testing.T) {
	var f findings
	checkCountry(&api.Me{Country: "NL"}, &f)
	if c := f.found(t, "country"); c.State != pass || !strings.Contains(c.Found, "are for NL") {
		t.Errorf("%+v, want the country", c)
	}
	f = findings{} // of an earlier gateway, or of who is named by an e-mail address alone (R22)
	checkCountry(&api.Me{Products: []api.MyProduct{{Product: "a", Reason: "license-ended"}, {Product: "b", LicenseType: "commercial"}}}, &f)
	if c := f.found(t, "country"); c.State != skip || c.Action != "" || !strings.Contains(c.Found, "does not tell your country") {
		t.Errorf("%+v, want nothing to be done where a product would start", c)
	}
	f = findings{}
	checkCountry(&api.Me{}, &f)
	if c := f.found(t, "country"); c.State != warn || !strings.Contains(c.Action, "enter your country") {
		t.Errorf("%+v, want what to do about it", c)
	}
}

func TestWhatWouldNotStartComesWithWhatToDo(t *testing.T) {
	var f findings
	checkLicenses(&api.Me{Products: []api.MyProduct{{Product: cad, Reason: "license-ended", Text: "Your license ended on 2026-11-01.", Next: []string{"Ask Ada Admin to renew it.", "Or wait."}}}}, &f)
	if c := f.found(t, "product"); c.State != warn || c.Found != "would not start: Your license ended on 2026-11-01." || c.Action != "Ask Ada Admin to renew it. Or wait." {
		t.Errorf("%+v, want the sentence and the steps", c)
	}
	f = findings{}
	checkLicenses(&api.Me{Products: []api.MyProduct{{Product: cad, Reason: "license-ended"}}}, &f) // by a gateway that says no more
	if c := f.found(t, "product"); c.Found != "would not start: license-ended" || c.Action == "" {
		t.Errorf("%+v, want the reason, and whom to ask", c)
	}
}

func TestSystemIsWhatTheVendorsClientNeeds(t *testing.T) {
	ok := desktop.System{OS: "windows", Major: 10, Build: 19045, User: "ann", DotNet: 528040, InternetExplorer: "11.0.9600", ConnectionClient: "23.0.1.25"}
	for name, c := range map[string]struct {
		change func(*desktop.System)
		step   string
		want   string
		says   string
	}{
		"all well":       {func(*desktop.System) {}, "system", pass, "NT 10.0"},
		"Windows 7":      {func(s *desktop.System) { s.Major, s.Minor = 6, 1 }, "system", fail, "older version"},
		"a space":        {func(s *desktop.System) { s.User = "Ann Cole" }, "user name", warn, "updated"},
		"special":        {func(s *desktop.System) { s.User = "abc#&123" }, "user name", warn, "installed"},
		"an accent":      {func(s *desktop.System) { s.User = "zoë.k" }, "user name", pass, ""},
		"old client":     {func(s *desktop.System) { s.ConnectionClient = "10.00.17.99" }, "client", fail, "Practitioner"},
		"nameless":       {func(s *desktop.System) { s.ConnectionClient = "23.00.00.12" }, "client", warn, "does not name"},
		"first of them":  {func(s *desktop.System) { s.ConnectionClient = "10.00.18.0" }, "client", warn, ""},
		"no client":      {func(s *desktop.System) { s.ConnectionClient = "" }, "client", skip, ""},
		"another system": {func(s *desktop.System) { s.OS = "linux" }, "system", skip, "Windows only"},
	} {
		s := ok
		c.change(&s)
		var f findings
		checkSystem(s, "", &f)
		if got := f.found(t, c.step); got.State != c.want || !strings.Contains(got.Found+got.Action, c.says) {
			t.Errorf("%s: %+v, want %s and %q", name, got, c.want, c.says)
		}
	}
	for name, change := range map[string]func(*desktop.System){
		".NET":              func(s *desktop.System) { s.DotNet = 378389 },
		"Internet Explorer": func(s *desktop.System) { s.InternetExplorer = "8.0.7601" },
	} {
		s := ok
		change(&s)
		var f findings
		checkSystem(s, "", &f)
		if f.count(fail) != 1 {
			t.Errorf("old %s: %+v, want one failure", name, f.Checks)
		}
	}
}
