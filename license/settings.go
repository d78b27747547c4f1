package license

import (
	"reflect"
	"slices"
	"time"
)

// Scope is what a hold keeps from other machines.
type Scope uint8

// The zero Scope takes the default of its kind of hold.
const (
	ScopeDefault Scope = iota
	ScopeUser          // everything capped the user has
	ScopeLicense       // that license of the user only
)

// Settings are what the rules read. They are part of the state and change only
// by a command: a node's config file merely proposes them, so that every node
// decides alike. The zero value is the defaults.
type Settings struct {
	SessionScope  Scope `cbor:"1,keyasint,omitempty"` // default ScopeUser (R5)
	CheckoutScope Scope `cbor:"2,keyasint,omitempty"` // default ScopeLicense
	// LeaseTTL is how long a session lives without a heartbeat: 180 s to 60 min,
	// default 180 s, the vendor's own rhythm (KB0018624).
	LeaseTTL time.Duration `cbor:"3,keyasint,omitempty"`
	// AutonomyCapped and AutonomyUncapped shorten what the account's terms give;
	// nil leaves them as they are.
	AutonomyCapped   *time.Duration `cbor:"4,keyasint,omitempty"`
	AutonomyUncapped *time.Duration `cbor:"5,keyasint,omitempty"`
	// NoCheckouts switches new checkouts off at this site; what is out stays out, and
	// may be shortened.
	NoCheckouts bool `cbor:"70,keyasint,omitempty"`
	// CheckoutMax shortens the longest checkout; zero leaves the account's.
	CheckoutMax time.Duration `cbor:"6,keyasint,omitempty"`
	// SaveGrace is how long a session that lost its right may still be renewed,
	// for its user to save: default 15 min.
	SaveGrace time.Duration `cbor:"7,keyasint,omitempty"`
	// CheckoutDefault is how long a checkout is whose end nobody says: default 14
	// days, or less where that is too long.
	CheckoutDefault time.Duration `cbor:"30,keyasint,omitempty"`
	// PassV8i lets V8i products, which no license of the mirror is for, start and
	// records them as Commercial; false refuses them (R17).
	PassV8i bool `cbor:"20,keyasint,omitempty"`
	// Takeover is what a refused machine may do about its user's active one, and
	// TakeoverGrace how long that one then has: 1 min to 60 min, default 10 min.
	Takeover      TakeoverPolicy `cbor:"50,keyasint,omitempty"`
	TakeoverGrace time.Duration  `cbor:"51,keyasint,omitempty"`
	// Modes are how relayed traffic is enforced; none: as everything is.
	Modes []Mode `cbor:"52,keyasint,omitempty"`
	// Relay: this site relays traffic of the vendor's own client, whose sessions live long.
	Relay bool `cbor:"200,keyasint,omitempty"`
	// MachineKeys: nothing new is granted to who shows no key of their machine; the
	// vendor's own client, which has none, is not meant.
	MachineKeys bool `cbor:"280,keyasint,omitempty"`
	// Hosts are the multi-user servers whose keys stand beside those of the machines that
	// their users come from, as their clients name them; at most MaxHosts. See Proof.Host.
	Hosts []string `cbor:"345,keyasint,omitempty"`
}

// The defaults and bounds of Settings.
const (
	DefaultLeaseTTL  = 180 * time.Second
	MaxLeaseTTL      = time.Hour
	DefaultSaveGrace = 15 * time.Minute
	DefaultCheckout  = 14 * 24 * time.Hour
	// ReservationTime is how long a license that became free is kept for the machine
	// that asked to wait.
	ReservationTime = 30 * time.Second
	// MaxHosts is how many multi-user servers a site may list.
	MaxHosts = 256
)

func (s *Settings) sessionScope() Scope {
	if s.SessionScope == ScopeDefault {
		return ScopeUser
	}
	return s.SessionScope
}

func (s *Settings) checkoutScope() Scope {
	if s.CheckoutScope == ScopeDefault {
		return ScopeLicense
	}
	return s.CheckoutScope
}

// TTL is how long a session lives without a heartbeat.
func (s *Settings) TTL() time.Duration {
	if s.LeaseTTL == 0 {
		return DefaultLeaseTTL
	}
	return s.LeaseTTL
}

func (s *Settings) checkoutDefault() time.Duration {
	if s.CheckoutDefault == 0 {
		return DefaultCheckout
	}
	return s.CheckoutDefault
}

func (s *Settings) saveGrace() time.Duration {
	if s.SaveGrace == 0 {
		return DefaultSaveGrace
	}
	return s.SaveGrace
}

func (s *Settings) takeoverGrace() time.Duration {
	if s.TakeoverGrace == 0 {
		return DefaultTakeoverGrace
	}
	return s.TakeoverGrace
}

// lists reports whether a host is one of the site's multi-user servers. A machine itself,
// whose host is empty, is none.
func (s *Settings) lists(host string) bool { return host != "" && slices.Contains(s.Hosts, host) }

// SettingsEqual reports whether two settings decide alike.
func SettingsEqual(a, b Settings) bool {
	if !slices.Equal(a.Modes, b.Modes) || !slices.Equal(a.Hosts, b.Hosts) {
		return false
	}
	a.Modes, b.Modes, a.Hosts, b.Hosts = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// Configure sets the rules' settings for the whole site. The leader proposes it
// when its config file differs from what the site runs on.
type Configure struct {
	Settings Settings `cbor:"1,keyasint,omitempty"`
}

// Configured: the site now decides by these settings. New holds follow them,
// old ones run out.
type Configured struct {
	Settings Settings `cbor:"1,keyasint,omitempty"`
}

func (c Configure) decide(*State, Time) *Denial {
	s := c.Settings
	if s.SessionScope > ScopeLicense || s.CheckoutScope > ScopeLicense {
		return deny(BadCommand)
	}
	if s.LeaseTTL != 0 && (s.LeaseTTL < DefaultLeaseTTL || s.LeaseTTL > MaxLeaseTTL) {
		return deny(BadCommand)
	}
	if s.Takeover > TakeoverGrace || !validModes(s.Modes) ||
		s.TakeoverGrace != 0 && (s.TakeoverGrace < MinTakeoverGrace || s.TakeoverGrace > MaxTakeoverGrace) {
		return deny(BadCommand)
	}
	if len(s.Hosts) > MaxHosts || slices.ContainsFunc(s.Hosts, func(h string) bool { return h == "" || !validName(h) }) {
		return deny(BadCommand)
	}
	negative := func(d *time.Duration) bool { return d != nil && *d < 0 }
	if s.CheckoutMax < 0 || s.CheckoutDefault < 0 || s.SaveGrace < 0 || negative(s.AutonomyCapped) || negative(s.AutonomyUncapped) {
		return deny(BadCommand)
	}
	return nil
}

func (c Configure) do(s *State, at Time) Outcome {
	if SettingsEqual(s.head.Settings, c.Settings) {
		return Outcome{Repeat: true}
	}
	c.Settings.Modes = slices.Clone(c.Settings.Modes)
	if len(c.Settings.Modes) == 0 {
		c.Settings.Modes = nil
	}
	if c.Settings.Hosts = slices.Clone(c.Settings.Hosts); len(c.Settings.Hosts) == 0 {
		c.Settings.Hosts = nil
	}
	s.head.Settings = c.Settings
	s.extendWait(at)
	s.emit(Configured(c))
	s.lookAtAll()
	return Outcome{}
}
