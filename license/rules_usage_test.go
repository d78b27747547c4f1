package license_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sitegate/license"
)

// The words of usage on its way to the cloud.

// usageCommand reads "usage-sent 7 after 3 aside s1,s2", all in place of the 7, and "settle-usage s1 by ida".
func (s *story) usageCommand(verb string, w *words) (license.Command, error) {
	by := w.after("by")
	sum := license.Digest{}
	copy(sum[:], w.after("sum"))
	aside := w.after("aside")
	switch verb {
	case "backlog":
		c := license.NoteBacklog{}
		_, err := fmt.Sscanf(w.after("of"), "%dMB", &c.Most)
		if err == nil {
			_, err = fmt.Sscanf(w.next(), "%dMB", &c.Bytes)
		}
		c.Most, c.Bytes = c.Most<<20, c.Bytes<<20
		return c, err
	case "export":
		c := license.ExportUsage{Through: s.state.Head().Seq, Sum: sum, By: by}
		c.Number, c.After = s.state.NextExport()
		if text := w.after("after"); text != "" {
			c.After, _ = strconv.ParseUint(text, 10, 64)
		}
		for _, u := range s.made {
			if u.Seq > c.After && u.Seq <= c.Through {
				c.Records++
			}
		}
		return c, nil
	case "receive":
		n, err := strconv.ParseUint(w.next(), 10, 64)
		c := license.ReceiveUsage{Number: n, Sum: sum, By: by}
		for _, u := range s.made {
			if slices.Contains(strings.Split(aside, ","), idName(u.ID)) {
				c.Refused = append(c.Refused, license.SetAside{Usage: u, Why: "no such user"})
			}
		}
		return c, err
	case "settle-usage":
		c := license.SettleUsage{By: by}
		for _, name := range strings.Split(w.next(), ",") {
			c.Records = append(c.Records, s.record(name).Record)
		}
		return c, nil
	}
	var err error
	n := s.state.Head().Seq
	if text := w.next(); text != "all" {
		n, err = strconv.ParseUint(text, 10, 64)
	}
	c := license.UsageSent{Through: n, After: s.state.Head().UsageSent}
	if n < c.After {
		c.After = n
	}
	if text := w.after("after"); err == nil && text != "" {
		c.After, err = strconv.ParseUint(text, 10, 64)
	}
	for _, u := range s.made {
		switch refused := slices.Contains(strings.Split(aside, ","), idName(u.ID)); {
		case u.Seq <= c.After || u.Seq > c.Through:
		case refused:
			c.SetAside = append(c.SetAside, license.SetAside{Usage: u, Why: "no such user"})
		default:
			c.Records++
		}
	}
	return c, err
}

// record is the usage record of a session or a checkout.
func (s *story) record(name string) license.Usage {
	for _, u := range s.made {
		if idName(u.ID) == name {
			return u
		}
	}
	return license.Usage{Record: name}
}

// sayOutbox is how much usage is where.
func (s *story) sayOutbox() []string {
	h := s.state.Head()
	answer := []string{fmt.Sprintf("usage records: %d made, %d with the cloud, %d waiting", h.UsageMade, h.UsageKept, s.state.UsageWaiting())}
	for _, x := range license.Exports(s.state) {
		line := fmt.Sprintf("file %d has %d, exported by %s", x.Number, x.Records, x.By)
		if x.Received != 0 {
			line += ", received"
		}
		answer = append(answer, line)
	}
	for _, x := range license.AllSetAside(s.state) {
		answer = append(answer, fmt.Sprintf("set aside %s of %s at %s: %s", idName(x.Usage.ID), x.Usage.User, sayTime(x.At), x.Why))
	}
	return answer
}

func sayOfUsage(f license.Fact) string {
	switch f := f.(type) {
	case license.UsageAcknowledged:
		line := fmt.Sprintf("usage with the cloud through %d", f.Through)
		if f.SetAside > 0 {
			line += fmt.Sprintf(", but for %d", f.SetAside)
		}
		return line
	case license.UsageSetAside:
		var names []string
		for _, x := range f.Records {
			names = append(names, idName(x.Usage.ID))
		}
		return fmt.Sprintf("usage set aside: %s, told %v", strings.Join(names, ", "), f.To)
	case license.BacklogChanged:
		return fmt.Sprintf("room for usage %s, was %s: %d of %d MB, told %v", f.Level, f.From, f.Bytes>>20, f.Most>>20, f.To)
	case license.UsageExported:
		return fmt.Sprintf("usage file %d exported: %d records", f.Export.Number, f.Export.Records)
	case license.UsageReceived:
		return fmt.Sprintf("usage file %d received", f.Number)
	case license.UsageSettled:
		return fmt.Sprintf("usage settled: %d", len(f.Records))
	}
	return fmt.Sprintf("%T", f)
}
