package endpoint

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// helloOf is the first record that Go's client of TLS sends.
func helloOf(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() // it ends with the pipe
	}()
	head := make([]byte, recordHead)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	record := append(head, make([]byte, binary.BigEndian.Uint16(head[3:]))...)
	if _, err := io.ReadFull(server, record[recordHead:]); err != nil {
		t.Fatal(err)
	}
	server.Close()
	<-done
	return record
}

// withExtension is a hello with one more extension.
func withExtension(hello []byte, number uint16, data []byte) []byte {
	b := slices.Clone(hello)
	b = binary.BigEndian.AppendUint16(b, number)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	b = append(b, data...)
	more := 4 + len(data)
	grow := func(at int) { binary.BigEndian.PutUint16(b[at:], binary.BigEndian.Uint16(b[at:])+uint16(more)) }
	grow(3)              // the record
	grow(recordHead + 2) // the lower half of the message's length
	at := recordHead + 4 + 2 + 32
	at += 1 + int(b[at])
	at += 2 + int(binary.BigEndian.Uint16(b[at:]))
	at += 1 + int(b[at])
	grow(at)
	return b
}

// split is a hello in two records.
func split(hello []byte) []byte {
	const at = 40
	one, two := hello[recordHead:recordHead+at], hello[recordHead+at:]
	b := append([]byte{typeHandshake, 3, 1, 0, at}, one...)
	b = binary.BigEndian.AppendUint16(append(b, typeHandshake, 3, 1), uint16(len(two)))
	return append(b, two...)
}

func TestTheNamesInAClientHello(t *testing.T) {
	hello := helloOf(t, "login.vendor.example")
	for what, tt := range map[string]struct {
		in    []byte
		names []string
		ech   bool
	}{
		"one":           {hello, []string{"login.vendor.example"}, false},
		"more after it": {append(slices.Clone(hello), "more"...), []string{"login.vendor.example"}, false},
		"none":          {helloOf(t, ""), nil, false},
		"ech":           {withExtension(hello, echExtension, []byte{0, 1}), []string{"login.vendor.example"}, true},
		"two":           {withExtension(hello, nameExtension, append([]byte{0, 6, 0, 0, 3}, "a.b"...)), []string{"login.vendor.example", "a.b"}, false},
		"split":         {split(hello), nil, false},
		"cut":           {hello[:len(hello)-1], nil, false},
		"nothing":       {nil, nil, false},
		"HTTP":          {[]byte("GET / HTTP/1.1\r\n\r\n"), nil, false},
	} {
		if names, ech := helloNames(tt.in); !slices.Equal(names, tt.names) || ech != tt.ech {
			t.Errorf("%s: got %q, %t, want %q, %t", what, names, ech, tt.names, tt.ech)
		}
	}
}

// What names another host than the one that was asked for does not get to it, and leaves one
// line; what names that one, or none, or is no TLS, passes unchanged.
func TestATunnelIsForTheHostThatWasAskedFor(t *testing.T) {
	d := newDoor(t, &wayOut{to: target(t, echo)})
	own, other := helloOf(t, "LOGIN.vendor.example"), helloOf(t, "other.vendor.example")
	greased := withExtension(own, echExtension, []byte{0, 1, 2})
	for what, b := range map[string][]byte{"its name": own, "its name, and ech": greased, "no name": helloOf(t, ""), "split": split(other), "no TLS": []byte("SSH-2.0-x\r\n"),
		"a longer record than there are": append([]byte{typeHandshake, 3, 1, 0xff, 0xff}, "x"...), "another version": {typeHandshake, 9, 9}} {
		for early := range 2 {
			sent := ""
			if early == 1 {
				sent = string(b)
			}
			c, rd, head, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", sent)
			if head != established {
				t.Fatalf("%s: answered %q", what, head)
			}
			if early == 0 {
				for piece := range slices.Chunk(b, 100) {
					if _, err := c.Write(piece); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := make([]byte, len(b))
			if _, err := io.ReadFull(rd, got); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: %d bytes came back, %v, want %d unchanged", what, len(got), err, len(b))
			}
			c.Close()
		}
	}
	for i, b := range [][]byte{other, withExtension(helloOf(t, "public.example"), echExtension, []byte{0, 1})} {
		c, rd, head, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", "")
		if head != established {
			t.Fatalf("answered %q", head)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(rd); len(got) != 0 { // it is closed, or reset
			t.Errorf("%d bytes came back, want none", len(got))
		}
		eventually(t, "one line tells why", func() bool { return d.lines("tunnel closed", `"reason":"sni_mismatch"`) == i+1 })
		eventually(t, "it is counted", func() bool { return d.r.metric(t, "sitegate_tunnels_total", "result=sni_mismatch") == float64(i+1) })
	}
	if log := d.r.log.String(); !strings.Contains(log, `"up":0,`) || !strings.Contains(log, `"sni":"other.vendor.example","ech":false`) || !strings.Contains(log, `"sni":"public.example","ech":true`) {
		t.Errorf("the lines do not tell the name: %s", log)
	}
}

// A client that says half a record and no more is passed on as it is, after a while; one that
// says nothing is idle.
func TestAHelloThatDoesNotEnd(t *testing.T) {
	for _, said := range [][]byte{nil, {typeHandshake, 3}, {typeHandshake, 3, 1, 2, 0, 1}} {
		synctest.Test(t, func(t *testing.T) {
			client, down := net.Pipe()
			server, up := net.Pipe()
			defer client.Close()
			defer server.Close()
			over := make(chan struct{})
			p := &pipe{down: down, up: up, host: "login.vendor.example", idle: 10 * time.Minute, life: 12 * time.Hour, over: func() { close(over) }}
			begun := time.Now()
			p.start(t.Context(), nil)
			if len(said) > 0 {
				if _, err := client.Write(said); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(said))
				if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, said) || time.Since(begun) != helloTime {
					t.Errorf("%x came as %x, %v after %v, want it after %v", said, got, err, time.Since(begun), helloTime)
				}
			}
			<-over
			if took := time.Since(begun); p.reason != pipeIdle || took < p.idle || took > 2*p.idle {
				t.Errorf("it ended after %v for %q, want %q after %v to %v", took, p.reason, pipeIdle, p.idle, 2*p.idle)
			}
		})
	}
}

func FuzzHelloNames(f *testing.F) {
	hello := helloOf(f, "login.vendor.example")
	f.Add(hello)
	f.Add(split(hello))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if left := recordLeft(b); left < 0 || left > recordHead+maxRecord {
			t.Errorf("%d bytes are left of a record", left)
		}
		names, _ := helloNames(b)
		for _, n := range names {
			if !bytes.Contains(b, []byte(n)) {
				t.Errorf("the name %q is not in it", n)
			}
		}
	})
}
