package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

// An exported audit trail is JSON Lines or CSV: a record a line, each with its own hash
// and the one before it, so that a file is verified by itself.

// auditLine is a record in a file.
type auditLine struct {
	api.AuditRecord
	Previous string `json:"previous"` // the hash of the record before
}

// auditColumns are the columns of a CSV file; with names those of auditNames follow.
var auditColumns = []string{"number", "at", "what", "by", "via", "user", "machine", "about", "note", "count", "from", "seq", "hash", "previous"}

var auditNames = []string{"by_name", "user_name", "machine_name", "note_text"}

// auditWriter writes a file.
type auditWriter interface {
	write(l auditLine) error
	flush() error
}

type jsonLines struct{ e *json.Encoder }

func (j jsonLines) write(l auditLine) error { return j.e.Encode(l) }
func (j jsonLines) flush() error            { return nil }

type csvLines struct {
	w     *csv.Writer
	names bool
}

func newAuditWriter(w io.Writer, asCSV, names bool) (auditWriter, error) {
	if !asCSV {
		return jsonLines{json.NewEncoder(w)}, nil
	}
	c := csvLines{csv.NewWriter(w), names}
	head := auditColumns
	if names {
		head = slices.Concat(auditColumns, auditNames)
	}
	return c, c.w.Write(head)
}

func (c csvLines) write(l auditLine) error {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	row := []string{number(l.Number), l.At.UTC().Format(time.RFC3339Nano), l.What, l.By, l.Via, l.User, l.Machine, l.About, l.Note,
		number(l.Count), l.From, number(l.Seq), l.Hash, l.Previous}
	if c.names {
		row = append(row, l.ByName, l.UserName, l.MachineName, l.NoteText)
	}
	for i := range row {
		row[i] = phrase.NoFormula(row[i])
	}
	return c.w.Write(row)
}

func (c csvLines) flush() error {
	c.w.Flush()
	return c.w.Error()
}

// plainText takes back what keeps a spreadsheet from taking a text for a formula.
func plainText(s string) string { return strings.TrimPrefix(s, "'") }

// maxAuditLine bounds a line of a file.
const maxAuditLine = 64 << 10

// readAuditFile calls f with the records of a file, in either form.
func readAuditFile(r io.Reader, f func(auditLine) error) error {
	b := bufio.NewReaderSize(r, maxAuditLine)
	first, err := b.Peek(1)
	if err != nil {
		return errors.New("the file is empty")
	}
	if first[0] != '{' {
		return readAuditCSV(b, f)
	}
	for number := 1; ; number++ {
		line, err := b.ReadSlice('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", number, err)
		}
		var l auditLine
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("line %d is no record: %w", number, err)
		}
		if err := f(l); err != nil {
			return err
		}
	}
}

func readAuditCSV(r io.Reader, f func(auditLine) error) error {
	c := csv.NewReader(r)
	head, err := c.Read()
	if err != nil || len(head) < len(auditColumns) || !slices.Equal(head[:len(auditColumns)], auditColumns) {
		return errors.New("the file is neither JSON Lines nor CSV of sitegate audit export")
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range row {
			row[i] = plainText(row[i])
		}
		l := auditLine{api.AuditRecord{What: row[2], By: row[3], Via: row[4], User: row[5], Machine: row[6], About: row[7], Note: row[8], From: row[10], Hash: row[12]}, row[13]}
		var failed [4]error
		l.Number, failed[0] = strconv.ParseUint(row[0], 10, 64)
		l.At, failed[1] = time.Parse(time.RFC3339, row[1])
		l.Count, failed[2] = strconv.ParseUint(row[9], 10, 64)
		l.Seq, failed[3] = strconv.ParseUint(row[11], 10, 64)
		if err := errors.Join(failed[:]...); err != nil {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("line %d is no record: %w", line, err)
		}
		if err := f(l); err != nil {
			return err
		}
	}
}

// auditedOf is the record that a line tells of; its hash is checked by whoever asks.
func auditedOf(r *api.AuditRecord) (license.Audited, error) {
	x := license.Audited{Number: r.Number, At: license.TimeOf(r.At), What: r.What, By: r.By, Via: r.Via, User: r.User, Machine: r.Machine,
		About: r.About, Note: r.Note, Count: r.Count, From: r.From, Seq: r.Seq}
	if r.At.Nanosecond()%int(time.Millisecond) != 0 {
		return x, &license.AuditBroken{Number: r.Number, Why: "its time is not as it is written"}
	}
	if err := x.Hash.UnmarshalText([]byte(r.Hash)); err != nil {
		return x, &license.AuditBroken{Number: r.Number, Why: "it has no hash"}
	}
	return x, nil
}
