package guides

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/alert"
	"sitegate/alert/smtptest"
	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/upstream/cloudapi"
)

// wantEnv asks for the guides to be run: programs are built for other systems on the way.
const wantEnv = "SITEGATE_TEST_GUIDES_RUN"

// stories are which guides are run at which site, in their order.
var stories = []struct {
	name   string
	guides []string
	tell   func(*testing.T, *world)
}{
	{"three nodes", []string{"first-cluster.md", "seat.md", "desktops.md", "proxy.md", "reports.md", "privacy.md", "checkouts.md", "usage.md", "audit.md", "alerts.md", "sign-in.md", "tls.md"}, threeNodes},
	{"from one node to three and back", []string{"cluster.md"}, oneNode},
	{"the cloud's list", []string{"mirror.md"}, list},
}

// notRun are the blocks that no test runs: their guides, and why.
var notRun = []string{
	"cluster.md: it takes two versions",
	"console.md: it goes from one machine to another",
	"first-cluster.md: it makes a user of the system",
}

// Each guide with a command that can be run is in a story, and no other block says that it cannot be than those that are known.
func TestEveryGuideIsInAStory(t *testing.T) {
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var without []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".md") {
			continue
		}
		told := false
		for _, s := range stories {
			told = told || slices.Contains(s.guides, f.Name())
		}
		all, stray := blocksOf(t, f.Name())
		for _, line := range stray {
			t.Errorf("%s: a command that is not between fences of the kind sh or console is not run", line)
		}
		for _, b := range all {
			if why := b.notRun(); why != "" {
				without = append(without, f.Name()+": "+why)
			}
			n := len(b.commands())
			if n > 0 && !told {
				t.Errorf("%s is in no story", b.at)
			}
			seen += n
		}
	}
	if !slices.Equal(without, notRun) {
		t.Errorf("these are not run: %q, want %q", without, notRun)
	}
	if seen < 40 {
		t.Errorf("%d commands found in the guides: this test does not look right", seen)
	}
}

// What the guides show is run as they show it, and does not fail, but where they show that.
func TestTheGuidesAreRun(t *testing.T) {
	if os.Getenv(wantEnv) == "" {
		t.Skipf("set %s=1 to have the commands of the guides run, as .ci/run guides does", wantEnv)
	}
	for _, program := range []string{"bash", "curl", "openssl", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed; see .ci/run for the packages", program)
		}
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 120)
			if s.tell(t, w); !slices.Equal(w.told, s.guides) {
				t.Errorf("the story runs %q, want %q", w.told, s.guides)
			}
		})
	}
}

func threeNodes(t *testing.T, w *world) {
	receipts, err := w.s.Cloud.ReceiptKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	w.put("vendor.pem", string(receipts), 0o600)
	w.put("signer.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.s.Cloud.PolicyCertificate().Raw})), 0o600)
	w.s.Env = append(w.s.Env, "SITEGATE_USAGE_RECEIPT_KEY_FILE="+filepath.Join(w.dir, "vendor.pem"), "SITEGATE_RELAY_URL=https://licenses.site.example", "SITEGATE_RELAY_SIGNER_FILE="+filepath.Join(w.dir, "signer.pem"))
	w.env = append(w.env, w.s.Env...)
	user := w.s.Cloud.Users()[0]

	w.before = map[string]func(){
		"gw1$ sudo -u sitegate SITEGATE_DATA_DIR=/var/lib/sitegate/data sitegate status": func() {
			w.vote("gw1", "gw2", "gw3")
			w.until("the list was read", func(st api.Status) bool { return st.Mirror.Filled })
		},
		"gw1$ seat status": w.signedIn,
	}
	w.guide("first-cluster.md")
	if w.s.CAPEM, err = os.ReadFile(filepath.Join(w.dir, "site", "ca", "site-ca.pem")); err != nil {
		t.Fatal(err)
	}
	w.s.CA = x509.NewCertPool()
	w.s.CA.AppendCertsFromPEM(w.s.CAPEM)
	w.guide("seat.md")
	w.before = map[string]func(){"gw1$ sitegate bypass start": func() { w.leads("gw1") }}
	w.guide("desktops.md")
	w.guide("proxy.md")
	w.guide("reports.md")
	w.words = append(w.words, "ada@acme.example", user.Email)
	w.leads("gw2") // before each of these: what only the node that leads takes, a guide has to say
	w.guide("privacy.md")

	file, err := w.s.Cloud.CheckoutFile(emulator.UserB, "LAPTOP-7", time.Now().AddDate(0, 0, 5), emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	w.put("5f0c1f0e_LAPTOP-7.belic", string(file), 0o600)
	w.leads("gw2")
	w.guide("checkouts.md")
	w.words = append(w.words, "2026-12-01 /media/stick", time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)+" stick")
	w.s.Cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Status: http.StatusServiceUnavailable})
	session, err := w.s.Client(t, emulator.UserA, "WS-7", 0).Start(t.Context(), emulator.ProductUncapped)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.before = map[string]func(){"gw1$ sitegate usage import-receipt": w.receipt}
	w.leads("gw2")
	w.guide("usage.md")
	w.says()
	w.before = map[string]func(){"gw1$ sitegate audit verify /srv": func() { w.words = append(w.words, "NUMBER:HASH", w.line(`^\d+:[0-9a-f]{64}$`)) }}
	w.guide("audit.md")
	w.toldByMail()
	w.guide("alerts.md")
	w.before = map[string]func(){
		"gw1$ sitegate trust show":   w.changedKeys,
		"gw1$ sitegate trust accept": func() { w.words = append(w.words, "DIGEST", w.heldKeys(t)) },
	}
	w.leads("gw2")
	w.guide("sign-in.md")
	w.leads("gw2")
	w.guide("tls.md")
}

// toldByMail gives the site a mail server and a program that alerts are told to.
func (w *world) toldByMail() {
	w.t.Helper()
	pair, text := smtptest.Certificate(w.t)
	post := &smtptest.Server{Certificate: pair, User: "gate", Password: "the mail's p@ssword"}
	post.Start(w.t)
	hook := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get(alert.HeaderSignature) == "" {
			http.Error(rw, "not signed", http.StatusForbidden)
		}
	}))
	hook.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	hook.StartTLS()
	w.t.Cleanup(hook.Close)
	w.put("site/gw1/mail.password", post.Password, 0o600)
	w.put("site/gw1/hook.secret", "the hook's s3cret", 0o600)
	w.put("site/gw1/mail-ca.pem", string(text), 0o600)
	file := w.machine("gw1").Config
	config, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	with := strings.Replace(string(config), "\negress:\n", "\negress:\n  routes: [{hosts: [127.0.0.1], via: [direct]}]\n  extra_ca: [{file: mail-ca.pem, hosts: [127.0.0.1]}]\n", 1)
	with += fmt.Sprintf("\nalerts:\n  mail: {server: %q, username: gate, password_file: mail.password, from: gate@site.test, to: [desk@site.test]}\n  webhooks: [{name: chat, url: %q, secret_file: hook.secret}]\n", post.Addr(), hook.URL)
	if err := os.WriteFile(file, []byte(with), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// changedKeys has the issuer list other keys only, which the node that is asked then holds back.
func (w *world) changedKeys() {
	w.t.Helper()
	w.s.Cloud.RotateKeys()
	w.s.Cloud.DropOldKeys()
	integration.Eventually(w.t, patience, "the issuer's keys are held back", func() error {
		// A token of a key that a node does not know has it look at the issuer's keys.
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.machine("gw1").URL+api.PathMe, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+w.s.Token(w.t, emulator.UserA))
		resp, err := w.s.HTTP().Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if all := w.trusted(); len(all) != 1 || len(all[0].Held) != 1 {
			return fmt.Errorf("%s, %+v", resp.Status, all)
		}
		return nil
	})
}

// trusted are the issuers' keys, as gw1 tells.
func (w *world) trusted() []api.TrustedIssuer {
	var l api.List[api.TrustedIssuer]
	if err := w.s.Ask(w.machine("gw1"), api.PathTrust, &l); err != nil {
		w.t.Log(err)
	}
	return l.Items
}

// heldKeys is the digest of the keys that are held back.
func (w *world) heldKeys(t *testing.T) string {
	all := w.trusted()
	if len(all) != 1 || len(all[0].Held) != 1 {
		t.Fatalf("held back is %+v", all)
	}
	return all[0].Held[0].Set
}

// receipt is what the vendor makes of the first file of usage.
func (w *world) receipt() {
	w.t.Helper()
	file := filepath.Join(w.dir, "stick", "usage-000001")
	text, err := os.ReadFile(file + ".manifest.json")
	if err != nil {
		w.t.Fatal(err)
	}
	var manifest cloudapi.Signed
	if err := json.Unmarshal(text, &manifest); err != nil {
		w.t.Fatal(err)
	}
	lines, err := os.Open(file + ".jsonl")
	if err != nil {
		w.t.Fatal(err)
	}
	defer lines.Close()
	receipt, err := w.s.Cloud.TakeUsageFile(manifest, lines)
	if err != nil {
		w.t.Fatal(err)
	}
	if text, err = json.Marshal(receipt); err != nil {
		w.t.Fatal(err)
	}
	w.put("stick/usage-000001.receipt.json", string(text), 0o600)
}

func oneNode(t *testing.T, w *world) {
	add := func(name string) {
		w.machines[name] = len(w.s.Nodes)
		w.s.Nodes = append(w.s.Nodes, w.s.NewMachine(t, name))
	}
	give := func(machine, line string) {
		t.Helper()
		w.run(command{at: "meanwhile", machine: machine, line: line})
	}
	join := func(name string) {
		t.Helper()
		give("gw1", "sitegate cluster token > join.token")
		give(name, "sitegate cluster join --token-file join.token --peer-listen "+w.net+strings.TrimPrefix(name, "gw")+":7443")
		w.starts(name)
	}
	data := func(name string) string { return filepath.Join(w.dir, "site", name, "data") }
	away := func(path string) {
		t.Helper()
		if err := os.Rename(path, path+"."+fmt.Sprint(time.Now().UnixNano())); err != nil {
			t.Fatal(err)
		}
	}
	add("gw1")
	w.starts("gw1")
	w.vote("gw1")
	w.words = append(w.words, "2026-03-07T18:00:00+01:00", time.Now().Add(24*time.Hour).Format(time.RFC3339))
	w.before = map[string]func(){
		"gw2$ sitegate cluster join":         func() { add("gw2") },
		"gw1$ sitegate maintenance announce": func() { w.vote("gw1", "gw2") },
		"gw1$ sitegate cluster step-down":    func() { w.vote("gw1", "gw2") },
		"gw2$ sitegate cluster drain":        func() { w.vote("gw1", "gw2") },
		"gw1$ sitegate cluster remove gw3 --note": func() {
			w.vote("gw1", "gw2")
			add("gw3")
			join("gw3")
			w.vote("gw1", "gw2", "gw3")
			w.machine("gw3").Kill()
		},
		"gw1$ sitegate cluster remove gw2": func() { away(data("gw3")); join("gw3"); w.vote("gw1", "gw2", "gw3"); w.machine("gw3").Kill() },
		"gw2$ sitegate serve": func() {
			w.starts("gw3")
			w.vote("gw1", "gw2", "gw3")
			w.machine("gw2").Stop(t)
			away(filepath.Join(data("gw2"), "store"))
		},
		"gw3$ sitegate cluster leave":                  func() { give("gw1", `sitegate cluster remove gw2 --note "its disk was emptied"`); w.vote("gw1", "gw3") },
		`gw1$ sitegate backup /srv/backup/site.backup`: func() { w.vote("gw1") },
		"gw1$ sitegate backup verify": func() {
			w.machine("gw1").Stop(t)
			away(filepath.Join(data("gw1"), "store"))
			w.s.NotOffered(cloudapi.PathHolds)
		},
		"gw1$ sitegate restore accept": func() { w.vote("gw1") },
		"gw1$ sitegate status": func() {
			for _, name := range []string{"gw2", "gw3"} {
				away(data(name))
				join(name)
			}
			w.vote("gw1", "gw2", "gw3")
			w.machine("gw2").Kill()
			w.machine("gw3").Kill()
			w.until("there is no leader", func(st api.Status) bool { return st.Cluster.Leader == "" })
		},
		"gw1$ sitegate backup /srv/backup/before.backup": func() {
			w.vote("gw1", "gw2")
			w.machine("gw2").Kill() // its disk has failed, too
			w.until("there is no leader again", func(st api.Status) bool { return st.Cluster.Leader == "" })
		},
		"gw1$ sitegate cluster token > join.token": func() {
			w.until("it goes on alone", func(st api.Status) bool { return st.Cluster.Leader == "gw1" && st.Restored != nil })
			away(data("gw2"))
		},
	}
	w.guide("cluster.md")
}

func list(t *testing.T, w *world) {
	begin := func() {
		w.machines["gw1"] = 0
		w.s.Nodes = []*integration.Node{w.s.NewMachine(t, "gw1")}
		w.starts("gw1")
		w.vote("gw1")
	}
	begin()
	w.before = map[string]func(){
		"gw1$ sitegate mirror accept": func() {
			w.until("the list was read", func(st api.Status) bool { return st.Mirror.Filled })
			w.s.Cloud.LoseData(emulator.UserAdmin)
			w.until("the list is held back", func(st api.Status) bool { return st.Mirror.Held != nil })
		},
		"gw1$ sitegate mirror import": func() { // another site, whose cloud has no feed
			before := w.before
			*w = *newWorld(t, 30)
			w.before = before
			w.s.NotOffered(cloudapi.PathChanges)
			begin()
			w.until("the link is up", func(st api.Status) bool { return st.Link.Up })
			users, licenses := w.s.Portal(t)
			for _, file := range []string{users, licenses} {
				if err := os.Rename(file, filepath.Join(w.dir, filepath.Base(file))); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
	w.guide("mirror.md")
}
