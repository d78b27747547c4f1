package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/doctor"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/license"
)

// unpack is each file of a debug bundle, by name.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "sitegate-debug/")] = string(b)
	}
}

// secretive is a node that runs, with users, secrets of all kinds, and people who act.
type secretive struct {
	config  string
	cloud   *emulator.Emulator
	secrets []string // that it was given, or has made
	names   []string // of people and machines
}

func newSecretive(t *testing.T) *secretive {
	t.Helper()
	s := &secretive{cloud: &emulator.Emulator{Issuer: "https://cloud.test", Sites: map[string]string{"site-1": "s3cret-of-the-site"}}}
	s.cloud.Seed(30)
	ports := make([]net.Listener, 2)
	for i := range ports {
		var err error
		if ports[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	cloud, err := emulator.Serve(ports[0], s.cloud, "cloud.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	p := proxy.Start(ports[1], proxy.Config{Users: map[string]string{"svc-otto": "pr0xy-of-otto"}, Hosts: map[string]string{"cloud.test:443": cloud.Addr()}})
	t.Cleanup(func() { p.Close() })
	dir := t.TempDir()
	for name, text := range map[string]string{"ca.pem": string(cloud.CAPEM), "cloud.secret": "s3cret-of-the-site\n", "proxy.password": "pr0xy-of-otto\n", "mail.password": "ma1l-of-paula\n",
		"hook.secret": "h00k-of-the-chat\n", "sitegate.yaml": `
data_dir: data
cloud: {url: "https://cloud.test", site_id: site-1, secret_file: cloud.secret}
sign_in: [{issuer: "https://cloud.test", audience: site-gateway}]
egress:
  proxy: {address: "` + p.Addr() + `", username: svc-otto, password_file: proxy.password}
  extra_ca: [{file: ca.pem, hosts: [cloud.test]}]
alerts:
  mail: {server: "mail.plant.test:587", username: paula, password_file: mail.password, from: gate@plant.test, to: [paul@plant.test]}
  webhooks: [{name: chat, url: "https://hooks.plant.test/services/t0ken-of-the-chat", secret_file: hook.secret}]
log: {level: debug}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.config = filepath.Join(dir, "sitegate.yaml")
	s.secrets = []string{"s3cret-of-the-site", "pr0xy-of-otto", "ma1l-of-paula", "h00k-of-the-chat", "t0ken-of-the-chat", "kw8-7hf-3na-s1x-words"}
	node := serveNode(t, s.config)

	ask := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if status := run(t.Context(), append(args, "--config", s.config), nil, strings.NewReader("kw8-7hf-3na-s1x-words\n"), &out, &errs); status != 0 {
			t.Fatalf("%v: status %d: %s", args, status, errs.String())
		}
		return out.String()
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(ask("status"), "30 users"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the mirror is not filled after a minute:\n%s\n%s", ask("status"), node.log())
		}
	}
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(ask("token", "create", "monitor-of-bruno", "--role", "viewer", "--json")), &made); err != nil || made.Token == "" {
		t.Fatalf("no token was made: %v", err)
	}
	ask("account", "create", "zenobia", "--role", "admin")
	ask("block", "machine", "WS-GEHEIM-7", "--note", "stolen from Gudrun", "--by", "balthasar")
	ask("block", "user", emulator.UserB, "--note", "left with Gudrun", "--by", "balthasar")

	// A desktop starts a product.
	var listen []string
	for end := time.Now().Add(time.Minute); listen == nil; time.Sleep(20 * time.Millisecond) {
		if listen = regexp.MustCompile(`listen=(127\.0\.0\.1:\d+)`).FindStringSubmatch(node.log()); listen == nil && time.Now().After(end) {
			t.Fatalf("the log does not say where it listens:\n%s", node.log())
		}
	}
	access, err := s.cloud.UserToken("https://cloud.test", emulator.UserA, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(api.StartRequest{ID: uuid.Must(uuid.NewV7()).String(), Product: emulator.ProductUncapped, Machine: api.Machine{ID: "m-4711-ada", Name: "LAPTOP-ADA"}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+listen[1]+api.PathSessions, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("the start: %s, %v: %s", resp.Status, err, answer)
	}

	s.secrets = append(s.secrets, made.Token, access)
	for _, key := range []string{"ca/site-ca.key", "first-account.token", "privacy.key"} {
		if b, err := os.ReadFile(filepath.Join(dir, "data", key)); err == nil {
			s.secrets = append(s.secrets, strings.TrimSpace(string(b)))
		}
	}
	s.names = []string{"svc-otto", "paula", "paul@plant.test", "gate@plant.test", "monitor-of-bruno", "zenobia", "WS-GEHEIM-7", "balthasar", "Gudrun", "LAPTOP-ADA", "m-4711-ada",
		"licensing@harbour-works.example", "purchasing@harbour-works.example"}
	for _, u := range s.cloud.Users() {
		s.names = append(s.names, u.ID, u.Email, u.Name)
		s.names = append(s.names, strings.Fields(u.Name)...)
	}
	return s
}

// word is whether a text has another as a word in it.
func hasWord(text, word string) bool {
	return regexp.MustCompile(`(?i)(?:^|[^\p{L}\p{N}])` + regexp.QuoteMeta(word) + `(?:$|[^\p{L}\p{N}])`).MatchString(text)
}

// A bundle of a node has what there is to know, and nothing that is secret, nor anybody's name.
func TestADebugBundleTellsNoSecretAndNoName(t *testing.T) {
	s := newSecretive(t)
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	status, stdout, stderr := sitegate(t, nil, "debug", "bundle", file, "--config", s.config)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if about, err := os.Stat(file); err != nil || about.Mode().Perm() != 0o600 || about.Size() > 8<<20 {
		t.Errorf("the file: %v, %v", about, err)
	}
	files := unpack(t, file)
	for name, want := range map[string]string{
		"contents.txt": "log.txt", "version.txt": "processors", "settings.txt": "log.level: debug (file)", "status.json": `"mirror_filled": true`, "members.json": `"name": "node1"`,
		"raft.json": `"LogLast"`, "metrics.txt": "sitegate_store_applied_index ", "alerts.json": "[", "log.txt": "by=", "goroutines.txt": "goroutine ", "heap.pprof": "",
		"disk.txt": " bytes in ", "doctor.txt": "connect cloud.test:443",
	} {
		if text, there := files[name]; !there || !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", name, want, text)
		}
		if name != contentsTxt && !strings.Contains(stdout, name) {
			t.Errorf("it does not say that %s is in it:\n%s", name, stdout)
		}
	}
	if strings.Contains(stdout, "missing") {
		t.Errorf("something is missing:\n%s", stdout)
	}
	log := files["log.txt"]
	if !regexp.MustCompile(`by="name-[a-z0-9]+"`).MatchString(log) || !regexp.MustCompile(`(machine|user)="name-[a-z0-9]+"`).MatchString(log) {
		t.Errorf("nobody goes by a pseudonym in the log:\n%s", log)
	}
	for name, text := range files {
		for _, secret := range s.secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %q in it", name, secret)
			}
		}
		if name == "heap.pprof" {
			continue // which is compressed
		}
		if name == "goroutines.txt" || name == "version.txt" { // of functions and modules, whose names some people have
			continue
		}
		for _, who := range s.names {
			if hasWord(text, who) {
				i := strings.Index(strings.ToLower(text), strings.ToLower(who))
				t.Errorf("%s has the name %q in it: …%s…", name, who, text[max(0, i-100):min(len(text), i+100)])
			}
		}
	}

	// It is not written over another one, which is said before anything is asked.
	if status, _, stderr := sitegate(t, nil, "debug", "bundle", file, "--no-doctor", "--config", s.config); status == 0 || !strings.Contains(stderr, "exists") {
		t.Errorf("over another file: status %d, %s", status, stderr)
	}
	short := filepath.Join(t.TempDir(), "short.tar.gz")
	if status, _, stderr := sitegate(t, nil, "debug", "bundle", short, "--no-doctor", "--config", s.config); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	} else if _, there := unpack(t, short)["doctor.txt"]; there {
		t.Error("the doctor was run although it was not to be")
	}
}

// Without the node there is what its configuration and its folder tell.
func TestADebugBundleWithoutTheNode(t *testing.T) {
	config := writeSingle(t)
	data := filepath.Join(filepath.Dir(config), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "something"), make([]byte, 12345), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	status, stdout, stderr := sitegate(t, nil, "debug", "bundle", file, "--no-doctor", "--config", config)
	if status != 0 || !strings.Contains(stderr, "does not run on this machine") || !strings.Contains(stdout, "does not run, or does not answer") {
		t.Errorf("status %d: %s\n%s", status, stderr, stdout)
	}
	files := unpack(t, file)
	if len(files) != 4 || !strings.Contains(files["disk.txt"], "12345  ") || !strings.Contains(files["settings.txt"], "cloud.site_id: site-4711") || strings.Contains(files["settings.txt"], "s3cret") {
		t.Errorf("got %v", files)
	}
}

// atTheDoor is what a bundle is asked for at; the zero value has nothing against it.
type atTheDoor struct {
	noNote, noExam error
	did            []string
	refused        error
}

func (a *atTheDoor) Note(_ context.Context, what string) error {
	a.did = append(a.did, what)
	return a.noNote
}

func (a *atTheDoor) Examine(context.Context) (func(), error) {
	a.did = append(a.did, "examine")
	return func() { a.did = append(a.did, "over") }, a.noExam
}

func (a *atTheDoor) Refuse(w http.ResponseWriter, err error) {
	a.refused = err
	w.WriteHeader(http.StatusTeapot)
}

// A bundle is made once the audit trail has it, and nobody else goes along the way out; one at a
// time. What keeps it from that is told by the door.
func TestADebugBundleIsNotedAndMadeByOne(t *testing.T) {
	data := t.TempDir()
	d := &debugging{setting: func() setting { return setting{Config: configs.Config{DataDir: data}} }}
	ask := func(path string, at *atTheDoor) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.give(at, slog.New(slog.DiscardHandler))(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w
	}
	const without = pathDebug + "?doctor=no"
	well := &atTheDoor{}
	if w := ask(without, well); w.Code != 200 || w.Body.Len() == 0 || !slices.Equal(well.did, []string{"debug-bundle-made"}) {
		t.Errorf("without the doctor: %d with %d bytes, and it did %v", w.Code, w.Body.Len(), well.did)
	}
	no := errors.New("made up")
	for name, x := range map[string]struct {
		path string
		at   atTheDoor
		did  []string
	}{
		"a note that cannot be made": {without, atTheDoor{noNote: no}, []string{"debug-bundle-made"}},
		"a way out that is examined": {pathDebug, atTheDoor{noExam: no}, []string{"examine"}},
		"a note after the way out":   {pathDebug, atTheDoor{noNote: no}, []string{"examine", "debug-bundle-made", "over"}},
	} {
		if w := ask(x.path, &x.at); w.Code != http.StatusTeapot || x.at.refused != no || !slices.Equal(x.at.did, x.did) {
			t.Errorf("%s: %d, %v, and it did %v", name, w.Code, x.at.refused, x.at.did)
		}
	}
	d.busy.Lock()
	busy := &atTheDoor{}
	if w := ask(without, busy); w.Code != http.StatusTeapot || busy.refused == nil || len(busy.did) > 0 {
		t.Errorf("while one is made: %d, %v, and it did %v", w.Code, busy.refused, busy.did)
	}
	d.busy.Unlock()
	if ask(without, &atTheDoor{}).Code != 200 {
		t.Error("none can be made afterwards")
	}
}

// What takes too long, or more room than it may, keeps nobody from the rest.
func TestPartsOfADebugBundleAreBounded(t *testing.T) {
	hangs := debugPart{name: "a", time: time.Millisecond, make: func(context.Context) ([]byte, error) { <-t.Context().Done(); return nil, nil }}
	if m := within(t.Context(), hangs); m.err == nil || !strings.Contains(m.err.Error(), "within 1ms") {
		t.Errorf("got %v, want that it was not made", m.err)
	}
	large := debugPart{name: "b", most: 3, time: time.Minute, make: func(context.Context) ([]byte, error) { return []byte("abcdef"), nil }}
	if m := within(t.Context(), large); !m.cut || string(m.data) != "abc" {
		t.Errorf("got %+v, want it cut off", m)
	}
}

func TestTheLogsLastLinesAreKept(t *testing.T) {
	var out bytes.Buffer
	base := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	r := newRecentLog(base.Handler())
	log := slog.New(slog.NewMultiHandler(base.Handler(), r)).With("node", "n1")
	for n := range recentMost + 10 {
		log.Info("line", "n", n)
	}
	log.Debug("not this one")
	log.WithGroup("g").Warn("last", "user", "ada", slog.Group("h", "x", strings.Repeat("y", 2*recentValue)))
	all := r.all()
	last := all[len(all)-1]
	if len(all) != recentMost || all[0].said[1].value != "11" || last.text != "last" || last.said[0].value != "n1" || last.said[1].key != "g.user" || last.said[2].key != "g.h.x" || len(last.said[2].value) > recentValue+3 {
		t.Errorf("%d lines, from %+v to %+v", len(all), all[0], last)
	}
	for range 2 * recentMost {
		log.Info("wide", "a", strings.Repeat("y", recentValue), "b", strings.Repeat("z", recentValue))
	}
	if all = r.all(); r.bytes > recentBytes || len(all) >= recentMost || len(all) < 100 || len(r.lines) > 2*recentMost+2 {
		t.Errorf("%d lines of %d bytes are kept, in room for %d", len(all), r.bytes, len(r.lines))
	}
	if !strings.Contains(out.String(), "g.user=ada") {
		t.Error("the log proper lacks a line")
	}
}

// asItIs takes nothing out.
type asItIs struct{}

func (asItIs) Secrets(s string) string  { return s }
func (asItIs) Accounts(s string) string { return s }
func (asItIs) Text(s string) string     { return s }

func TestNamesAreVeiledWhereverTheyStand(t *testing.T) {
	v := newVeil(asItIs{})
	v.user(license.User{ID: "u-1", Email: "ada@plant.test", Name: "Ada Lovelace"})
	v.name("WS 101/b")
	v.name("AA:BB:CC:DD:EE:01")
	v.name("{7F0C-11}")
	v.record(&license.Veil{Name: "u-pseudonym", Kind: license.VeilMachine, Text: "LAPTOP-ODA"})
	v.record(&license.Veil{Name: "n-pseudonym", Kind: license.VeilNote, Text: "stolen"})
	v.record(&license.Learned{User: "u-2", Email: "eve@plant.test", Name: "Bridge"})
	v.in(reflect.ValueOf(license.ReportMark{Name: "day", Way: "mail"}), false)
	v.stay("n1", "10.0.0.1")
	for in, leaves := range map[string]string{
		"no session of u-1: gone":                      "no session of * gone",
		"GET /v1/users/u-1/block failed":               "GET /v1/users/*/block failed",
		"ADA.Lovelace, ada@plant.test":                 "*.*, *",
		"ws-ada-7 said: ws 101/B":                      "ws-*-7 said: *",
		"read tcp 10.0.0.1:443->10.9.8.7:999: refused": "read tcp 10.0.0.1:443->*:999: refused",
		"dial [2001:db8::1]:443 from [::1]:5":          "dial [*]:443 from [::1]:5",
		"adamant lovelaces":                            "adamant lovelaces",
		"SHA256" + strings.Repeat(":3a", 32):           "SHA256" + strings.Repeat(":3a", 32),
		"aa:bb:cc:dd:ee:01: refused":                   "*: refused",
		"of {7f0c-11}, ws 101/b2":                      "of {*}, ws 101/b2",
		"laptop-oda, stolen by u-2 (EVE@plant.test)":   "*, stolen by * (*)",
		"the Bridge of a day":                          "the Bridge of a day",
	} {
		got := regexp.MustCompile(`(?:name|address)-[a-z0-9]{8}`).ReplaceAllString(v.text(in), "*")
		if strings.TrimSuffix(strings.ReplaceAll(got, "*:", "*"), "") != strings.ReplaceAll(leaves, "*:", "*") {
			t.Errorf("%q became %q, want %q", in, got, leaves)
		}
	}
	if v.called("ADA") != v.called("ada") || v.called("ada") == newVeil(asItIs{}).called("ada") {
		t.Error("a pseudonym is that of a bundle, whoever writes the name")
	}
	if got := v.value("note", "for Ada"); got != "(left out)" {
		t.Errorf("a note became %q", got)
	}
	if got := v.value("path", "/v1/status"); got != "/v1/status" {
		t.Errorf("a path of the API became %q", got)
	}
	for _, stranger := range []string{"/v1/users/carla@elsewhere.test/block", "/console/users/u-77"} {
		if got := v.value("path", stranger); !regexp.MustCompile(`^/[a-z0-9]+/users/name-[a-z0-9]{8}(/block)?$`).MatchString(got) {
			t.Errorf("%s became %q", stranger, got)
		}
	}
	if got := v.value("route", "/v1/users/{id}/block"); got != "/v1/users/{id}/block" {
		t.Errorf("a route became %q", got)
	}
	if got := v.value("peer", "n1"); got != "n1" {
		t.Errorf("a node became %q", got)
	}
}

// Names of machines that are no words, and are as many as a large site has, cost no more for
// each line of the log.
func TestManyNamesThatAreNoWordsAreVeiled(t *testing.T) {
	v := newVeil(asItIs{})
	for n := range 5_000 {
		for range 2 {
			v.name(fmt.Sprintf("02:00:%02x:%02x:%02x:aa", n>>16, n>>8&255, n&255))
		}
		v.name(fmt.Sprintf("Lab PC %d", n))
	}
	if len(v.names) != 10_000 {
		t.Errorf("%d names are known, want 10000", len(v.names))
	}
	r := newRecentLog(slog.DiscardHandler)
	const lines = 200
	for n := range lines {
		r.add(recentLine{text: "it moved", said: []said{{"err", fmt.Sprintf("from lab pc %d to 02:00:00:%02X:%02X:AA", n, n>>8, n&255)}}})
	}
	text, err := r.shown(t.Context(), v)
	if err != nil || bytes.Contains(text, []byte("lab pc")) || bytes.Contains(text, []byte("02:00")) || bytes.Count(text, []byte("name-")) != 2*lines {
		t.Errorf("%v, %d pseudonyms in:\n%.300s", err, bytes.Count(text, []byte("name-")), text)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.shown(gone, v); err == nil {
		t.Error("the log is read on when nobody waits for it")
	}
}

// An account or a file that is called like a host is none.
func TestWhatLooksLikeAHostDoesNotStay(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "eva.otto")
	c := configs.Default()
	c.DataDir = file
	c.Cloud = &configs.Cloud{URL: "https://cloud.plant.test", SiteID: "site-1"}
	c.Administrators = &configs.Administrators{Admins: []string{"ida.lang"}}
	c.Egress.Proxies = []configs.Proxy{{Name: "a", Address: "proxy.plant.test:3128", Username: "ada.lovelace", PasswordFile: file}}
	v := newVeil(asItIs{})
	(&debugNode{members: func() []api.ClusterMember { return nil }}).stays(v, setting{Config: c}, doctor.NewRedactor(doctor.Config{Settings: c}).Settings())
	for _, name := range []string{"ada.lovelace", "eva.otto", file, "ida.lang"} {
		if v.kept(name) {
			t.Errorf("%s stays", name)
		}
	}
	for _, host := range []string{"proxy.plant.test", "cloud.plant.test"} {
		if !v.kept(host) {
			t.Errorf("%s does not stay", host)
		}
	}
}

// A node that takes connections and answers nothing is not waited for as long as a bundle takes.
func TestANodeThatHangsIsNotAskedForABundle(t *testing.T) {
	dir, err := os.MkdirTemp("", "hangs") // a socket's name has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := configs.Default()
	c.DataDir = dir
	door, err := net.Listen("unix", c.OperatorSocket())
	if err != nil {
		t.Fatal(err)
	}
	p := &program{}
	if err := p.hangs(t.Context(), c, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "answers nothing within 50ms") {
		t.Errorf("of one that hangs: %v", err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	t.Cleanup(func() { server.Close() })
	go server.Serve(door)
	if err := p.hangs(t.Context(), c, time.Minute); err != nil {
		t.Errorf("of one that answers: %v", err)
	}
}
