package endpoint

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"sitegate/upstream/cloudapi"
)

// targets are where the forward proxy leads.
type targets struct {
	rule    map[string]string // which list a target, name:port, is on
	relayed map[string]bool   // names whose requests are for the relay, whatever the port
	noRelay bool              // and there is none
}

// The lists that a target can be on; the log tells which.
const (
	ruleVendor = "vendor"        // the sign-in, portal and agreement hosts that come with this program
	ruleSite   = "connect.allow" // what the site has added
)

// newTargets reads the lists. An entry that could never match, or that is an address, is
// an error, and so is one that is for the relay.
func newTargets(cfg TunnelConfig) (*targets, error) {
	t := &targets{rule: map[string]string{}, relayed: map[string]bool{}, noRelay: cfg.NoRelay}
	for _, name := range cfg.Relayed {
		target, err := cloudapi.ParseTarget(net.JoinHostPort(name, "443"))
		if err != nil {
			return nil, fmt.Errorf("tunnel: the relayed host %q: %w", name, err)
		}
		t.relayed[strings.TrimSuffix(target, ":443")] = true
	}
	for _, list := range []struct {
		rule    string
		entries []string
	}{{ruleSite, cfg.Allow}, {ruleVendor, cfg.Vendor}} {
		for _, entry := range list.entries {
			target, err := cloudapi.ParseTarget(entry)
			if err != nil {
				return nil, fmt.Errorf("tunnel: the allowed target %q: %w", entry, err)
			}
			if name, _, _ := strings.Cut(target, ":"); t.relayed[name] {
				return nil, fmt.Errorf("tunnel: the allowed target %q is relayed, and not to be tunnelled to", entry)
			}
			t.rule[target] = list.rule
		}
	}
	return t, nil
}

// look says which rule lets a target through, or why none does.
func (t *targets) look(asked string) (target, rule string, no *refusal) {
	target, err := cloudapi.ParseTarget(asked)
	if err != nil {
		return "", "", &refusal{http.StatusForbidden, hostNotAllowed, "The license gateway connects to names on its list only: " + err.Error() + ".\n"}
	}
	if name, _, _ := strings.Cut(target, ":"); t.relayed[name] {
		if t.noRelay {
			return "", "", &refusal{http.StatusForbidden, useRelay, "Licenses are not asked for through this proxy: " + name + " decides who may work. This gateway does not relay it either.\n" +
				"Ask IT to have " + name + " reached as it was before, or to set up the section relay of the gateway.\n"}
		}
		return "", "", &refusal{http.StatusForbidden, useRelay, "Licenses are not asked for through this proxy: " + name + " is for the license gateway itself.\n" +
			"Ask IT to have the licensing client of this computer led to the gateway.\n"}
	}
	if rule = t.rule[target]; rule == "" {
		return "", "", &refusal{http.StatusForbidden, hostNotAllowed, target + " is not on this license gateway's list.\n" +
			"If the licensing client needs it, ask IT to add \"" + target + "\" to the gateway's allowed hosts.\n"}
	}
	return target, rule, nil
}
