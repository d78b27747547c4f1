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

// ways are the ways to another machine, by the package that has them. A program that is started, C and plug-ins may connect, too.
var ways = map[string][]string{
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer", "LookupHost", "LookupIP", "LookupAddr", "LookupCNAME", "LookupSRV", "LookupTXT", "LookupMX", "LookupNS", "Resolver", "DefaultResolver",
		"ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr",
		"ListenPacket", "ListenUDP", "ListenIP", "ListenUnixgram", "ListenMulticastUDP", "ListenConfig", // what listens for packets sends them, too
		"FileConn", "FilePacketConn"},
	"crypto/tls":                   {"Dial", "DialWithDialer", "Dialer"},
	"net/http":                     {"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ProxyFromEnvironment", "ProxyURL", "Transport"},
	"net/http/httputil":            {"NewSingleHostReverseProxy"},
	"net/rpc":                      {"Dial", "DialHTTP", "DialHTTPPath"},
	"net/rpc/jsonrpc":              {"Dial"},
	"net/smtp":                     {"Dial", "SendMail"},
	"net/textproto":                {"Dial"},
	"log/syslog":                   {"Dial", "New", "NewLogger"},
	"syscall":                      {"Socket", "Connect", "Sendto", "Sendmsg", "SendmsgN", "Exec", "ForkExec", "StartProcess", "Syscall", "Syscall6", "RawSyscall", "RawSyscall6"},
	"golang.org/x/sys/unix":        {"Socket", "Connect", "Sendto", "Sendmsg", "SendmsgN", "SendmsgBuffers", "Exec", "Syscall", "Syscall6", "RawSyscall", "RawSyscall6"},
	"os":                           {"StartProcess"},
	"os/exec":                      {"Command", "CommandContext", "Cmd"},
	"plugin":                       {"Open"},
	"github.com/gorilla/websocket": {"Dialer", "DefaultDialer", "NewClient"},
	"github.com/wneessen/go-mail":  {"QuickSend"},
	"golang.org/x/crypto/ssh":      {"Dial"},
	"golang.org/x/net/http2":       {"Transport"},
}

// zero are types whose values connect by themselves as long as a field of theirs is not set, by package. An empty field is one that nobody outside of the package can set.
var zero = map[string]map[string]string{
	"net/http":                    {"Client": "Transport"},
	"net/http/httputil":           {"ReverseProxy": "Transport"},
	"github.com/wneessen/go-mail": {"Client": ""},
}

// options are those without which what a function makes connects by itself, by package and function. They stand in the same declaration.
var options = map[string]map[string]string{
	"github.com/wneessen/go-mail": {"NewClient": "WithDialContextFunc"},
}

// defaults are those that go out by whatever the environment says; nobody uses them.
var defaults = map[string][]string{
	"net/http":                     {"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ProxyFromEnvironment"},
	"net/rpc":                      {"Dial", "DialHTTP", "DialHTTPPath"},
	"net/smtp":                     {"SendMail"},
	"net/http/httputil":            {"NewSingleHostReverseProxy"},
	"github.com/gorilla/websocket": {"DefaultDialer"},
	"github.com/wneessen/go-mail":  {"QuickSend"},
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

	"cmd/sitegate/bench_cut.go":     "it carries what the nodes send each other that bench failover measures, on this machine",
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

// connects finds what in a file is one of the ways, under whatever name a package is imported, and what connects by itself unless it is told how.
func connects(file *ast.File, ways map[string][]string) (list []connection) {
	paths := map[string]string{} // by local name
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		switch {
		case spec.Name != nil:
			name = spec.Name.Name
		case path == "github.com/wneessen/go-mail":
			name = "mail"
		}
		paths[name] = path
		switch {
		case path == "C":
			list = append(list, connection{spec.Pos(), "C, which nobody looks into"})
		case name == "." && (ways[path] != nil || zero[path] != nil):
			list = append(list, connection{spec.Pos(), "everything of " + path + " without its name"})
		}
	}
	named := func(e ast.Expr) (path, name string) { // what of another package an expression is; empty: nothing
		s, ok := e.(*ast.SelectorExpr)
		if !ok {
			return "", ""
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil {
			return paths[x.Name], s.Sel.Name
		}
		return "", ""
	}
	lacking := func(e ast.Expr, l *ast.CompositeLit) (field string, lacks bool) { // whether a value of this type lacks its field; l nil: it is the zero one
		path, name := named(e)
		field, ok := zero[path][name]
		return field, ok && (l == nil || field == "" || !hasField(l, field))
	}
	handed := map[ast.Expr]bool{} // types that are only named, behind a star: what egress made, handed on
	looked := map[ast.Expr]bool{} // types of literals, which are looked at themselves
	for _, decl := range file.Decls {
		mentions := map[string]bool{} // in this declaration, with their packages
		ast.Inspect(decl, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				path, name := named(s)
				mentions[path+" "+name] = true
			}
			return true
		})
		found := func(n ast.Node, e ast.Expr, how string) {
			path, name := named(e)
			list = append(list, connection{n.Pos(), path + "." + name + how})
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StarExpr:
				handed[n.X] = true
			case *ast.CompositeLit:
				looked[n.Type] = true
				if field, lacks := lacking(n.Type, n); lacks {
					found(n, n.Type, " without "+field)
				}
				for _, e := range elided(n) {
					element := elementOf(n.Type)
					if field, lacks := lacking(element, e); lacks {
						found(e, element, " without "+field)
					}
				}
				if t := elementOf(n.Type); t != nil {
					looked[t] = true
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if s, ok := to.(*ast.SelectorExpr); ok && s.Sel.Name == "Transport" && i < len(n.Rhs) && isNil(n.Rhs[i]) {
						list = append(list, connection{n.Pos(), "a Transport that is nil"})
					}
				}
			case *ast.SelectorExpr:
				path, name := named(n)
				field, lacks := lacking(n, nil)
				option := options[path][name]
				switch {
				case lacks && !handed[n] && !looked[n]:
					found(n, n, " as a value, without "+field)
				case option != "" && !mentions[path+" "+option]:
					found(n, n, " without "+option)
				case slices.Contains(ways[path], name) && !(handed[n] && behindStar[name]):
					found(n, n, "")
				}
			}
			return true
		})
	}
	return list
}

// behindStar are types whose pointers are handed on: whoever made one was asked.
var behindStar = map[string]bool{"Transport": true, "Cmd": true}

// elementOf is the type of a slice's, array's or map's elements, or what they point to; nil: it has none.
func elementOf(t ast.Expr) ast.Expr {
	var e ast.Expr
	switch t := t.(type) {
	case *ast.ArrayType:
		e = t.Elt
	case *ast.MapType:
		e = t.Value
	}
	if star, ok := e.(*ast.StarExpr); ok {
		return star.X
	}
	return e
}

// elided are the elements of a literal that do not say their type.
func elided(l *ast.CompositeLit) (list []*ast.CompositeLit) {
	for _, e := range l.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			e = kv.Value
		}
		if in, ok := e.(*ast.CompositeLit); ok && in.Type == nil {
			list = append(list, in)
		}
	}
	return list
}

func isNil(e ast.Expr) bool {
	x, ok := e.(*ast.Ident)
	return ok && x.Name == "nil"
}

func TestConnectionsAreFound(t *testing.T) {
	for src, want := range map[string]int{
		`import "net"; var c, _ = net.Dial("tcp", "x:1")`:                    1,
		`import stdnet "net"; var d stdnet.Dialer`:                           1,
		`import . "net"; var c, _ = Dial("tcp", "x:1")`:                      1,
		`import "net/http"; var r, _ = http.Get("http://x")`:                 1,
		`import "net/http"; var c = &http.Client{}`:                          1,
		`import "net/http"; var c = &http.Client{Transport: nil}`:            1,
		`import "net/http"; var c = &http.Client{Transport: t}`:              0,
		`import "net/http"; var c http.Client`:                               1,
		`import "net/http"; var c = new(http.Client)`:                        1,
		`import "net/http"; type c struct { http.Client }`:                   1,
		`import "net/http"; type c = http.Client`:                            1,
		`import "net/http"; type c struct { over *http.Client }`:             0,
		`import "net/http"; var c = []http.Client{{}}`:                       1,
		`import "net/http"; var c = map[int]*http.Client{1: {Timeout: 1}}`:   1,
		`import "net/http"; var c = map[int]*http.Client{1: {Transport: t}}`: 0,
		`import "net/http"; func f(c *http.Client) { c.Transport = nil }`:    1,
		`import "net/http"; var t = new(http.Transport)`:                     1,

		`import "net/http/httputil"; var p = &httputil.ReverseProxy{Rewrite: f}`:    1,
		`import "net/http/httputil"; var p = &httputil.ReverseProxy{Transport: t}`:  0,
		`import "net/http/httputil"; var p httputil.ReverseProxy`:                   1,
		`import "net/http/httputil"; var p = httputil.NewSingleHostReverseProxy(u)`: 1,
		`import "net/http/httputil"; func f(*httputil.ReverseProxy) {}`:             0,
		`import "net"; var c, _ = net.ListenPacket("udp", ":0")`:                    1,
		`import "net"; var c, _ = net.ListenUDP("udp", nil)`:                        1,
		`import "net"; var l net.ListenConfig`:                                      1,
		`import "net"; var c, _ = net.FileConn(f)`:                                  1,
		`import "os"; var p, _ = os.StartProcess("/bin/nc", nil, nil)`:              1,
		`import "os/exec"; var c = &exec.Cmd{Path: "/bin/nc"}`:                      1,
		`import "os/exec"; func f(c *exec.Cmd) {}`:                                  0,
		`import "syscall"; func f() { syscall.Exec("/bin/nc", nil, nil) }`:          1,
		`import "golang.org/x/sys/unix"; var s, _ = unix.Socket(2, 1, 0)`:           1,
		`import "C"`: 1,
		`import "github.com/wneessen/go-mail"; var c, _ = mail.NewClient("x")`:                                                     1,
		`import "github.com/wneessen/go-mail"; var c = new(mail.Client)`:                                                           1,
		`import "github.com/wneessen/go-mail"; func f() error { return mail.QuickSend() }`:                                         1,
		`import "github.com/wneessen/go-mail"; func f() { o := mail.WithDialContextFunc(d); mail.NewClient("x", o) }`:              0,
		`import "github.com/wneessen/go-mail"; func f() { mail.NewClient("x") }; func g() any { return mail.WithDialContextFunc }`: 1,

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

// hasField says whether a literal sets a field to something.
func hasField(l *ast.CompositeLit, name string) bool {
	return slices.ContainsFunc(l.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, ok := kv.Key.(*ast.Ident)
		return ok && key.Name == name && !isNil(kv.Value)
	})
}
