package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"sitegate/configs"
	"sitegate/phrase"
)

// mostOfPage is how many rows a node gives at once.
const mostOfPage = 500

// listing is what a command that lists something is asked for: the same words, rows
// and columns as the console's.
type listing struct {
	*pflag.FlagSet
	path   string // of the rows
	cursor string // the parameter that says where the next page begins
	limit  int
	asJSON bool
	asCSV  bool
	query  url.Values
}

// listing begins the flags of one.
func (p *program) listing(name, help, path, cursor string) *listing {
	l := &listing{FlagSet: p.flags(name, help), path: path, cursor: cursor, query: url.Values{}}
	l.IntVar(&l.limit, "limit", 100, "show at most so many rows; 0: all of them")
	l.BoolVar(&l.asJSON, "json", false, "print them as JSON")
	l.BoolVar(&l.asCSV, "csv", false, "print them as CSV")
	p.configFlags(l.FlagSet)
	p.remoteFlags(l.FlagSet)
	return l
}

// rows are what was found, and what there is.
type rows[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
	Total int    `json:"total,omitempty"` // on all pages, where that is known
	// At is when it was so, where that is told: of the first page.
	At time.Time `json:"at,omitzero"`
}

// read asks the node, page by page. words, if there are any, must be found in a row.
func read[T any](ctx context.Context, p *program, l *listing, words []string) (all rows[T], c configs.Config, err error) {
	if l.asCSV && l.asJSON {
		return all, c, usagef("%s: choose one of --csv and --json", l.Name())
	}
	if l.limit < 0 {
		return all, c, usagef("%s: --limit %d: it is 0 or more", l.Name(), l.limit)
	}
	if c, _, err = p.load(l.FlagSet); err != nil {
		return all, c, err
	}
	query := maps.Clone(l.query)
	if len(words) > 0 {
		query.Set("q", strings.Join(words, " "))
	}
	all.Items = []T{}
	for {
		page := mostOfPage
		if l.limit > 0 {
			page = min(page, l.limit-len(all.Items))
		}
		query.Set("limit", strconv.Itoa(page))
		var got rows[T]
		if err := operator(ctx, c, http.MethodGet, l.path+"?"+query.Encode(), nil, &got); err != nil {
			return all, c, err
		}
		all.Items, all.Next = append(all.Items, got.Items...), got.Next
		all.Total = max(all.Total, got.Total)
		if all.At.IsZero() {
			all.At = got.At
		}
		if l.limit > 0 && len(all.Items) > l.limit { // a list whose pages are as long as the node likes
			if got.Next == "" {
				all.Total = len(all.Items)
			}
			all.Items = all.Items[:l.limit]
			return all, c, nil
		}
		if got.Next == "" || l.limit > 0 && len(all.Items) >= l.limit {
			return all, c, nil
		}
		query.Set(l.cursor, got.Next)
	}
}

// show prints rows as they were asked for: head names the columns, cells are a row's.
// none is what is said where there are no rows.
func show[T any](p *program, l *listing, all rows[T], none, head string, cells func(T) []string) error {
	columns := strings.Split(head, "|")
	switch {
	case l.asJSON:
		return p.json(all)
	case l.asCSV:
		w := csv.NewWriter(p.stdout)
		for i := range columns {
			columns[i] = strings.ReplaceAll(strings.ToLower(columns[i]), " ", "_")
		}
		_ = w.Write(columns) // Flush keeps the error
		for _, x := range all.Items {
			row := cells(x)
			for i := range row {
				row[i] = phrase.NoFormula(row[i])
			}
			_ = w.Write(row)
		}
		w.Flush()
		return w.Error()
	case len(all.Items) == 0:
		_, err := fmt.Fprintln(p.stdout, none)
		return err
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, x := range all.Items {
		row := cells(x)
		for i := range row {
			if row[i] = shown(row[i]); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	switch {
	case all.Total > len(all.Items):
		fmt.Fprintf(p.stdout, "%d of %d; --limit 0 shows all, words narrow it down.\n", len(all.Items), all.Total)
	case all.Next != "":
		fmt.Fprintf(p.stdout, "The latest %d; --limit 0 shows all.\n", len(all.Items))
	}
	return nil
}
