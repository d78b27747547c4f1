package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

func TestHelpHasAnExampleOfEachCommand(t *testing.T) {
	r := newRig(t)
	got := r.seat("--help")
	r.expect(got, 0)
	for _, c := range commands() {
		if !strings.Contains(got.out, c.example) {
			t.Errorf("no example of %s in:\n%s", c.name, got.out)
		}
		r.expect(r.seat(c.name, "--help"), 0, c.example, "--gateway")
		r.expect(r.seat("help", c.name), 0, c.example)
	}
	if got := r.seat(); got.status != 64 || got.out == "" {
		t.Errorf("without a command: %d, want 64 and the help", got.status)
	}
	r.expect(r.seat("fly"), 64, `no command "fly"`)
}

// Refresh asks the gateway for it, and shows the license type of each product (R21).
func TestRefresh(t *testing.T) {
	r := newRig(t)
	r.expect(r.seat("refresh"), 0, ann, "starts as", "3101", "Practitioner")
	if n := r.g.Asked("POST /v1/me/refresh"); n != 1 {
		t.Errorf("the gateway was asked %d times to refresh, want once", n)
	}
	r.expect(r.seat("refresh", "now"), 64, "takes no arguments")
}

func TestStatus(t *testing.T) {
	r := newRig(t)
	r.startOn("WS-101")
	r.expect(r.seat("status"), 0, ann, "3101", "Practitioner", "one machine at a time", "on WS-101 since", "Ada Admin <ada@site.example>", "reached")
	got := r.seat("status", "--json")
	var me api.Me
	if err := json.Unmarshal([]byte(got.out), &me); err != nil || me.Email != ann || len(me.Sessions) != 1 {
		t.Errorf("JSON %+v, %v; want Ann with a session", me, err)
	}
	if got := r.seat("status", "--machine-id", "id-of-WS-101"); !strings.Contains(got.out, "WS-101 (this machine)") {
		t.Errorf("status on the machine itself:\n%swant it to say so", got.out)
	}
}

func TestFlagsStandBeforeAndAfterTheCommand(t *testing.T) {
	r := newRig(t)
	gateway := r.env["SITEGATE_GATEWAY"]
	delete(r.env, "SITEGATE_GATEWAY")
	r.expect(r.seat("--gateway", gateway, "status"), 0, ann)
	r.expect(r.seat("status", "--gateway", gateway), 0, ann)
	r.expect(r.seat("status"), 64, "SITEGATE_GATEWAY")
	r.expect(r.seat("status", "--gateway", "http://gw.example"), 64, "not https")
	r.expect(r.seat("status", "--gateway", gateway, "--ca", filepath.Join(r.dir, "none")), 64, "--ca")
}

func TestCheckoutAndReturn(t *testing.T) {
	r := newRig(t)
	got := r.seat("checkout", "--product", cad, "--for", "72h", "--machine-name", "LT-7", "--json")
	var out api.Checkout
	if err := json.Unmarshal([]byte(got.out), &out); err != nil || got.status != 0 || out.Machine.Name != "LT-7" ||
		time.Until(out.Until).Round(time.Hour) != 72*time.Hour {
		t.Fatalf("checkout = %d %+v, %v; want three days on LT-7", got.status, out, err)
	}
	r.expect(r.seat("status"), 0, "checked out", out.ID)
	r.expect(r.seat("return", out.ID), 0, "Given back")
	r.expect(r.seat("return", out.ID), 77)
	r.expect(r.seat("checkout", "--product", cad, "--until", "2031-05-07"), 0, "until 2031-05-07 23:59")
	// Where nobody says until when, the site does, and the end it gave is told.
	got = r.seat("checkout", "--product", cad, "--machine-name", "LT-8", "--json")
	if err := json.Unmarshal([]byte(got.out), &out); err != nil || got.status != 0 || time.Until(out.Until).Round(time.Hour) != 14*24*time.Hour {
		t.Fatalf("checkout without an end = %d %+v, %v; want the gateway's two weeks", got.status, out, err)
	}
	r.expect(r.seat("return", out.ID, "--machine-name", "LT-8"), 0, "Given back")
	r.expect(r.seat("checkout", "--product", cad, "--machine-name", "LT-8"), 0, "is checked out on this machine until 20")
	for _, args := range [][]string{{"checkout", "--product", cad, "--for", "-1h"}, {"checkout", "--product", cad, "--for", "1h", "--until", "2031-05-07"},
		{"checkout", "--for", "1h"}, {"checkout", "--product", cad, "--until", "soon"}, {"return"}} {
		r.expect(r.seat(args...), 64)
	}
}

func TestWatch(t *testing.T) {
	r := newRig(t)
	b := r.background("watch")
	b.await("listening for " + ann)
	r.g.Say(ann, api.Notice{Kind: api.KindLinkDown, Text: "The cloud\x1b[2J does not answer."})
	b.await("The cloud [2J does not answer.")
	b.cancel()
	b.end(0)

	b = r.background("watch", "--json")
	b.await("listening for " + ann)
	r.g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: "It does."})
	b.await(`"kind":"link-up"`)
	b.cancel()
	b.end(0)
}

func TestWatchWithoutGateway(t *testing.T) {
	r := newRig(t)
	r.srv.Close()
	r.expect(r.seat("watch", "--timeout", "300ms"), 69)
}

func TestMachineIDIsMadeOnceAndKept(t *testing.T) {
	r := newRig(t)
	o := r.build(io.Discard, io.Discard).defaults()
	first, err := o.keptID("ws-101")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := o.keptID("WS-101"); err != nil || again != first {
		t.Errorf("the second time it is %q (%v), want %q", again, err, first)
	}
	if other, err := o.keptID("ws-202"); err != nil || other == first {
		t.Errorf("on another computer with the same home it is %q (%v), want another than %q", other, err, first)
	}
	info, err := os.Stat(o.keeps("machine-id"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
	if err := os.WriteFile(o.keeps("machine-id"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := o.keptID("ws-101"); err == nil {
		t.Errorf("a file that holds none gave %q, want an error", got)
	}
	if _, err := (&options{}).keptID("ws-101"); err == nil {
		t.Error("without a place to keep it: want an error")
	}
}

func TestLanguageIsTheLocales(t *testing.T) {
	for v, want := range map[string]string{"fr_FR.UTF-8": "fr", "de": "de", "C": "en", "": "en", "pl_PL": "en"} {
		if got := language(func(k string) string { return map[string]string{"LANG": v}[k] }); got != want {
			t.Errorf("LANG=%s: %q, want %q", v, got, want)
		}
	}
}
