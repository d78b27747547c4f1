package console

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"

	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/upstream/cloudapi"
)

// certificateOf is the one that a node shows to its clients.
func certificateOf(t *testing.T, n *integration.Node) *x509.Certificate {
	t.Helper()
	c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.URL, "https://")) // whose it is, the browser will ask
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// signsIn goes to the console and has the issuer say who somebody is.
func (p *page) signsIn(n *integration.Node, user cloudapi.User) {
	p.t.Helper()
	if e := p.open(n.URL + "/console/cluster"); e != "" {
		p.t.Fatalf("the console: %s", e)
	}
	p.shows("Sign in")
	p.run(`document.querySelector('a[href*="/console/sign-in/issuer"]').click()`, nil)
	p.shows("E-mail")
	p.run(fmt.Sprintf(`(() => { document.querySelector("[name=email]").value = %q; document.querySelector("[name=password]").value = %q; document.querySelector("button").click() })()`, user.Email, emulator.Password(user.ID)), nil)
}

// act is the address of an act.
var act = regexp.MustCompile(`^/console/(?:.*/)?(free|write-off|block|unblock|move|bulk|import|doctor|bypass|over|reload|join|drain|step-down|backup|file|remove)(?:\?.*)?$`)

// offered are the acts that a page leads to.
func (p *page) offered() []string {
	p.t.Helper()
	var all []string
	p.run(`[...document.querySelectorAll("main a[href], main form[method=post]")].map(e => e.getAttribute("href") || e.getAttribute("action"))`, &all)
	return slices.DeleteFunc(all, func(path string) bool { return !act.MatchString(path) })
}

// Administrators sign in at the console by the site's issuer, and are shown what their role
// may do and no more.
func TestAdministratorsSignInByTheIssuer(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	const back = "/console/sign-in/back"
	s := integration.NewSiteWithoutLinks(t, 1, 20, "SITEGATE_ADMINISTRATORS_ISSUER="+integration.Issuer, "SITEGATE_ADMINISTRATORS_AUDIENCE=site-gateway-administration",
		"SITEGATE_ADMINISTRATORS_CLIENT_ID="+emulator.ConsoleClient, "SITEGATE_ADMINISTRATORS_VIEWERS="+cloudapi.RoleFulfillmentContact, "SITEGATE_ADMINISTRATORS_ADMINS="+cloudapi.RoleCoAdministrator)
	n := s.Nodes[0]
	s.Cloud.Consoles = []string{n.URL + back}
	users := s.Cloud.Users()
	viewer, admin, nobody := users[10], users[11], users[12]
	viewer.Roles, admin.Roles = []string{cloudapi.RoleFulfillmentContact}, []string{cloudapi.RoleCoAdministrator}
	s.Cloud.PutUser(viewer)
	s.Cloud.PutUser(admin)
	b := newChromium(t, n.Door+"/proxy.pac", shown(t, n, integration.LoginHost), certificateOf(t, n))
	p := b.page(t)

	if _, err := s.Client(t, emulator.UserA, "WS-7", 0).Start(t.Context(), emulator.ProductCapped); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client(t, emulator.UserB, "LAPTOP-3", 0).CheckOut(t.Context(), emulator.ProductCapped, time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.sized(1280, "light")
	p.went(n.URL + "/console/sign-in")
	p.looked("sign-in")
	p.went(n.URL + "/console/sign-in/first")
	p.looked("sign-in-first")
	p.went(n.URL + "/console/sign-in/password")
	p.looked("sign-in-password")
	p.signsIn(n, nobody)
	p.shows("You have no role here")
	p.looked("sign-in-no-role")
	p.signsIn(n, viewer)
	p.shows("This node and its log", "viewer")
	for _, x := range consolePages {
		p.went(n.URL + "/console/" + x.path)
		if all := p.offered(); len(all) > 0 {
			t.Errorf("a viewer is offered %q on %s", all, x.path)
		}
		if act.MatchString("/console/" + x.path) {
			p.shows("You may not do this")
		}
	}
	p.went(n.URL + "/console/cluster/join")
	p.shows("You may not do this")
	p.looked("no-permission")
	p.run(`document.querySelector("form[action$='/console/sign-out'] button").click()`, nil)
	p.shows("Sign in")
	p.looked("signed-out")
	p.signsIn(n, admin)
	p.shows("This node and its log", "Add a node")
	offered := map[string]bool{}
	for _, x := range consolePages {
		p.went(n.URL + "/console/" + x.path)
		for _, path := range p.offered() {
			offered[act.FindStringSubmatch(path)[1]] = true
		}
	}
	for _, want := range []string{"free", "write-off", "block", "move", "bulk", "doctor", "bypass", "reload", "join", "file"} {
		if !offered[want] {
			t.Errorf("an administrator is offered %v, and not %s", offered, want)
		}
	}

	// What somebody has written stays where the sign-in ends before it is sent.
	p.went(n.URL + "/console/users/" + emulator.UserA + "/block")
	p.fills("reason", "the laptop was stolen")
	tell(p, network.ClearBrowserCookies, cdp.Empty{})
	p.clicks("Block")
	p.shows("Your sign-in is over", "the laptop was stolen")
	p.looked("sign-in-over")
}
