package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"sitegate/api"
	"sitegate/phrase"
)

func usageReports(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate usage", []command{
		{"peaks", "show how many machines used each product at once", usagePeaks},
		{"day", "show how much was open in the last day", usageDay},
		{"audit", "find gaps between what was granted and what the cloud has acknowledged", usageAudit},
		{"refused", "list usage that the cloud refuses, or send it again", usageRefused},
		{"export", "write usage into files that are carried to the vendor", usageExport},
		{"import-receipt", "take the vendor's receipt for such a file", usageReceipt},
	}, args)
}

const usageDayHelp = `
Usage: sitegate usage day [--json] [--config FILE]

Shows how many sessions and checkouts were open at the ten-minute marks of the last
24 hours (GMT), as the node that is asked has counted them. It is the line on the
console's first page.

Example:
  sitegate usage day
`

func usageDay(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("usage day", usageDayHelp, args)
	if err != nil {
		return err
	}
	var all rows[api.TrendMark]
	if err := operator(ctx, c, http.MethodGet, api.PathTrend, nil, &all); err != nil {
		return err
	}
	return show(p, &listing{asJSON: asJSON}, all, "The node has not counted yet.", "AT (GMT)|SESSIONS|CHECKOUTS", func(m api.TrendMark) []string {
		return []string{stamp(m.At), strconv.Itoa(m.Sessions), strconv.Itoa(m.Checkouts)}
	})
}

const usagePeaksHelp = `
Usage: sitegate usage peaks [--from DAY] [--to DAY] [--product ID] [--daily] [--csv | --json] [--config FILE]

Shows the most machines that used each product at once, and when: unique machines
in ten-minute intervals, days and intervals in GMT, as the vendor counts them.
"Pooled" is what counts against the account's pool: all but Practitioner use. It is
counted from the journal of the node that runs on this machine; of days of which that
keeps nothing any more (privacy.history) it is what was counted then, for whole days.
What still runs counts up to now.

DAY is a day (2026-11-21) or an RFC 3339 time; --to is where it ends, not included.
Without them it is the last seven days. --daily shows each day.

Example:
  sitegate usage peaks --from 2026-10-01 --to 2026-11-01
  sitegate usage peaks --from 2026-01-01 --daily --csv > peaks.csv
`

func usagePeaks(ctx context.Context, p *program, args []string) error {
	f := p.flags("usage peaks", usagePeaksHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	from := f.String("from", "", "from this day on (default: seven days before --to)")
	to := f.String("to", "", "up to this day (default: now)")
	product := f.String("product", "", "only the product with this id")
	daily := f.Bool("daily", false, "show each day by itself")
	asCSV := f.Bool("csv", false, "print it as CSV")
	asJSON := f.Bool("json", false, "print it as JSON")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *asCSV && *asJSON {
		return usagef("usage peaks: choose one of --csv and --json")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	if *to == "" { // the same for every page
		*to = time.Now().UTC().Format(time.RFC3339)
	}
	var peaks []api.Peak
	for next := ""; ; {
		q := url.Values{}
		for name, value := range map[string]string{"from": *from, "to": *to, "product": *product, "after": next} {
			if value != "" {
				q.Set(name, value)
			}
		}
		var page api.List[api.Peak]
		if err := patientOperator(ctx, c, http.MethodGet, api.PathPeaks+"?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		peaks = append(peaks, page.Items...)
		if page.Next == "" || page.Next == next {
			break
		}
		next = page.Next
	}
	if !*daily {
		peaks = highest(peaks)
	}
	switch {
	case *asJSON:
		err = p.json(api.List[api.Peak]{Items: append([]api.Peak{}, peaks...)})
	case *asCSV:
		err = p.peaksCSV(peaks)
	default:
		err = p.peaksTable(peaks, *daily)
	}
	if err != nil {
		return fmt.Errorf("writing the peaks: %w", err)
	}
	return nil
}

// highest are the peaks of each product over all days. Their day is that of the peak
// of all use.
func highest(peaks []api.Peak) []api.Peak {
	all := map[string]api.Peak{}
	for _, p := range peaks {
		h, there := all[p.Product]
		if !there {
			h = api.Peak{Product: p.Product, Name: p.Name}
		}
		if p.Machines > h.Machines {
			h.Day, h.Machines, h.At = p.Day, p.Machines, p.At
		}
		if p.Pooled > h.Pooled {
			h.Pooled, h.PooledAt = p.Pooled, p.PooledAt
		}
		all[p.Product] = h
	}
	return slices.SortedFunc(maps.Values(all), func(a, b api.Peak) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Product, b.Product))
	})
}

// moment writes a time in GMT, or what stands for none.
func moment(t time.Time, layout, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(layout)
}

func (p *program) peaksTable(peaks []api.Peak, daily bool) error {
	if len(peaks) == 0 {
		fmt.Fprintln(p.stdout, "No product was used for a whole ten-minute interval.")
		return nil
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	layout := "2006-01-02 15:04"
	if daily {
		layout = "15:04"
		fmt.Fprint(t, "DAY (GMT)\t")
	}
	fmt.Fprint(t, "PRODUCT\tNAME\tMACHINES\tAT (GMT)\tPOOLED\tAT (GMT)\n")
	for _, x := range peaks {
		if daily {
			fmt.Fprintf(t, "%s\t", x.Day.UTC().Format(time.DateOnly))
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\n", x.Product, x.Name, x.Machines, moment(x.At, layout, "-"), x.Pooled, moment(x.PooledAt, layout, "-"))
	}
	return t.Flush()
}

func (p *program) peaksCSV(peaks []api.Peak) error {
	w := csv.NewWriter(p.stdout)
	rows := [][]string{{"day", "product", "name", "machines", "at", "pooled", "pooled_at"}}
	for _, x := range peaks {
		rows = append(rows, []string{x.Day.UTC().Format(time.DateOnly), phrase.NoFormula(x.Product), phrase.NoFormula(x.Name), strconv.Itoa(x.Machines), moment(x.At, time.RFC3339, ""), strconv.Itoa(x.Pooled), moment(x.PooledAt, time.RFC3339, "")})
	}
	return w.WriteAll(rows)
}
