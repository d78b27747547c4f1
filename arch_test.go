package sitegate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer is what one package may import. Test files may import anything.
type layer struct {
	may []string // packages of this module
	std bool     // and otherwise the standard library only,
	mod []string // and these modules
	why string   // said when the rule is broken
}

// The arrows of ARCHITECTURE.md. They point inward: what is asked knows nothing of
// who asks.
var layers = map[string]layer{
	"license": {std: true, why: "the rules are a pure function of the log, so that every node, story, fuzzer and model decides alike"},
	"api":     {std: true, why: "clients in other programs take these types without the gateway behind them"},
	"notice":  {may: []string{"license"}, std: true, why: "who is told what follows from events alone"},
	"phrase":  {may: []string{"license"}, std: true, mod: []string{"golang.org/x/text"}, why: "a sentence follows from a denial or an event alone"},
	"siteca":  {std: true, why: "certificates are made and checked without the rest of the gateway"},

	"raftstore":             {may: []string{"license", "siteca", "raftstore/wal", "raftstore/canon"}, why: "the log carries commands to the rules and knows of no request, cloud or client"},
	"raftstore/wal":         {why: "the log on disk keeps entries and knows nothing of what is in them"},
	"raftstore/wal/crashfs": {may: []string{"raftstore/wal"}, why: "a disk that loses its power is a disk for the log, and no more"},
	"gateway":               {may: []string{"license", "notice"}, why: "what a node does names the small interfaces it needs (Log, Cloud); cmd/sitegate plugs raftstore and upstream in"},
	"endpoint":              {may: []string{"gateway", "notice", "phrase", "license", "api", "upstream/cloudapi", "endpoint/roster", "report", "portal"}, why: "what comes in asks the gateway, and never the log or the cloud behind its back"},
	"endpoint/console":      {may: []string{"phrase", "api", "report"}, mod: []string{"github.com/google/uuid", "golang.org/x/text/encoding/charmap"}, std: true, why: "a page shows what the API answers, and nothing that it does not"},
	"endpoint/roster":       {may: []string{"license", "notice"}, std: true, why: "what is open is read of the state and its notices alone"},
	"configs":               {may: []string{"license", "upstream/cloudapi", "upstream/egress"}, why: "settings are values; egress reads secrets, so that check and serve agree on them"},
	"portal":                {may: []string{"api", "phrase"}, mod: []string{"golang.org/x/text"}, std: true, why: "what the vendor's portal exports is read alike for the command line and the API"},
	"report":                {may: []string{"license", "phrase", "api"}, std: true, why: "a report is made of a node's state and journal, whoever sends it"},
	"alert":                 {may: []string{"license", "phrase"}, std: true, mod: []string{"github.com/wneessen/go-mail"}, why: "what is told follows from the state and what a node knows of itself, and leaves by the way out that it is given"},
	"alert/smtptest":        {std: true, why: "it is a mail server for tests"},
	"raftstore/canon":       {std: true, why: "how values are encoded is nothing of what they mean"},

	"upstream":                    {may: []string{"license", "upstream/cloudapi", "upstream/egress"}, why: "the vendor's cloud is spoken to in the words of the rules, through the one way out"},
	"upstream/cloudapi":           {std: true, why: "the vendor's wire is types and nothing else"},
	"upstream/egress":             {may: []string{"upstream/egress/pac", "upstream/egress/krb"}, std: true, mod: []string{"github.com/Azure/go-ntlmssp", "github.com/icholy/digest", "github.com/alexbrainman/sspi", "golang.org/x/sync"}, why: "the way out is made of as little as can be, and knows nothing of the gateway"},
	"upstream/egress/pac":         {std: true, mod: []string{"github.com/dop251/goja"}, why: "other people's scripts see nothing of the gateway"},
	"upstream/egress/krb":         {std: true, mod: []string{"github.com/jcmturner/gokrb5/v8"}, why: "the library for Kerberos is used in one place, so that it can be replaced"},
	"upstream/egress/krb/krbtest": {std: true, mod: []string{"github.com/jcmturner/gokrb5/v8"}, why: "it is a realm for tests"},

	"doctor": {may: []string{"api", "configs", "upstream/cloudapi", "upstream/egress"}, std: true, why: "it looks at the way out from outside, and sends nothing that does not leave by it"},

	"client/machinekey":     {may: []string{"api"}, std: true, why: "a key is a file or a keystore's, and what it signs is the contract's"},
	"client":                {may: []string{"api", "client/machinekey"}, why: "other programs take it as their client, and must not get a gateway with it"},
	"client/tpmkey/tpmtest": {std: true, mod: []string{"github.com/google/go-tpm"}, why: "it is a TPM for tests"},
	"client/tpmkey":         {std: true, mod: []string{"github.com/google/go-tpm"}, why: "the library for TPMs is used in one place, so that it can be replaced, and other programs' clients do without it"},
	"client/clienttest":     {may: []string{"api"}, why: "a client is tested against the contract, not against one gateway"},
	"client/signin":         {std: true, why: "signing in is the issuer's business, not the gateway's"},
	"desktop":               {std: true, mod: []string{"github.com/zalando/go-keyring", "github.com/gen2brain/beeep", "golang.org/x/sys"}, why: "what a system's desktop has is nothing of licenses, and its libraries can be replaced in one place"},
	"emulator":              {may: []string{"upstream/cloudapi", "emulator/proxy"}, why: "the cloud's stand-in decides by itself: sharing the rules, it could not find them wrong"},
	"emulator/proxy":        {std: true, why: "the stand-in for a corporate proxy must not share the code that it tests"},

	"load":      {std: true, why: "whatever is compared is measured by the same clock, and this must not know what it is"},
	"load/desk": {may: []string{"api"}, why: "it asks as a desktop does, and knows of a gateway what the contract says"},
	"load/plot": {may: []string{"load"}, std: true, why: "it draws what was measured"},

	"manpage": {std: true, mod: []string{"github.com/spf13/pflag"}, why: "a manual page is made of help and flags, whosever they are"},

	"cmd/sitegate":      {may: []string{"*"}, why: "the wiring knows all parts"},
	"cmd/seat":          {may: []string{"client", "client/signin", "client/machinekey", "client/tpmkey", "api", "desktop", "manpage"}, why: "the desktop's tool is a client like any other"},
	"cmd/cloudemu":      {may: []string{"emulator", "emulator/proxy", "upstream/egress", "upstream/cloudapi"}, why: "it is the emulator alone"},
	"integration/model": {may: []string{"license"}, why: "a history is checked against the rules themselves, and nothing else of the gateway"},

	"integration/console": {may: []string{"integration"}, why: "a browser is tried on a site as it is"},

	"integration/guides": {may: []string{"integration"}, why: "what the guides show is run at a site as it is"},

	"integration/attack": {may: []string{"integration"}, why: "attackers are played against a site as it is"},

	"integration/egress": {may: []string{"integration", "upstream/egress"}, why: "the way out is tried alone, through real proxies"},

	"integration/desktop": {std: true, why: "it is a program of somebody else's: sharing a type with the gateway, it could not find it wrong"},

	"integration": {may: []string{"*"}, why: "it runs everything together"},
}

func TestArrows(t *testing.T) {
	for _, f := range sources(t) {
		l, known := layers[f.pkg]
		if !known {
			t.Errorf("%s: package %s has no place yet: say in arch_test.go what it may import, and why, and put it into ARCHITECTURE.md", f.path, f.pkg)
			continue
		}
		for _, spec := range f.ast.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			inner, ours := strings.CutPrefix(path, "sitegate/")
			switch {
			case ours && !slices.Contains(l.may, inner) && !slices.Contains(l.may, "*"):
				t.Errorf("%s: %s imports %s and may import %v: %s", f.at(spec), f.pkg, inner, l.may, l.why)
			case ours && strings.HasPrefix(inner, "cmd/"):
				t.Errorf("%s: nothing imports a command", f.at(spec))
			case slices.ContainsFunc(l.mod, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") }):
			case !ours && l.std && strings.Contains(strings.SplitN(path, "/", 2)[0], "."):
				t.Errorf("%s: %s imports %s and may import the standard library only (and %v): %s", f.at(spec), f.pkg, path, l.mod, l.why)
			}
		}
	}
}

func TestEveryPlaceIsTaken(t *testing.T) {
	there := map[string]bool{}
	for _, f := range sources(t) {
		there[f.pkg] = true
	}
	for pkg := range layers {
		if !there[pkg] {
			t.Errorf("arch_test.go has a place for %s, which there is not: take it out", pkg)
		}
	}
}

// pure are the packages that the rules may use: none of them knows the time, the
// machine, chance or another goroutine.
var pure = []string{
	"bytes", "cmp", "container/heap", "crypto/hmac", "crypto/sha256", "encoding/base32", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash", "hash/fnv",
	"iter", "maps", "math", "math/bits", "net/netip", "reflect", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8",
}

// clocks are what package time has that is not a value.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep", "Local", "LoadLocation"}

func TestRulesArePure(t *testing.T) {
	const why = "license must decide the same on every node and whenever the log is replayed"
	for _, f := range sources(t) {
		if f.pkg != "license" {
			continue
		}
		for _, spec := range f.ast.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); !slices.Contains(pure, path) {
				t.Errorf("%s: imports %s: %s; add it to the list in arch_test.go if it knows no time, machine, chance or goroutine", f.at(spec), path, why)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
					t.Errorf("%s: time.%s is this machine's clock: %s; time comes in the entry's At", f.at(n), n.Sel.Name, why)
				}
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
				t.Errorf("%s: goroutines and channels have an order of their own: %s", f.at(n), why)
			}
			return true
		})
	}
}

// source is one file of this module that is not a test.
type source struct {
	path string
	pkg  string // the folder
	ast  *ast.File
	set  *token.FileSet
}

func (s source) at(n ast.Node) string { return s.set.Position(n.Pos()).String() }

// sources parses the module's files, without nested modules and test data.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bench" || name == "bin" || name == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		list = append(list, source{path, filepath.ToSlash(filepath.Dir(path)), file, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 50 {
		t.Fatalf("found %d files, which cannot be all", len(list))
	}
	return list
}
