package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"sitegate/license"
)

// ExportRecords is how many usage records a file has at the most.
const ExportRecords = 50_000

// ErrNothingToExport: there is no usage that is neither with the cloud nor in a file.
var ErrNothingToExport = errors.New("there is no usage to export")

// ErrExportChanged: the journal of this node does not give the file that was exported.
var ErrExportChanged = errors.New("this node's journal does not have what was exported; try another node")

// LineOf makes a line of a file of a usage record; always the same.
type LineOf func(license.Usage) ([]byte, error)

// ExportUsage notes the next file of usage records: of what ended up to a time, and as
// many as go into one. WriteExport writes it.
func (g *Gateway) ExportUsage(ctx context.Context, until license.Time, by string, line LineOf) (license.Export, error) {
	if err := g.log.CatchUp(ctx); err != nil { // or the last file may not be known here yet
		return license.Export{}, err
	}
	var c license.ExportUsage
	var end uint64
	g.log.View(func(s *license.State) {
		c.Number, c.After = s.NextExport()
		end = s.Head().Seq
	})
	sum := sha256.New()
	c.By = by
	var failed error
	err := g.eachEvent(ctx, c.After, end, func(e license.Event) bool {
		if e.At > until {
			return false
		}
		if u, ok := license.UsageOf(e); ok {
			var b []byte
			if b, failed = line(u); failed != nil {
				return false
			}
			sum.Write(b)
			c.Records++
			c.Through = e.Seq // not beyond: a file ends with a record
		}
		return c.Records < ExportRecords
	})
	switch {
	case err != nil || failed != nil:
		return license.Export{}, errors.Join(err, failed)
	case c.Records == 0:
		return license.Export{}, ErrNothingToExport
	}
	copy(c.Sum[:], sum.Sum(nil))
	a, err := g.ask(ctx, request{ExportUsage: &c})
	if err != nil {
		return license.Export{}, err
	}
	if d := a.Outcome.Denial; d != nil {
		if x, there := g.exported(c.Number); there && x.Sum == c.Sum {
			return x, nil // an answer was lost
		}
		return license.Export{}, fmt.Errorf("another export is under way, or usage was delivered meanwhile: try again (%s)", d.Reason)
	}
	return *a.Outcome.Export, nil
}

func (g *Gateway) exported(number uint64) (x license.Export, there bool) {
	g.log.View(func(s *license.State) {
		for _, y := range license.Exports(s) {
			if y.Number == number {
				x, there = y, true
			}
		}
	})
	return x, there
}

// WriteExport writes a file of usage records that was exported, as often as it is
// asked to. ErrExportChanged: what it wrote is not that.
func (g *Gateway) WriteExport(ctx context.Context, x license.Export, line LineOf, w io.Writer) error {
	sum := sha256.New()
	var failed error
	var n uint64
	err := g.eachEvent(ctx, x.After, x.Through, func(e license.Event) bool {
		u, ok := license.UsageOf(e)
		if !ok {
			return true
		}
		var b []byte
		if b, failed = line(u); failed == nil {
			sum.Write(b)
			_, failed = w.Write(b)
			n++
		}
		return failed == nil
	})
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if n != x.Records || license.Digest(sum.Sum(nil)) != x.Sum {
		return ErrExportChanged
	}
	return nil
}

// RefusedRecord is a record of an exported file that the vendor will not take.
type RefusedRecord struct{ Record, Why string }

// ReceiveUsage brings in the vendor's receipt for a file, which the caller has checked
// to be the vendor's. accepted and refused must be all that is in the file.
func (g *Gateway) ReceiveUsage(ctx context.Context, number uint64, sum license.Digest, accepted uint64, refused []RefusedRecord, by string) (Answer, error) {
	c := license.ReceiveUsage{Number: number, Sum: sum, By: by}
	if x, there := g.exported(number); there {
		if accepted+uint64(len(refused)) != x.Records {
			return Answer{}, fmt.Errorf("the receipt is for %d records, and %d that are refused; the file has %d", accepted, len(refused), x.Records)
		}
		why := map[string]string{}
		for _, r := range refused {
			why[r.Record] = r.Why
		}
		err := g.eachEvent(ctx, x.After, x.Through, func(e license.Event) bool {
			if u, ok := license.UsageOf(e); ok {
				if w, no := why[u.Record]; no {
					c.Refused = append(c.Refused, license.SetAside{Usage: u, Why: w})
				}
			}
			return true
		})
		if err != nil {
			return Answer{}, err
		}
		if len(c.Refused) != len(refused) {
			return Answer{}, fmt.Errorf("of the %d records that the receipt refuses, %d are in the file", len(refused), len(c.Refused))
		}
	}
	return g.ask(ctx, request{ReceiveUsage: &c})
}
