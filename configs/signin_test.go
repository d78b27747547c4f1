package configs_test

import (
	"strings"
	"testing"

	"sitegate/configs"
)

// Several issuers vouch for users, each for its own, and the check says what is missing for
// that.
func TestEachIssuerVouchesForItsOwnUsers(t *testing.T) {
	const only = `sign_in: [{issuer: "https://127.0.0.1:9443", audience: a}]`
	with := func(first, second string) string {
		return strings.Replace(threeNodes, only, `sign_in: [{issuer: "https://127.0.0.1:9443", audience: a`+first+`}, {`+second+`}]`, 1)
	}
	const other = `issuer: "https://other.example", audience: a, user_claim: vendor_id, `
	for name, test := range map[string]struct {
		text string
		want []string // none: it is right
	}{
		"each with its own":       {with(", domains: [example.com, example.org]", other+"domains: [Plant.example]"), nil},
		"one, with domains":       {strings.Replace(threeNodes, "audience: a}", "audience: a, domains: [example.com]}", 1), nil},
		"its sub is the vendor's": {with(", domains: [example.com]", `issuer: "https://other.example", audience: a, user_claim: sub, domains: [plant.example]`), nil},
		"without domains": {with("", `issuer: "https://other.example", audience: a, user_claim: vendor_id`),
			[]string{"sign_in[1].domains: is missing", "sign_in[2].domains: is missing"}},
		"without a claim": {with(", domains: [example.com]", `issuer: "https://other.example", audience: a, domains: [plant.example]`),
			[]string{"sign_in[2].user_claim: is missing"}},
		"a domain of both": {with(", domains: [example.com]", other+"domains: [plant.example, Example.COM]"),
			[]string{"sign_in[2].domains: lists Example.COM, which sign_in[1] does, too"}},
		"no domains": {with(`, domains: ["@example.com", "*.example.com", "", "-x.example", "a..b"]`, other+"domains: [plant.example]"),
			[]string{`sign_in[1].domains: "@example.com" is not the domain`, `"*.example.com" is not`, `"" is not`, `"-x.example" is not`, `"a..b" is not`}},
		"one twice": {with(", domains: [example.com]", `issuer: "https://127.0.0.1:9443", audience: b, user_claim: vendor_id, domains: [plant.example]`),
			[]string{"sign_in[2].issuer: is that of sign_in[1], too"}},
		"without an audience": {with(", domains: [example.com]", `issuer: "https://other.example", user_claim: vendor_id, domains: [plant.example]`),
			[]string{"sign_in[2].audience: is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := load(t, test.text)
			if test.want == nil {
				if err != nil || len(c.SignIn) == 0 || len(c.SignIn[0].Domains) == 0 {
					t.Errorf("got %+v, %v; want that it is right", c.SignIn, err)
				}
				return
			}
			problems, _ := err.(configs.Problems)
			if len(problems) != len(test.want) {
				t.Errorf("got %d problems, want %d:\n%v", len(problems), len(test.want), err)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}
