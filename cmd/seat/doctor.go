package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/machinekey"
	"sitegate/client/signin"
	"sitegate/client/tpmkey"
	"sitegate/desktop"
)

// The states of a check, as sitegate doctor has them.
const (
	pass = "PASS"
	warn = "WARN"
	fail = "FAIL"
	skip = "SKIP"
)

// noticesTime is how long the doctor waits for notices to come: what swallows websockets
// is known for that after two, of ten seconds each, and only then comes a long poll.
const noticesTime = 35 * time.Second

// check is one thing that was looked at, and what was found.
type check struct {
	Step   string `json:"step"`
	Of     string `json:"of,omitempty"`
	State  string `json:"state"`
	Code   string `json:"code,omitempty"` // of what stands between here and the gateway: websocket_blocked, proxy_buffering
	Found  string `json:"found"`
	Action string `json:"action,omitempty"` // what to do, and who
}

// findings are checks in the order in which they were made.
type findings struct {
	Version string  `json:"version"`
	At      string  `json:"at"`
	Checks  []check `json:"checks"`
}

func (f *findings) add(state, step, of, found, action string) {
	f.Checks = append(f.Checks, check{Step: step, Of: of, State: state, Found: plain(found), Action: plain(action)})
}

// code names what the last check has found.
func (f *findings) code(code string) { f.Checks[len(f.Checks)-1].Code = code }

func (f *findings) count(state string) (n int) {
	for _, c := range f.Checks {
		if c.State == state {
			n++
		}
	}
	return n
}

func doctorFlags(fs *pflag.FlagSet, o *options) {
	jsonFlag(fs, o)
}

// examine looks at what keeps people from working: clock, ways, names, versions, who is
// signed in, and what is assigned (R20, R26, R27). It changes nothing, and takes no
// license.
func examine(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("doctor takes no arguments")
	}
	f := &findings{Version: version(), At: time.Now().Format(time.RFC3339)}
	s.checkSettings(ctx, o, f)
	s.checkMachine(o, f)
	checkKey(o, f)
	checkSystem(desktop.Examine(), o.clientVersion, f)
	skew, known := s.checkNodes(ctx, o, f)
	told, me, help := s.checkUser(ctx, o, f)
	if told != nil {
		skew, known = *told, true
	}
	checkClock(skew, known, f)
	s.checkSignIn(ctx, o, f)
	checkLicenses(me, f)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.tellFindings(o, f, help)
}

func (s *seat) tellFindings(o *options, f *findings, help []api.Administrator) error {
	if o.json {
		if err := printJSON(s.stdout, f); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.stdout, "seat %s: %d failed, %d to be seen to, %d in order, %d not tried or needed\n\n", f.Version, f.count(fail), f.count(warn), f.count(pass), f.count(skip))
		for _, c := range f.Checks {
			title := c.Step
			if c.Of != "" {
				title += " " + c.Of
			}
			if c.Code != "" {
				title += " (" + c.Code + ")"
			}
			fmt.Fprintf(s.stdout, "%s  %s: %s\n", c.State, title, c.Found)
			if c.Action != "" {
				fmt.Fprintf(s.stdout, "   -> %s\n", c.Action)
			}
		}
		if len(help) > 0 {
			fmt.Fprintf(s.stdout, "\nWho can help:\n")
			for _, a := range help {
				fmt.Fprintf(s.stdout, "  %s <%s>\n", plain(a.Name), plain(a.Email))
			}
		}
	}
	if f.count(fail) > 0 {
		return &exitError{status: exitFailed}
	}
	return nil
}

// checkSettings finds the gateway.
func (s *seat) checkSettings(ctx context.Context, o *options, f *findings) {
	if len(o.read) > 0 {
		f.add(pass, "settings", "", "read from "+strings.Join(o.read, " and "), "")
	} else {
		f.add(skip, "settings", "", "there is no settings file; flags and environment are used", "")
	}
	named := len(o.gateways) > 0
	switch err := s.locate(ctx, o); {
	case err != nil:
		f.add(fail, "gateway", "", err.Error(), "Ask IT for the address of the license gateway.")
	case named:
		f.add(pass, "gateway", "", strings.Join(o.gateways, ", "), "")
	default:
		f.add(pass, "gateway", "", "found by DNS: "+strings.Join(o.gateways, ", "), "")
	}
}

// checkKey says what keeps this computer's key. A TPM that is there and cannot be used is to be
// seen to; that there is none is no fault, unless it is to keep the key.
func checkKey(o *options, f *findings) {
	if o.dir == "" || o.keyless {
		f.add(skip, "key", "", "this computer goes by no key", "")
		return
	}
	k, err := o.key()
	if err == nil {
		err = k.failed
	}
	found := k.place(o.machineKey)
	if tpm := k.instead(o.machineKey); tpm != "" {
		found += "; the TPM: " + tpm
	}
	switch {
	case err != nil:
		f.add(fail, "key", "", err.Error(), "See what seat says of it, and the guide of seat on desktops (The computer's key).")
	case k.why != nil && k.Kind == "" && o.machineKey == string(machinekey.TPM): // no command goes on
		f.add(fail, "key", "", found, "Have IT see to the computer's TPM; or set machine_key: auto, and a file keeps the key where no TPM can.")
	case k.why != nil && o.machineKey != string(machinekey.File) && !errors.Is(k.why, tpmkey.ErrNone):
		f.add(warn, "key", "", found, "Have IT see to the computer's TPM; or set machine_key: file, if a file is meant to keep the key.")
	case k.Kind == "":
		f.add(skip, "key", "", found, "")
	default:
		f.add(pass, "key", "", found, "")
	}
}

// checkMachine says which machine this is to others (R7).
func (s *seat) checkMachine(o *options, f *findings) {
	m, err := o.machine()
	if err != nil {
		f.add(fail, "machine", "", err.Error(), "Give --machine-name and --machine-id, or ask IT why nothing can be kept in your home.")
		return
	}
	found := "others see " + m.Name
	if o.machineName == "" && o.origin != nil {
		if from, there := o.origin(); there {
			found += ", the machine you come from (" + from + ")"
		}
	}
	f.add(pass, "machine", "", found, "")
}

// skewFail is how wrong a clock may be before people cannot sign in; skewWarn is how
// wrong one is that nobody keeps right.
const (
	skewWarn = time.Minute
	skewFail = 5 * time.Minute
)

// checkClock compares this computer's clock with the gateway's (R20).
func checkClock(ahead time.Duration, known bool, f *findings) {
	by, than := ahead.Abs().Round(time.Second), "behind"
	if ahead < 0 {
		than = "ahead of"
	}
	found := fmt.Sprintf("this computer's clock is %v %s the gateway's", by, than)
	const action = "Set the clock, or have it set by the network; if the gateway's is wrong, tell IT. Sign-in fails with a wrong clock."
	switch {
	case !known:
		f.add(skip, "clock", "", "no gateway has said what time it is", "")
	case by >= skewFail:
		f.add(fail, "clock", "", found, action)
	case by >= skewWarn:
		f.add(warn, "clock", "", found, action)
	default:
		f.add(pass, "clock", "", "this computer's clock agrees with the gateway's", "")
	}
}

// checkUser asks the gateway who is signed in, and whether notices come through; help are
// those to turn to, as far as it tells.
func (s *seat) checkUser(ctx context.Context, o *options, f *findings) (skew *time.Duration, _ *api.Me, help []api.Administrator) {
	if len(o.gateways) == 0 {
		return nil, nil, nil
	}
	o.keyless = true // to show a key is to change something
	c, err := s.open(ctx, o)
	if err != nil {
		f.add(fail, "signed in", "", err.Error(), "Sign in: seat login")
		return nil, nil, nil
	}
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	me, err := c.Me(asking)
	if err != nil {
		action := strings.Join(nextOf(err), " ")
		if errors.Is(err, client.ErrUnauthorized) {
			action = "Sign in again: seat login"
		}
		if action == "" && errors.Is(err, client.ErrUnknownUser) { // an earlier gateway's; nothing old is to be kept here (R27)
			action = "Ask your license administrator whether your user was created in the account, and has a country; then: seat logout, seat login"
		}
		f.add(fail, "signed in", "", err.Error(), action)
		if e, ok := errors.AsType[*client.Error](err); ok {
			help = e.Contacts
		}
		return nil, nil, help
	}
	checkEmail(me, f)
	checkCountry(me, f)
	hearing, enough := context.WithTimeout(ctx, noticesTime)
	defer enough()
	w := c.Watch(hearing)
	select {
	case <-w.Ready():
		if w.Polls() {
			f.add(warn, "notices", "", "something between here and the gateway breaks websockets; notices come by long poll", "Ask IT to let websockets through to the gateway, uninspected.")
			f.code("websocket_blocked")
		} else {
			f.add(pass, "notices", "", "come by websocket", "")
		}
	case <-hearing.Done():
		if e, ok := errors.AsType[*client.Error](w.Trouble()); ok && !errors.Is(e, client.ErrUnreachable) {
			f.add(fail, "notices", "", "none come: "+e.Detail, strings.Join(e.Next, " "))
			break
		}
		f.add(fail, "notices", "", "none come through: neither a websocket nor a long poll was answered in time", "Ask IT whether something between here and the gateway holds connections back.")
		f.code("proxy_buffering")
	}
	if ahead, told := c.Skew(); told {
		skew = &ahead
	}
	return skew, me, me.Administrators
}

// checkEmail: licenses count only for the e-mail address that they are assigned to
// (R15, R27).
func checkEmail(me *api.Me, f *findings) {
	as := first(me.SignedIn, me.Email)
	if me.SignedIn != "" && !strings.EqualFold(me.SignedIn, me.Email) {
		f.add(fail, "signed in", "", "as "+as+", but licenses are assigned to "+me.Email, "Sign in with "+me.Email+", or have IT change the user's e-mail address (do not delete the user).")
		return
	}
	f.add(pass, "signed in", "", "as "+as, "")
}

// checkCountry: a license counts for the users of its entitlement country (R2, R27). Only
// they know whether theirs is right.
func checkCountry(me *api.Me, f *findings) {
	starts := slices.ContainsFunc(me.Products, func(p api.MyProduct) bool { return p.LicenseType != "" })
	switch {
	case me.Country == "" && starts: // an earlier gateway, or the account names them by e-mail alone (R22)
		f.add(skip, "country", "", "the gateway does not tell your country", "")
	case me.Country == "":
		f.add(warn, "country", "", "the gateway names no entitlement country of yours, and without one no license can be used", "Ask your license administrator to enter your country; then: seat refresh")
	default:
		f.add(pass, "country", "", "your licenses are for "+me.Country+"; if that is not your country, have your license administrator correct it", "")
	}
}

// nextOf is what one can do about an error.
func nextOf(err error) []string {
	switch e := err.(type) {
	case *client.Error:
		return e.Next
	case *exitError:
		return e.next
	}
	return nil
}

// checkSignIn looks whether the sign-in can be reached, as the next renewal must.
func (s *seat) checkSignIn(ctx context.Context, o *options, f *findings) {
	k := kept{Issuer: o.issuer.url, ClientID: o.issuer.clientID, Proxy: o.issuer.proxy, IssuerCA: o.issuer.ca}
	if o.tokenFile != "" {
		if got, err := s.tokens(o).load(ctx); err == nil && got.Issuer != "" {
			k = got
		}
	}
	if k.Issuer == "" {
		f.add(skip, "sign-in", "", "nobody has said where it is (sign_in.issuer in the settings)", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	cfg, err := k.config()
	var offers signin.Offers
	if err == nil {
		offers, err = signin.Look(ctx, cfg)
	}
	way := "straight"
	if k.Proxy != "" {
		way = "through " + k.Proxy
	}
	if err != nil {
		i := issuerOptions{url: k.Issuer, proxy: k.Proxy}
		f.add(fail, "sign-in", k.Issuer, err.Error(), strings.Join(nextOf(i.failed(err)), " "))
		return
	}
	if !offers.Device {
		f.add(warn, "sign-in", k.Issuer, "reached "+way+"; it offers no sign-in by a browser elsewhere", "seat login needs --email and --password-file there.")
		return
	}
	f.add(pass, "sign-in", k.Issuer, "reached "+way, "")
}

// checkLicenses says what is assigned, and why a product would not start (R27).
func checkLicenses(me *api.Me, f *findings) {
	if me == nil {
		return
	}
	if len(me.Licenses) == 0 {
		f.add(warn, "licenses", "", "none is assigned to you", "Ask your license administrator whether the vendor's fulfilment document has come, and to assign you a license; then: seat refresh")
	}
	for _, l := range me.Licenses {
		name := strings.TrimSpace(l.Product + " " + l.ProductName)
		switch left := time.Until(l.Ends); {
		case l.Ends.IsZero():
			f.add(pass, "license", name, l.LicenseType, "")
		case left < 0:
			f.add(fail, "license", name, l.LicenseType+", ended "+clock(l.Ends), "Ask your license administrator.")
		case left < 14*24*time.Hour:
			f.add(warn, "license", name, l.LicenseType+", ends "+clock(l.Ends), "Ask your license administrator whether it will be renewed.")
		default:
			f.add(pass, "license", name, l.LicenseType+", until "+clock(l.Ends), "")
		}
	}
	for _, p := range me.Products {
		name := strings.TrimSpace(p.Product + " " + p.Name)
		if p.LicenseType == "" {
			action := strings.Join(p.Next, " ")
			if action == "" { // an earlier gateway's
				action = "Ask your license administrator whether you should have it."
			}
			f.add(warn, "product", name, "would not start: "+first(p.Text, p.Reason), action)
			continue
		}
		for _, w := range p.Warnings {
			f.add(warn, "product", name, w.Text, "")
		}
	}
	if !me.Link.Up {
		f.add(warn, "cloud", "", "the gateway does not reach the vendor's cloud", "IT knows, or should be told. What runs goes on.")
	}
}
