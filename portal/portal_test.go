package portal

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"sitegate/api"
)

func TestPortalFilesAreReadAsSpreadsheetsWriteThem(t *testing.T) {
	text := "Virtuoso ID;Product ID;Application;Start date;End date;E-mail;Capped\r\n" +
		"L-1;3101;\"Gable; Structural\";2026-01-01;2026-12-31;ada@firm.example;yes\r\n" +
		";;;;;;\r\n" +
		"L-2;3101;;;31-Jan-2027;;\r\n"
	want := []api.MirrorRecord{
		{Kind: "product", ID: "3101", Name: "Gable; Structural", Capped: "yes"},
		{Kind: "license", ID: "L-1", Product: "3101", Type: "virtuoso", Assignee: "ada@firm.example",
			Starts: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Ends: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Kind: "license", ID: "L-2", Product: "3101", Type: "virtuoso", Ends: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)},
	}
	wide := []byte{0xFF, 0xFE}
	for _, c := range utf16.Encode([]rune(text)) {
		wide = binary.LittleEndian.AppendUint16(wide, c)
	}
	for name, data := range map[string][]byte{
		"UTF-8":                        []byte(text),
		"UTF-8 with a byte order mark": []byte("\ufeff" + text),
		"UTF-16":                       wide,
		"bars":                         []byte(strings.ReplaceAll(strings.ReplaceAll(text, "Gable; ", "Gable\x01 "), ";", "|")),
		"what spreadsheets want":       []byte("sep=;\r\n" + text),
		"commas":                       []byte(strings.NewReplacer(";", ",", "Gable; ", "Gable; ").Replace(strings.ReplaceAll(text, "Gable; ", "Gable\x01 "))),
	} {
		if name == "commas" || name == "bars" {
			data = []byte(strings.ReplaceAll(string(data), "\x01", ";"))
		}
		f, err := Read("licenses.csv", data, "utf-8")
		if err != nil || !f.Licenses {
			t.Errorf("%s: got %+v, %v", name, f, err)
			continue
		}
		for i, r := range f.Records {
			if i >= len(want) || !same(r, want[i]) {
				t.Errorf("%s: record %d is %+v", name, i, r)
			}
		}
		if len(f.Records) != len(want) {
			t.Errorf("%s: got %d records, want %d", name, len(f.Records), len(want))
		}
	}
	f, err := Read("users.csv", []byte("ims-id\tFirst name\tLast name\tCountry\nu1\tJ\xfcrgen\tMa\xdf\tde\n"), "windows-1252")
	if err != nil || len(f.Records) != 1 || f.Records[0].Name != "Jürgen Maß" || f.Records[0].Country != "DE" {
		t.Errorf("windows-1252: got %+v, %v", f, err)
	}
}

func TestWhatIsWrongWithAPortalFileIsNamedWithItsPlace(t *testing.T) {
	head := "License ID,Product ID,End date,Start date,Capped\n"
	for name, test := range map[string]struct{ text, want string }{
		"no header":             {"a,b\n1,2\n", "f.csv, line 1: The first line names neither"},
		"empty":                 {"", "f.csv, line 1: The first line names neither"},
		"a column is missing":   {"License ID,End date\nL,2026-11-30\n", `line 1, column "Product ID": This column is missing`},
		"no country":            {"User ID\nu\n", `line 1, column "Country": This column is missing`},
		"a column twice":        {"User ID,Country,country\n", `line 1, column "country": This column is there twice`},
		"no id":                 {head + "L,P,2026-11-30,,\n ,P,2026-11-30,,\n", `line 3, column "License ID": This column is empty`},
		"no date":               {head + "L,P,11/12/2026,,\n", `line 2, column "End date": “11/12/2026” is no date: write it as 2026-11-30`},
		"no end":                {head + "L,P,,,\n", `line 2, column "End date": This column is empty`},
		"ends before it starts": {head + "L,P,2026-01-01,2026-02-01,\n", `line 2, column "End date": It ends before it starts`},
		"the same twice":        {head + "L,P,2026-11-30,,\n\nL,P,2026-11-30,,\n", `line 4: “L” is in the file already, in line 2`},
		"neither yes nor no":    {head + "L,P,2026-11-30,,perhaps\n", `line 2, column "Capped": “perhaps” is neither yes nor no`},
		"a country's name":      {"User ID,Country\nu,Germany\n", `line 2, column "Country": “GERMANY” is no country’s code`},
		"a quotation mark":      {head + "L,P,2026-11-30,,\nM,\"P,2026-11-30,,\n", `line 3`},
		"too long":              {head + strings.Repeat("L", 300) + ",P,2026-11-30,,\n", `line 2, column "License ID": This is longer than 256 bytes`},
		"control characters":    {"User ID,Country\nu\x07,DE\n", `line 2, column "User ID": This is longer than 256 bytes or has characters`},
		"not UTF-8":             {"User ID,Country,Name\nu,DE,x\nv,DE,J\xfcrgen\n", `line 3: This is not UTF-8. Save`},
		"no text":               {"User ID,Country\nu,DE\x00\n", "f.csv: It is no text file"},
		"too large":             {strings.Repeat("x", MaxBytes+1), "f.csv: The file has more than 64 MB"},
	} {
		if f, err := Read("f.csv", []byte(test.text), "utf-8"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v; want %q", name, f, err, test.want)
		}
	}
}

// All rows that are bad are told, as far as anybody would read them.
func TestEveryBadRowIsTold(t *testing.T) {
	_, err := Read("f.csv", []byte("sep=;\nUser ID;Country\n;DE\nu1;Germany\nu2;DE\n;x\"y\nu2;FR\n=u3;\n"), UTF8)
	want := "f.csv, line 3, column \"User ID\": This column is empty.\n" +
		"f.csv, line 4, column \"Country\": “GERMANY” is no country’s code of two letters, like DE.\n" +
		"f.csv, line 6: A quotation mark is in the wrong place: put the whole value in quotes, and double those in it.\n" +
		"f.csv, line 7: “u2” is in the file already, in line 5."
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var f Faults
	if _, err = Read("f.csv", []byte("User ID,Country\n"+strings.Repeat(",\n,DE\n", 100)), UTF8); !errors.As(err, &f) || len(f) != maxFaults || f[0].Line != 3 {
		t.Errorf("got %d faults, %v; want %d", len(f), err, maxFaults)
	}
}

// What is said to be in no encoding is taken for UTF-8 wherever it can be.
func TestAnEncodingIsGuessed(t *testing.T) {
	for text, want := range map[string]string{"J\xfcrgen \x80": "Jürgen €", "Jürgen": "Jürgen", "\x81rgen": ""} {
		f, err := Read("users.csv", []byte("User ID,Country,Name\nu,DE,"+text+"\n"), Guess)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "not in windows-1252") {
				t.Errorf("%q: got %v, %v", text, f, err)
			}
		} else if err != nil || f.Records[0].Name != want {
			t.Errorf("%q: got %v, %v; want %q", text, f, err, want)
		}
	}
}

func FuzzPortalFile(f *testing.F) {
	f.Add([]byte("License ID,Product ID,End date,Start date,Capped\nL,P,2026-11-30,,yes\n"))
	f.Add([]byte("User ID;Country;Name\nu;DE;\"a\"\"b\"\n"))
	f.Add([]byte("\xff\xfeU\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read("f.csv", data, "utf-8")
		if err != nil {
			return
		}
		for _, r := range file.Records {
			if r.ID == "" || len(r.ID) > 256 || r.Kind == "license" && (r.Product == "" || !r.Ends.After(r.Starts)) || r.Capped == "no" {
				t.Errorf("got %+v", r)
			}
		}
	})
}
