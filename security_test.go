package sitegate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// decoders are what reads bytes from outside, with the target that fuzzes it: folder and
// name.
var decoders = map[string]string{
	"requests of our API (JSON)":                      "endpoint.FuzzDecode",
	"bulk requests (CSV)":                             "endpoint.FuzzReadCSV",
	"frames of clients' websockets":                   "endpoint.FuzzTake",
	"the same in pieces":                              "endpoint.FuzzFramesInPieces",
	"the greeting of a websocket, resume tokens":      "endpoint.FuzzGreeting",
	"session tokens and proofs of a machine's key":    "endpoint.FuzzSessionToken",
	"issuers' keys":                                   "endpoint.FuzzKeys",
	"API tokens":                                      "endpoint.FuzzSecret",
	"sign-ins on their way, in a browser's cookie":    "endpoint.FuzzBegun",
	"names of requests that browsers send unasked":    "endpoint.FuzzSimple",
	"discovery (SOAP)":                                "upstream/cloudapi.FuzzDiscovery",
	"policy tokens":                                   "upstream/cloudapi.FuzzPolicyToken",
	"JSON with fields given twice":                    "upstream/cloudapi.FuzzFieldsGivenTwice",
	"policies, and requests for them":                 "upstream/cloudapi.FuzzPlainPolicy",
	"texts that are left out of it":                   "upstream/cloudapi.FuzzTextIsLeftOut",
	"postings, files of usage and checkouts (.belic)": "upstream/cloudapi.FuzzDesktop",
	"targets of the forward proxy":                    "upstream/cloudapi.FuzzParseTarget",
	"the ClientHello in a tunnel":                     "endpoint.FuzzHelloNames",
	"what the cloud answers otherwise":                "upstream.FuzzAnswers",
	"the vendor's receipts for files of usage":        "upstream/cloudapi.FuzzSigned",
	"the cloud's feed":                                "upstream.FuzzChanges",
	"issuers about themselves, and their keys":        "endpoint.FuzzIssuerAnswers",
	"issuers' tokens for a code":                      "endpoint.FuzzTokenAnswers",
	"what a server sends to client on the websocket":  "client.FuzzServerFrames",
	"and what it answers otherwise":                   "client.FuzzAnswers",
	"an issuer's tokens for seat":                     "client/signin.FuzzTokenAnswers",
	"SOCKS5 servers' answers":                         "upstream/egress.FuzzSOCKSAnswers",
	"proxies' challenges":                             "upstream/egress.FuzzParseChallenges",
	"and what is answered to them":                    "upstream/egress.FuzzChallengeAnswers",
	"what PAC files return":                           "upstream/egress/pac.FuzzParse",
	"PAC files":                                       "upstream/egress/pac.FuzzCompile",
	"commands in the log, and those forwarded (CBOR)": "raftstore.FuzzDecode",
	"their encoding":                                  "raftstore/canon.FuzzDecode",
	"join tokens":                                     "raftstore.FuzzToken",
	"requests of other nodes":                         "raftstore.FuzzNodeRequests",
	"frames between nodes":                            "raftstore.FuzzFrame",
	"backups":                                         "raftstore.FuzzBackup",
	"segments of the log on disk":                     "raftstore/wal.FuzzSegment",
	"its stable values":                               "raftstore/wal.FuzzStable",
	"forwarded requests, and their answers":           "gateway.FuzzForwarded",
	"snapshots from the leader":                       "raftstore.FuzzSnapshot",
	"requests for certificates":                       "siteca.FuzzRequest",
	"keys of the site's CA, as nodes hand them on":    "siteca.FuzzCAKeys",
	"configuration":                                   "configs.FuzzRead",
	"the portal's export":                             "portal.FuzzPortalFile",
	"files of the audit trail":                        "cmd/sitegate.FuzzAuditFile",
	"pages of the sign-in":                            "client/signin.FuzzForm",
	"a machine's key file":                            "client/machinekey.FuzzParse",
	"what a TPM needs to use a key":                   "client/tpmkey.FuzzOpen",
}

// rules are fuzzed, too; they decode nothing.
var rules = []string{"license.FuzzApply", "license.FuzzTwin"}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// tests are all tests and fuzz targets of this module: folder and name.
func tests(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			all = append(all, filepath.ToSlash(filepath.Dir(path))+"."+string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDecodersHaveTargets: what the table says of fuzz targets is so, and all are in it.
func TestDecodersHaveTargets(t *testing.T) {
	there := tests(t)
	var named []string
	for what, target := range decoders {
		named = append(named, target)
		if !slices.Contains(there, target) {
			t.Errorf("%s: there is no %s", what, target)
		}
	}
	for _, test := range there {
		if strings.Contains(test, ".Fuzz") && !slices.Contains(named, test) && !slices.Contains(rules, test) {
			t.Errorf("%s is not in the table: say which decoder it is for", test)
		}
	}
}

// TestSecurityNamesWhatThereIs: every test that SECURITY.md names exists, and all of
// integration/attack is in it.
func TestSecurityNamesWhatThereIs(t *testing.T) {
	b, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	there := tests(t)
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(b, -1) {
		named[string(m[1])] = true
	}
	for name := range named {
		if !slices.ContainsFunc(there, func(s string) bool { return strings.HasSuffix(s, "."+name) }) {
			t.Errorf("SECURITY.md names %s, and there is no such test", name)
		}
	}
	for _, test := range there {
		if name, ok := strings.CutPrefix(test, "integration/attack."); ok && name != "TestMain" && name != "TestHonestUsersAreServed" && !named[name] {
			t.Errorf("SECURITY.md does not name %s of integration/attack: who is played in it?", name)
		}
	}
}
