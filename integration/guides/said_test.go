package guides

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/upstream/cloudapi"
)

// said are the commands that sentences and tables of the guides name and no block shows, in
// the order in which they are given on one machine of three, which need not be the one that
// leads. Words in capitals are the test's.
var said = []string{
	"sitegate status --json",
	"sitegate sessions --kind all",
	"sitegate sessions --kind all --capped",
	`sitegate release session SESSION --note "left it running, on leave"`,
	`sitegate release user USER --note "left it running, on leave"`,
	`sitegate release checkout CHECKOUT --note "the laptop was stolen"`,
	"sitegate refusals",
	"sitegate refusals --observed",
	"sitegate refusals --counts",
	"sitegate licenses products",
	"sitegate licenses --state ended",
	"sitegate licenses show LICENSE",
	"sitegate licenses reminders",
	"sitegate licenses learned",
	`sitegate licenses move LICENSE --to USER --note "a new colleague"`,
	`sitegate checkouts bulk ship.csv --product PRODUCT --note "ship, until May"`,
	"sitegate usage peaks",
	"sitegate usage refused",
	"sitegate usage refused --resend",
	"sitegate usage audit",
	"sitegate users removal USER",
	`sitegate users show USER --reason "ticket 4711"`,
	`sitegate machines show WS-31 --reason "ticket 4711"`,
	`sitegate machines forget-key --user SEAT-USER --machine "$(hostname)" --note "it has a new disk"`,
	`sitegate block user USER --note "the laptop was stolen"`,
	"sitegate block list",
	"sitegate unblock user USER",
	"sitegate settings",
	"sitegate mirror status",
	"sitegate reload",
	"systemctl reload sitegate",
	"sitegate backup /srv/backup/said.backup",
	"sitegate backup inspect /srv/backup/said.backup",
	"sitegate restore --help",
	"sitegate debug bundle said.tar.gz",
	"sitegate doctor --to SIGN-IN:443",
	"echo correct horse battery staple | sitegate account create ida --role admin",
	"sitegate account list",
	"echo a horse battery staple that is correct | sitegate account reset ida --role admin",
	"sitegate account remove ida",
	"sitegate token create --help",
	`sitegate audit erase user USER --note "request 18"`,
	`sitegate audit erase machine WS-31 --note "request 18"`,
	"sitegate bench starts --users 5000 --nodes 1 --clients 2 --warm 100ms --time 200ms",
	"sitegate bench tunnels --rounds 1 --time 100ms --idle 10 --squid ''",
	`{ curl -N --silent --show-error --fail-with-body --max-time 2 --cacert site-ca.pem --header "Authorization: Bearer $(cat account.token)" https://NODE:8443/v1/notices/events || test $? = 28; } | grep hello`,
	"seat login --email SEAT-USER --password-file user.password --issuer ISSUER --issuer-ca cloud-ca.pem --proxy http://NODE:3128 --keyring off",
	"seat --help",
	"seat manual",
	"seat run --product PRODUCT -- true",
	"seat return $(seat checkout --product PRODUCT --for 24h | sed -n 's/.*seat return //p')",
	"seat logout",
}

// named finds a command in what a sentence or a table has between backticks.
var named = regexp.MustCompile(`^(sudo |\./)?(sitegate|seat|curl|openssl|systemctl|useradd|ssh|go build|promtool) \S`)

// namedIn are the commands that a guide names outside of its blocks.
func namedIn(t *testing.T, guide string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(folder + "/" + guide)
	if err != nil {
		t.Fatal(err)
	}
	prose, in := "", false
	for line := range strings.Lines(string(text)) {
		if fence.MatchString(strings.TrimRight(line, "\n")) {
			in = !in
		} else if !in {
			prose += line
		}
	}
	for i, code := range strings.Split(prose, "`") {
		if code = strings.Join(strings.Fields(code), " "); i%2 == 1 && named.MatchString(code) {
			all = append(all, code)
		}
	}
	return all
}

// shape is what a command does: its words, up to the first that stands for something, and
// its flags.
func shape(line string) (words string, flags []string) {
	goesOn := true
	for i, w := range strings.Fields(line) {
		switch {
		case strings.HasPrefix(w, "-"):
			flags = append(flags, strings.TrimRight(w, "…"))
			goesOn = false
		case goesOn && (i == 0 || regexp.MustCompile(`^[a-z][a-z-]+$`).MatchString(w)):
			words = strings.TrimSpace(words + " " + w)
		default:
			goesOn = false
		}
	}
	return words, flags
}

// does reports whether a command that is given is one that is named.
func does(given, name string) bool {
	words, flags := shape(name)
	if !regexp.MustCompile(`(^|[ (/])` + regexp.QuoteMeta(words) + `($|\s)`).MatchString(given) {
		return false
	}
	return !slices.ContainsFunc(flags, func(f string) bool { return !slices.Contains(strings.Fields(given), f) })
}

func TestACommandIsFoundAmongThoseThatAreGiven(t *testing.T) {
	for _, x := range []struct {
		given, name string
		want        bool
	}{
		{"sitegate audit verify", "sitegate audit verify", true},
		{"sitegate audit verify a.jsonl", "sitegate audit verify FILE --head NUMBER:HASH", false},
		{"sitegate audit verify a.jsonl --head 1:2", "sitegate audit verify FILE --head NUMBER:HASH", true},
		{"sitegate cluster \\\n  members", "sitegate cluster members", false},
		{"sitegate audit list", "sitegate audit", true},
		{"sitegate auditor", "sitegate audit", false},
		{"echo x | sitegate account create ida --role admin", "sitegate account create", true},
		{"sitegate release session 4711 --note x", "sitegate release session ID --note WHY", true},
		{"sitegate release user ada --note x", "sitegate release session ID", false},
		{"curl --cacert x", "curl -N", false},
		{"sitegate status", "sitegate …", true},
	} {
		if got := does(x.given, x.name); got != x.want {
			t.Errorf("%q, where %q is named: got %v", x.given, x.name, got)
		}
	}
}

// Each command that a guide names is given by a test: in a block that is run, or among those
// that are said.
func TestEveryCommandThatIsNamedIsGiven(t *testing.T) {
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".md") {
			all, _ := blocksOf(t, f.Name())
			for _, b := range all {
				for _, c := range b.commands() {
					shown = append(shown, c.line)
				}
			}
		}
	}
	isShown := func(name string) bool {
		return slices.ContainsFunc(shown, func(line string) bool { return does(line, name) })
	}
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".md") {
			continue
		}
		for _, name := range namedIn(t, f.Name()) {
			seen++
			if isShown(name) {
				continue
			}
			if !slices.ContainsFunc(said, func(line string) bool { return does(line, name) }) {
				t.Errorf("%s names %q, which no test gives: show it in a block, or have it given in said", f.Name(), name)
			}
		}
	}
	if seen < 150 {
		t.Errorf("%d commands are named in the guides: this test does not look right", seen)
	}
}

// says gives the commands that are said, on the machine gw1, whichever node leads.
func (w *world) says() {
	t := w.t
	t.Helper()
	// Who is called so here: people with licenses, other than the one who is signed in on the desktop.
	has := map[string]bool{}
	free := ""
	for _, l := range w.s.Cloud.Licenses() {
		if l.EndsAt.Before(time.Now()) {
			continue
		}
		if l.ProductID == emulator.ProductCapped {
			has[l.AssignedTo] = true
		}
		if l.AssignedTo == "" && l.Kind == cloudapi.LicenseVirtuoso {
			free = l.ID
		}
	}
	var people []cloudapi.User
	for _, u := range w.s.Cloud.Users()[1:] {
		if has[u.ID] && !u.Blocked && u.ID != emulator.UserB {
			people = append(people, u)
		}
	}
	if len(people) < 4 || free == "" {
		t.Fatalf("there are %d people with a license, and %q is nobody's", len(people), free)
	}
	session, err := w.s.Client(t, people[0].ID, "WS-31", 0).Start(t.Context(), emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := w.s.Client(t, people[1].ID, "LAPTOP-31", 0).CheckOut(t.Context(), emulator.ProductCapped, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	w.put("ship.csv", "user;machine\n"+people[2].Email+";SHIP-1\n", 0o600)
	w.put("site-ca.pem", string(w.s.CAPEM), 0o600)
	w.put("account.token", w.s.Token(t, emulator.UserAdmin), 0o600) // of who administers the account
	before := w.words
	w.words = append(slices.Clone(before), "SESSION", session.ID, "CHECKOUT", checkout.ID, "LICENSE", free, "PRODUCT", emulator.ProductCapped, "SIGN-IN", integration.LoginHost,
		"SEAT-USER", w.s.Cloud.Users()[0].Email, "USER", people[0].Email, "https://NODE:8443", w.machine("gw1").URL, "ISSUER", integration.Issuer, "http://NODE:3128", w.machine("gw1").Door)
	for i, line := range said {
		w.run(command{at: fmt.Sprintf("said, %d", i+1), machine: "gw1", line: line, forLeader: true})
	}
	w.words = before
}
