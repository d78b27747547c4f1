package sitegate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ways are the ways to another machine, by the package that has them.
var ways = map[string][]string{
	"net":                          {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer", "LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupSRV", "LookupTXT", "LookupMX", "Resolver", "DefaultResolver", "ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr"},
	"crypto/tls":                   {"Dial", "DialWithDialer", "Dialer"},
	"net/http":                     {"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ProxyFromEnvironment", "ProxyURL", "Transport"},
	"net/rpc":                      {"Dial", "DialHTTP", "DialHTTPPath"},
	"net/rpc/jsonrpc":              {"Dial"},
	"net/smtp":                     {"Dial", "SendMail"},
	"log/syslog":                   {"Dial", "New", "NewLogger"},
	"syscall":                      {"Connect", "Sendto"},
	"golang.org/x/sys/unix":        {"Connect", "Sendto"},
	"os/exec":                      {"Command", "CommandContext"},
	"github.com/gorilla/websocket": {"Dialer", "DefaultDialer", "NewClient"},
}

// defaults are those that go out by whatever the environment says; nobody uses them.
var defaults = map[string][]string{
	"net/http":                     {"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ProxyFromEnvironment"},
	"net/rpc":                      {"Dial", "DialHTTP", "DialHTTPPath"},
	"net/smtp":                     {"SendMail"},
	"github.com/gorilla/websocket": {"DefaultDialer"},
}

// connecting are the packages, and files, that may connect by themselves, and why that is not the way out of a gateway. A folder stands for the package in it.
var connecting = map[string]string{
	"upstream/egress":           "it is the way out",
	"raftstore":                 "a site's nodes talk to each other, within the site",
	"client":                    "a desktop's program comes to the gateway",
	"client/signin":             "a desktop's program signs in",
	"client/tpmkey":             "a desktop's program asks its own TPM",
	"client/tpmkey/tpmtest":     "it is a TPM for tests, on this machine",
	"cmd/seat":                  "it is a desktop's program",
	"load/desk":                 "it asks a gateway as a desktop does",
	"emulator/proxy":            "it is a proxy's stand-in",
	"endpoint/forward.go":       "it speaks HTTP on connections of the Dialer that it is given, which is the way out",
	"integration":               "it runs everything together, on this machine",
	"cmd/sitegate/operator.go":  "it opens the socket of the node on this machine",
	"cmd/sitegate/remote.go":    "it is an administrator's tool on another machine, and asks a node",
	"cmd/sitegate/logsyslog.go": "it hands the log to this machine's, or to a log server within the site",
	"cmd/sitegate/recover.go":   "it asks whether the other nodes of the site still answer",
	"cmd/sitegate/child.go":     "it starts this program again, for the demonstration and for bench",

	"cmd/sitegate/bench_door.go":    "it starts this program again, and squid, to measure them",
	"cmd/sitegate/bench_junk.go":    "it floods the node that bench flood measures",
	"cmd/sitegate/bench_hub.go":     "it is a node to be measured, and asks the sign-in that is measured with it",
	"cmd/sitegate/bench_hubsite.go": "it starts this program again, to measure it",
}

// libraries that connect by themselves, and the one package that may use each.
var libraries = map[string]string{
	"github.com/jcmturner/gokrb5": "upstream/egress/krb",
	"golang.org/x/net/proxy":      "upstream/egress",
	"google.golang.org/grpc":      "upstream/egress",
}

// Everything that leaves the site goes out through upstream/egress, or the proxy is forgotten in one of the places that leave.
func TestOneWayOut(t *testing.T) {
	used := map[string]bool{}
	for _, f := range sources(t) {
		banned, why := ways, "what leaves a gateway leaves through upstream/egress, with the site's proxy and its CAs; if this leaves no gateway, say so in oneway_test.go"
		for _, place := range []string{f.pkg, f.path} {
			if connecting[place] != "" {
				banned, why = defaults, "it follows the environment's proxy settings, or none; say which client or dialer"
				used[place] = used[place] || len(connects(f.ast, ways)) > 0
			}
		}
		if strings.HasPrefix(f.pkg, "bench") {
			continue
		}
		for _, c := range connects(f.ast, banned) {
			t.Errorf("%s: %s uses %s: %s", f.set.Position(c.pos), f.pkg, c.what, why)
		}
		for _, spec := range f.ast.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			for library, place := range libraries {
				if (path == library || strings.HasPrefix(path, library+"/")) && f.pkg != place && !strings.HasPrefix(f.pkg, place+"/") {
					t.Errorf("%s: %s connects by itself, and belongs into %s", f.at(spec), path, place)
				}
			}
		}
	}
	for place := range connecting {
		if !used[place] {
			t.Errorf("oneway_test.go lets %s connect, which it does not: take it out", place)
		}
	}
}

// connection is a place where something connects.
type connection struct {
	pos  token.Pos
	what string
}

// connects finds what in a file is one of the ways, under whatever name a package is imported.
func connects(file *ast.File, ways map[string][]string) (list []connection) {
	paths := map[string]string{} // by local name
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if paths[name] = path; name == "." && ways[path] != nil {
			list = append(list, connection{spec.Pos(), "everything of " + path + " without its name"})
		}
	}
	handed := map[ast.Expr]bool{} // types that are only named, behind a star: what egress made, handed on
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StarExpr:
			handed[n.X] = true
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || x.Obj != nil || !slices.Contains(ways[paths[x.Name]], n.Sel.Name) || handed[n] && n.Sel.Name == "Transport" {
				return true
			}
			list = append(list, connection{n.Pos(), paths[x.Name] + "." + n.Sel.Name})
		case *ast.CompositeLit:
			if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Client" && !hasField(n, "Transport") {
				if x, ok := s.X.(*ast.Ident); ok && paths[x.Name] == "net/http" {
					list = append(list, connection{n.Pos(), "an http.Client without a Transport, which takes the default one"})
				}
			}
		}
		return true
	})
	return list
}

func TestConnectionsAreFound(t *testing.T) {
	for src, want := range map[string]int{
		`import "net"; var c, _ = net.Dial("tcp", "x:1")`:                         1,
		`import stdnet "net"; var d stdnet.Dialer`:                                1,
		`import . "net"; var c, _ = Dial("tcp", "x:1")`:                           1,
		`import "net/http"; var r, _ = http.Get("http://x")`:                      1,
		`import "net/http"; var c = &http.Client{}`:                               1,
		`import "net/http"; var c = &http.Client{Transport: nil}`:                 0,
		`import "net/http"; var c = http.DefaultClient`:                           1,
		`import "net/http"; func f(t *http.Transport) {}`:                         0,
		`import "net/http"; var t = &http.Transport{}`:                            1,
		`import "crypto/tls"; var c, _ = tls.Dial("tcp", "x:1", nil)`:             1,
		`import "github.com/gorilla/websocket"; var d = websocket.DefaultDialer`:  1,
		`import "net"; var l, _ = net.Listen("tcp", "x:1")`:                       0,
		`type d struct{}; func (d) Dial() {}; func f() { var net d; net.Dial() }`: 0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+src, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := connects(file, ways); len(got) != want {
			t.Errorf("%s: got %v, want %d", src, got, want)
		}
	}
}

func hasField(l *ast.CompositeLit, name string) bool {
	return slices.ContainsFunc(l.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, ok := kv.Key.(*ast.Ident)
		return ok && key.Name == name
	})
}
