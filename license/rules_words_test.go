package license_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sitegate/license"
)

// words is what is left of a line.
type words struct {
	rest []string
}

func splitWords(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			if end := strings.IndexByte(line[1:], '"'); end >= 0 {
				words = append(words, line[1:1+end])
				line = line[end+2:]
				continue
			}
		}
		end := strings.IndexByte(line, ' ')
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
	return words
}

func (w *words) next() string {
	if len(w.rest) == 0 {
		return ""
	}
	first := w.rest[0]
	w.rest = w.rest[1:]
	return first
}

// flag takes the word out of the line, wherever it stands.
func (w *words) flag(word string) bool {
	for i, x := range w.rest {
		if x == word {
			w.rest = append(w.rest[:i:i], w.rest[i+1:]...)
			return true
		}
	}
	return false
}

// after takes "word value" out of the line and returns the value.
func (w *words) after(word string) string {
	for i, x := range w.rest {
		if x == word && i+1 < len(w.rest) {
			value := w.rest[i+1]
			w.rest = append(w.rest[:i:i], w.rest[i+2:]...)
			return value
		}
	}
	return ""
}

// machine takes "on NAME#ID" out of the line; either part may be missing.
// "x*10000" is the letter x ten thousand times.
func (w *words) machine() (license.Machine, error) {
	if !strings.Contains(" "+strings.Join(w.rest, " ")+" ", " on ") {
		return license.Machine{}, fmt.Errorf("on which machine?")
	}
	return readMachine(w.after("on")), nil
}

func readMachine(text string) license.Machine {
	name, id, _ := strings.Cut(text, "#")
	return license.Machine{ID: long(id), Name: long(name)}
}

func long(text string) string {
	if s, n, ok := strings.Cut(text, "*"); ok {
		if times, err := strconv.Atoi(n); err == nil {
			return strings.Repeat(s, times)
		}
	}
	return text
}

// nameID makes an id of a short name, so that a story can say s1.
func nameID(name string) license.ID {
	var id license.ID
	copy(id[:], name)
	return id
}

func clockTime(text string) license.Time {
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05.000", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return license.TimeOf(t)
		}
	}
	return 0
}

// duration reads a Go duration or a number of days ("3d").
func duration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// command reads one command of the rules, or a change of the mirror as a page
// of its own.
func (s *story) command(w *words) (license.Command, error) {
	verb := w.next()
	var first string
	if len(w.rest) > 0 {
		first = w.rest[0]
	}
	switch verb {
	case "user", "product", "license", "account", "drop", "odd":
		w.rest = append([]string{verb}, w.rest...)
		change, err := s.change(w)
		s.page++
		from := s.state.Head().Cursor
		return license.Mirror{From: from, Cursor: fmt.Sprintf("page-%d", s.page), Changes: []license.Change{change}}, err
	case "mirror":
		return s.mirror(w)
	case "import":
		c := license.Import{By: long(w.after("by")), Note: long(w.after("because")), Last: w.flag("last")}
		var err error
		c.Changes, err = s.changes(w)
		return c, err
	case "page": // of several changes, that follows on the one before
		last := w.flag("last")
		changes, err := s.changes(w)
		s.page++
		return license.Mirror{From: s.state.Head().Cursor, Cursor: fmt.Sprintf("page-%d", s.page), Changes: changes, Last: last}, err
	case "start":
		return s.start(w)
	case "stop":
		w.next()
		p := w.proof()
		m, err := w.machine()
		return license.Stop{ID: nameID(first), User: license.UserID(w.next()), Machine: m, Proof: p}, err
	case "expire":
		generation := uint64(1)
		if text := w.after("generation"); text != "" {
			var err error
			if generation, err = strconv.ParseUint(text, 10, 64); err != nil {
				return nil, err
			}
		}
		return license.Expire{ID: nameID(w.next()), Generation: generation}, nil
	case "checkout":
		return s.checkout(w)
	case "return":
		w.next()
		p := w.proof()
		m, err := w.machine()
		return license.Return{ID: nameID(first), User: license.UserID(w.next()), Machine: m, Proof: p}, err
	case "write-off":
		return license.WriteOff{By: long(w.after("by")), Note: long(w.after("because")), Checkout: nameID(w.next())}, nil
	case "checked-in":
		return license.CheckInConfirmed{Checkout: nameID(w.next())}, nil
	case "booked":
		return license.Book{Checkout: nameID(w.next())}, nil
	case "wait":
		c := license.Wait{Proof: w.proof(), ID: nameID(w.next())}
		var err error
		if c.NotAfter, err = s.notAfter(w); err != nil {
			return nil, err
		}
		c.Machine, err = w.machine()
		c.User, c.Product = license.UserID(w.next()), license.ProductID(w.next())
		return c, err
	case "request":
		c := license.Request{Proof: w.proof(), ID: nameID(w.next())}
		var err error
		if c.NotAfter, err = s.notAfter(w); err != nil {
			return nil, err
		}
		c.Machine, err = w.machine()
		c.User, c.Product = license.UserID(w.next()), license.ProductID(w.next())
		return c, err
	case "let-go":
		w.next()
		p := w.proof()
		m, err := w.machine()
		return license.LetGo{Session: nameID(first), User: license.UserID(w.next()), Machine: m, Proof: p}, err
	case "decline":
		w.next()
		p := w.proof()
		m, err := w.machine()
		return license.Decline{ID: nameID(first), User: license.UserID(w.next()), Machine: m, Proof: p}, err
	case "would-refuse":
		c := license.WouldRefuse{Client: w.after("client"), Address: w.after("from")}
		m, err := w.machine()
		c.User, c.Machine, c.Denial.Reason = license.UserID(w.next()), m, license.Reason(w.next())
		return c, err
	case "report":
		c := license.Report{Run: w.after("run"), Ends: w.flag("ends"), From: w.after("from")}
		m, err := w.machine()
		c.Session, c.User, c.Machine = nameID(w.next()), license.UserID(w.next()), m
		return c, err
	case "post":
		c := license.KeepPosting{Listed: w.flag("features"), Body: []byte(w.after("body"))}
		var err error
		if c.NotAfter, err = s.notAfter(w); err != nil {
			return nil, err
		}
		m, err := w.machine()
		c.ID, c.User, c.Product, c.Machine = nameID(w.next()), license.UserID(w.next()), license.ProductID(w.next()), m
		return c, err
	case "endwait":
		return license.EndWait{Proof: w.proof(), ID: nameID(w.next()), User: license.UserID(w.next())}, nil
	case "release":
		return license.Release{By: long(w.after("by")), Session: nameID(w.next()), Note: long(w.next())}, nil
	case "confirm":
		return license.Confirm{Session: nameID(w.next())}, nil
	case "conflict":
		return license.Conflict{Machine: readMachine(w.after("with")), Session: nameID(w.next())}, nil
	case "refused":
		c := license.Refused{Client: w.after("client"), Relayed: w.flag("relayed"), Offline: w.flag("offline")}
		m, err := w.machine()
		c.User, c.Machine, c.Denial.Reason = license.UserID(w.next()), m, license.Reason(w.next())
		return c, err
	case "link":
		c := license.Link{Up: w.flag("up"), Slow: w.flag("slow")}
		if c.Up = c.Up || c.Slow; !c.Up && !w.flag("down") {
			return nil, fmt.Errorf("link up or link down?")
		}
		if c.Up {
			c.Contact = s.now
		}
		return c, nil
	case "cloud":
		c := license.NoteCloud{}
		for word, found := range map[string]*license.Offered{"feed": &c.Feed, "holds": &c.Holds, "moves": &c.Moves, "books": &c.Books} {
			switch {
			case w.flag("no-" + word):
				*found = license.OfferNo
			case w.flag(word):
				*found = license.OfferYes
			}
		}
		if w.flag("realtime") {
			c.Usage = license.WayRealtime
		}
		return c, nil
	case "usage-sent", "settle-usage", "backlog", "export", "receive":
		return s.usageCommand(verb, w)
	case "configure":
		return s.configure(w)
	case "revoke":
		at := clockTime(s.now.Std().Format("2006-01-02") + " " + w.after("at"))
		return license.NoteRevoked{Users: []license.Revocation{{User: license.UserID(long(w.next())), At: at}}}, nil
	case "learn":
		l := license.Learned{Name: long(w.after("named")), Country: w.after("in")}
		l.User, l.Product = license.UserID(w.next()), license.ProductID(w.next())
		return license.Learn{Seen: []license.Learned{l}}, nil
	case "resume", "reread", "accept-restore":
		return s.resume(verb, w)
	case "found":
		c := license.Found{Level: license.Level}
		if text := w.after("level"); text != "" {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return nil, err
			}
			c.Level = uint32(n)
		}
		c.Cluster = w.next()
		return c, nil
	case "token", "join", "enroll", "remove-node", "lockout", "alert", "told", "sent-report", "issuer-keys", "accept-keys", "rekey", "end-rekey":
		return s.nodes(verb, w)
	case "give", "use", "end", "local-account", "remove-account":
		return s.administrators(verb, w)
	case "noted", "erase", "export-audit", "trim-audit":
		return s.auditing(verb, w)
	}
	return s.admin(verb, w)
}

func (s *story) notAfter(w *words) (license.Time, error) {
	text := w.after("not-after")
	if text == "" {
		return 0, nil
	}
	at := clockTime(s.now.Std().Format("2006-01-02") + " " + text)
	if at == 0 {
		return 0, fmt.Errorf("%q is not a time of day", text)
	}
	return at, nil
}

func (s *story) start(w *words) (license.Command, error) {
	c := license.Start{ID: nameID(w.next()), Agreed: !w.flag("alone"), Fences: w.flag("fences"), Version: long(w.after("version")), Client: w.after("client"),
		Email: long(w.after("email")), Feature: long(w.after("feature")), Relayed: w.flag("relayed"), From: long(w.after("from"))}
	var err error
	if text := w.after("lease"); text != "" {
		if c.TTL, err = duration(text); err != nil {
			return nil, err
		}
	}
	if c.NotAfter, err = s.notAfter(w); err != nil {
		return nil, err
	}
	c.Proof = w.proof()
	c.Machine, err = w.machine()
	c.User, c.Product = license.UserID(long(w.next())), license.ProductID(long(w.next()))
	return c, err
}

// shown reads "shown USER PRODUCT email E client V": which type of license a start would
// have, and what its user would be told.
func (s *story) shown(w *words) ([]string, error) {
	c := license.Start{Email: w.after("email"), Client: w.after("client")}
	c.User, c.Product = license.UserID(w.next()), license.ProductID(w.next())
	typ, warnings, d := license.Entitlement(s.state, s.now, c)
	if d != nil {
		return []string{"would be " + sayDenial(d)}, nil
	}
	line := "would be " + typ
	for _, w := range warnings {
		line += ", warned: " + string(w)
	}
	return []string{line}, nil
}

func (s *story) checkout(w *words) (license.Command, error) {
	c := license.CheckOut{ID: nameID(w.next()), Agreed: !w.flag("alone"), Imported: w.flag("imported"),
		Version: long(w.after("version")), By: long(w.after("by")), Note: long(w.after("because"))}
	if text := w.after("for"); text != "" {
		d, err := duration(text)
		if err != nil {
			return nil, err
		}
		c.Until = s.now.Add(d)
	}
	c.Proof = w.proof()
	m, err := w.machine()
	c.Machine, c.User, c.Product = m, license.UserID(w.next()), license.ProductID(w.next())
	return c, err
}

func (s *story) configure(w *words) (license.Command, error) {
	c := license.Configure{Settings: license.Settings{PassV8i: w.flag("pass-v8i"), NoCheckouts: w.flag("no-checkouts"), Relay: w.flag("relays"), MachineKeys: w.flag("machine-keys")}}
	scopes := map[string]license.Scope{"": license.ScopeDefault, "user": license.ScopeUser, "license": license.ScopeLicense, "9": 9}
	c.Settings.SessionScope = scopes[w.after("sessions-hold")]
	c.Settings.CheckoutScope = scopes[w.after("checkouts-hold")]
	policies := map[string]license.TakeoverPolicy{"ask": license.TakeoverAsk, "grace": license.TakeoverGrace, "9": 9}
	c.Settings.Takeover = policies[w.after("takeover")]
	for text := w.after("mode"); text != ""; text = w.after("mode") {
		c.Settings.Modes = append(c.Settings.Modes, readMode(text))
	}
	for text := w.after("host"); text != ""; text = w.after("host") {
		c.Settings.Hosts = append(c.Settings.Hosts, long(text))
	}
	for word, into := range map[string]*time.Duration{
		"lease": &c.Settings.LeaseTTL, "checkout-max": &c.Settings.CheckoutMax, "checkout-default": &c.Settings.CheckoutDefault,
		"save-grace": &c.Settings.SaveGrace, "takeover-grace": &c.Settings.TakeoverGrace} {
		if err := w.duration(word, into); err != nil {
			return nil, err
		}
	}
	for word, into := range map[string]**time.Duration{
		"alone-capped": &c.Settings.AutonomyCapped, "alone-uncapped": &c.Settings.AutonomyUncapped} {
		var d time.Duration
		before := len(w.rest)
		if err := w.duration(word, &d); err != nil {
			return nil, err
		}
		if len(w.rest) < before {
			*into = &d
		}
	}
	return c, nil
}

// readMode reads "observe:PRODUCT@NETWORK", or on: instead; either part may be
// missing.
func readMode(text string) license.Mode {
	word, rest, _ := strings.Cut(text, ":")
	product, network, _ := strings.Cut(rest, "@")
	return license.Mode{Product: license.ProductID(product), Network: network, Observe: word == "observe"}
}

// mode asks which mode a product has from an address.
func (s *story) mode(w *words) ([]string, error) {
	from := w.after("from")
	addr, err := netip.ParseAddr(from)
	if err != nil && from != "nowhere" {
		return nil, err
	}
	if license.ModeOf(s.state, s.now, license.ProductID(w.next()), addr).Observe {
		return []string{"observe"}, nil
	}
	return []string{"on"}, nil
}

func (w *words) duration(word string, into *time.Duration) error {
	text := w.after(word)
	if text == "" {
		return nil
	}
	d, err := duration(text)
	*into = d
	return err
}

// mirror reads "mirror from A to B full last losing U,L,A : change ; change".
func (s *story) mirror(w *words) (license.Command, error) {
	c := license.Mirror{From: w.after("from"), Cursor: w.after("to"), Full: w.flag("full"), Last: w.flag("last")}
	var err error
	if c.Losing, err = losing(w); err != nil {
		return nil, err
	}
	c.Changes, err = s.changes(w)
	return c, err
}

// changes reads ": change ; change".
func (s *story) changes(w *words) (changes []license.Change, err error) {
	line := strings.Join(w.rest, " ")
	w.rest = nil
	line = strings.TrimPrefix(line, ":")
	for text := range strings.SplitSeq(line, ";") {
		change := words{rest: splitWords(text)}
		if len(change.rest) == 0 {
			continue
		}
		if many, err := crowd(&change); len(many) > 0 || err != nil {
			if changes = append(changes, many...); err != nil {
				return nil, err
			}
			continue
		}
		parsed, err := s.change(&change)
		if err != nil {
			return nil, err
		}
		changes = append(changes, parsed)
	}
	return changes, nil
}

func (s *story) change(w *words) (license.Change, error) {
	switch kind := w.next(); kind {
	case "user":
		u := license.User{Blocked: w.flag("blocked"), Country: country(w), Email: w.after("email"), Name: w.after("named"),
			OtherAccount: w.flag("other-account"), Roles: roles(w), ID: license.UserID(long(w.next()))}
		return license.Change{User: &u}, nil
	case "product":
		p := license.Product{Capped: license.CappedUnknown, V8i: w.flag("v8i"), NeedsFeature: w.flag("needs-feature")}
		switch {
		case w.flag("capped"):
			p.Capped = license.CappedYes
		case w.flag("uncapped"):
			p.Capped = license.CappedNo
		}
		p.ID = license.ProductID(w.next())
		return license.Change{Product: &p}, nil
	case "license":
		l := license.License{Product: license.ProductID(w.after("of")), Assignee: license.UserID(w.after("for")),
			Starts: clockTime(w.after("starts")), Ends: clockTime(w.after("ends")), AssignedAt: clockTime(w.after("assigned"))}
		switch {
		case w.flag("commercial"):
			l.Kind = license.Commercial
		case w.flag("trial"):
			l.Kind = license.Trial
		}
		if text := w.after("countries"); text != "" {
			l.Countries = strings.Split(text, ",")
		}
		l.ID = license.LicenseID(w.next())
		return license.Change{License: &l}, nil
	case "account":
		a := license.Account{}
		for word, into := range map[string]*time.Duration{
			"alone-capped": &a.AutonomyCapped, "alone-uncapped": &a.AutonomyUncapped, "checkout-max": &a.CheckoutMax} {
			if err := w.duration(word, into); err != nil {
				return license.Change{}, err
			}
		}
		a.FulfillmentContact = person(w.after("fulfillment"))
		for text := w.after("ask"); text != ""; text = w.after("ask") {
			a.Administrators = append(a.Administrators, person(text))
		}
		for text := w.after("country"); text != ""; text = w.after("country") {
			policy, err := countryPolicy(text)
			if err != nil {
				return license.Change{}, err
			}
			a.CountryPolicies = append(a.CountryPolicies, policy)
		}
		a.ID = w.next()
		return license.Change{Account: &a}, nil
	case "odd":
		why := w.after("because")
		switch what, id := w.next(), w.next(); what {
		case "user":
			return license.Change{DeleteUser: license.UserID(id), Malformed: long(why)}, nil
		case "product":
			return license.Change{DeleteProduct: license.ProductID(id), Malformed: why}, nil
		case "license":
			return license.Change{DeleteLicense: license.LicenseID(id), Malformed: why}, nil
		case "account":
			return license.Change{Account: &license.Account{ID: id}, Malformed: why}, nil
		}
	case "drop":
		switch what, id := w.next(), w.next(); what {
		case "user":
			return license.Change{DeleteUser: license.UserID(id)}, nil
		case "product":
			return license.Change{DeleteProduct: license.ProductID(id)}, nil
		case "license":
			return license.Change{DeleteLicense: license.LicenseID(id)}, nil
		}
	}
	return license.Change{}, fmt.Errorf("not a change of the mirror")
}

// person reads "Name <e-mail>", where either may be missing.
func person(text string) license.Administrator {
	name, email, _ := strings.Cut(strings.TrimSuffix(text, ">"), "<")
	return license.Administrator{Name: strings.TrimSpace(name), Email: email}
}

// country is DE where a story has nothing to do with countries, and none for "none".
func country(w *words) string {
	switch text := w.after("country"); text {
	case "":
		return "DE"
	case "none":
		return ""
	default:
		return text
	}
}

// countryPolicy reads "FR:off", "DE:30d" or "DE:30d:off".
func countryPolicy(text string) (license.CountryPolicy, error) {
	country, terms, _ := strings.Cut(text, ":")
	p := license.CountryPolicy{Country: long(country)}
	for term := range strings.SplitSeq(terms, ":") {
		if term == "off" {
			p.NoCheckouts = true
			continue
		}
		d, err := duration(term)
		if err != nil {
			return p, err
		}
		p.CheckoutMax = d
	}
	return p, nil
}
