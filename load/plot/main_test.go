package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

const runs = `{"name":"store","cpu_us_per_op":20,"more":{"nodes":3,"open":1000}}
{"name":"store","cpu_us_per_op":24,"more":{"nodes":3,"open":1000}}
{"name":"store","cpu_us_per_op":22,"more":{"nodes":3,"open":1000}}
{"name":"store","cpu_us_per_op":23,"more":{"nodes":3,"open":100000}}
{"name":"store","cpu_us_per_op":41,"more":{"nodes":5,"open":1000}}
`

func TestRunsBecomeAPicture(t *testing.T) {
	all, err := read(strings.NewReader(runs))
	if err != nil || len(all) != 2 || all[0].nodes != 3 || all[0].points[0] != (point{1000, 22, 20, 24}) || all[1].points[0].cost != 41 {
		t.Fatalf("got %+v, %v; want two series, the first with the median 22 of 20 to 24", all, err)
	}
	var out strings.Builder
	if err := plot(strings.NewReader(runs), &out); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(out.String()))
	circles := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 3 || !strings.Contains(out.String(), "5 nodes") || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d points in\n%s\nwant three", circles, out.String())
	}
}

func TestWhatIsNoRunIsRefused(t *testing.T) {
	for _, in := range []string{"", "x", `{"name":"starts","cpu_us_per_op":20}`} {
		if err := plot(strings.NewReader(in), io.Discard); err == nil {
			t.Errorf("%q was drawn", in)
		}
	}
}
