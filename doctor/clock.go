package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// clockReading is how far this server's clock is ahead of another.
type clockReading struct {
	of    string
	ahead time.Duration
	proxy bool
}

// clock compares this server's with those of all that have answered, the vendor's and the proxies', and says whether a time service keeps it. No time server is asked: which
// ones are the site's this program does not know, and the system's own service asks them.
func (x *examination) clock() Check {
	synced, known := x.Synced()
	kept := ""
	switch {
	case known && synced:
		kept = " A time service keeps it."
	case known:
		kept = " No time service keeps it, as far as this system knows."
	}
	c := Check{Step: "clock", State: Skip, Found: "Nobody has answered who would tell the time." + kept}
	var agree []string
	worst := clockReading{}
	for _, r := range x.clocks {
		switch {
		case r.ahead.Abs() <= maxSkew && !slices.Contains(agree, r.of):
			agree = append(agree, r.of)
		case r.ahead.Abs() > maxSkew && (worst.of == "" || worst.proxy && !r.proxy):
			worst = r
		}
	}
	slices.Sort(agree) // they have answered in whatever order
	if len(agree) > 0 {
		c.State, c.Found = Pass, "Within a minute of those of "+strings.Join(agree, ", ")+"."+kept
	}
	switch {
	case worst.of != "":
		way, d := "ahead of", worst.ahead
		if d < 0 {
			way, d = "behind", -d
		}
		c.State, c.Code, c.Found = Fail, "clock_skew_api", fmt.Sprintf("This server's clock is %d s %s %s's.", int(d.Seconds()), way, worst.of)
		c.Action = "Set this server's clock by the site's time service (NTP)."
		if worst.proxy {
			c.State, c.Code, c.Action = Warn, "", "Compare both with the site's time service; Kerberos bears 300 s."
		}
		if len(agree) > 0 {
			c.Found += " It is within a minute of those of " + strings.Join(agree, ", ") + "."
			c.Action = "Compare them with the site's time service (NTP): one of these clocks is wrong."
		}
		c.Found += kept
	case c.State == Skip && known && !synced:
		c.State, c.Action = Warn, "Have the site's time service (NTP) keep this server's clock: chrony or systemd-timesyncd does, or the host of a virtual machine."
	}
	if x.Status != nil && x.Status.TimeHeld && c.State != Fail {
		c.State, c.Code, c.Found, c.Action = Warn, "", "The node finds this clock off, and does not follow it."+kept, "Set it right, or see sitegate time accept --help."
	}
	return c
}

// outside is how far this server's clock was ahead of another one's date, which was told between two of its own times.
func outside(date, begun, ended time.Time) time.Duration {
	switch {
	case date.Before(begun):
		return begun.Sub(date)
	case date.After(ended):
		return ended.Sub(date)
	}
	return 0
}
