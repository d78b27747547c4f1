package configs

import (
	"strings"
	"time"
)

// Privacy is how people and their machines are named in what the site itself writes:
// its log, reports, metrics and bundles. What the vendor and the users themselves are
// told is not changed by it.
type Privacy struct {
	// Names is clear, or hashed: users and machines are named by keyed hashes.
	Names string `key:"names"`
	// Countries are entitlement countries, ISO 3166-1 alpha-2, whose users are named by
	// hashes though Names is clear, with the machines they work on; so are then users whose
	// country is not known, and machines where it is not said who works on them. Empty: none.
	Countries []string `key:"countries"`
	// KeyFile is the key of the hashes, the same on all nodes; empty: one in DataDir, made
	// there or given by the cluster that the node has joined.
	KeyFile string `key:"key_file,path"`
	// History is for how long what single people and machines did is kept: a day to ten
	// years. Of what is older only numbers are.
	History time.Duration `key:"history"`
}

// Hashes reports whether any name is hashed.
func (v Privacy) Hashes() bool { return v.Names == "hashed" || len(v.Countries) > 0 }

func (v Privacy) validate(p *Problems) {
	p.oneOf("privacy.names", v.Names, "clear", "hashed")
	p.duration("privacy.history", v.History, 24*time.Hour, 10*365*24*time.Hour)
	for i, c := range v.Countries {
		if len(c) != 2 || c != strings.ToUpper(c) {
			p.add(keyf("privacy.countries[%d]", i+1), "%.20q is no country; write two capital letters, as in DE", c)
		}
	}
}
