package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/siteca"
)

// rsyslog is Debian's log server, which listens by UDP, TCP, TLS and at a socket.
type rsyslog struct {
	t       *testing.T
	log     map[string]configs.Log // by network
	written string                 // by it
	said    bytes.Buffer           // by it, when it has ended
}

// newRsyslog starts one. Where it is not installed the test is skipped, or fails where it must not be.
func newRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/rsyslogd") // which users have in no path
	}
	drivers, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_gtls.so")
	without := func(why string, args ...any) {
		t.Helper()
		if os.Getenv("SITEGATE_TEST_RSYSLOG_MUST") != "" {
			t.Fatalf(why, args...)
		}
		t.Skipf(why, args...)
	}
	if err != nil || len(drivers) == 0 {
		without("it needs Debian's rsyslog and rsyslog-gnutls")
	}
	dir, err := os.MkdirTemp("", "rsyslog") // a socket's path is to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// It opens its ports itself. An address that nobody else has keeps them free, below those that the system gives out.
	host := make([]byte, 3)
	if _, err := rand.Read(host); err != nil {
		t.Fatal(err)
	}
	address := net.IPv4(127, 1+host[0]%254, host[1], 1+host[2]%254).String()
	ca, err := siteca.New("logs", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("logs", []string{address}, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &rsyslog{t: t, written: filepath.Join(dir, "written"), log: map[string]configs.Log{}}
	for name, data := range map[string][]byte{"ca.pem": ca.CertPEM(), "cert.pem": cert, "key.pem": key, "rsyslog.conf": fmt.Appendf(nil, `
global(workDirectory="%[1]s" defaultNetstreamDriverCAFile="%[1]s/ca.pem" defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imuxsock" sysSock.use="off")
module(load="imudp")
module(load="imtcp")
template(name="fields" type="list" option.jsonf="on") {
	property(outname="from" name="inputname" format="jsonf")
	property(outname="facility" name="syslogfacility-text" format="jsonf")
	property(outname="severity" name="syslogseverity-text" format="jsonf")
	property(outname="version" name="protocol-version" format="jsonf")
	property(outname="host" name="hostname" format="jsonf")
	property(outname="program" name="programname" format="jsonf")
	property(outname="process" name="procid" format="jsonf")
	property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
	property(outname="text" name="msg" format="jsonf")
}
ruleset(name="write") { action(type="omfile" file="%[1]s/written" template="fields") }
input(type="imuxsock" socket="%[1]s/log" ruleset="write" usePIDFromSystem="off")
input(type="imudp" name="udp" address="%[2]s" port="20514" ruleset="write")
input(type="imtcp" name="tcp" address="%[2]s" port="20515" ruleset="write")
input(type="imtcp" name="tls" address="%[2]s" port="20516" ruleset="write" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
`, dir, address)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for network, at := range map[string]string{"unix": "unix://" + filepath.Join(dir, "log"), "udp": "udp://" + address + ":20514", "tcp": "tcp://" + address + ":20515", "tls": "tls://" + address + ":20516"} {
		c := configs.Default().Log
		c.Target, c.Syslog = configs.LogSyslog, at
		if network == "tls" {
			c.SyslogCAFile = filepath.Join(dir, "ca.pem")
		}
		r.log[network] = c
	}
	if out, err := exec.Command(program, "-N1", "-f", filepath.Join(dir, "rsyslog.conf")).CombinedOutput(); err != nil {
		t.Skipf("this rsyslog is another one, or may not read there: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "-n", "-f", filepath.Join(dir, "rsyslog.conf"), "-i", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = &r.said, &r.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("rsyslogd said: %s", r.said.String())
		}
	})
	return r
}

// logged is a message as rsyslog has understood it.
type logged struct{ From, Facility, Severity, Version, Host, Program, Process, Time, Text string }

// with waits for the message that has a text, and calls meanwhile now and then, if that is not nil.
func (r *rsyslog) with(text string, meanwhile func()) logged {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		b, _ := os.ReadFile(r.written) // which need not be there yet
		for line := range strings.Lines(string(b)) {
			var m logged
			if strings.Contains(line, text) && json.Unmarshal([]byte(line), &m) == nil {
				return m
			}
		}
		if time.Now().After(end) {
			r.t.Fatalf("rsyslog has not written %q within a minute; it has\n%s", text, b)
		}
		if meanwhile != nil {
			meanwhile()
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Debian's rsyslog takes a node's log as it is meant, by each way that there is: who says it, how grave it is, when, and what.
func TestRsyslogTakesTheLog(t *testing.T) {
	r := newRsyslog(t)
	for network, c := range r.log {
		for _, format := range []string{"text", "json"} {
			t.Run(network+" "+format, func(t *testing.T) {
				c.Format = format
				var stderr bytes.Buffer
				var lost atomic.Uint64
				to, err := newSyslog(c, &stderr, &lost)
				if err != nil {
					t.Fatal(err)
				}
				to.first, to.flush = 10*time.Millisecond, time.Minute
				go to.run()
				log := slog.New(to.handler(c)).With("by", network+"-"+format)
				r.t = t
				// What comes before it listens, by datagrams, is nobody's.
				first := network + " " + format + " is there"
				r.with(first, func() { log.Info(first) })
				for _, x := range []struct {
					say      func(string, ...any)
					severity string
				}{{log.Error, "err"}, {log.Warn, "warning"}, {log.Info, "info"}} {
					what := network + " " + format + " " + x.severity
					begun := time.Now()
					x.say(what, "user", "Ädä \"the\" b\nc\\d")
					got := r.with(what, nil)
					want := fmt.Sprintf(`msg=%q by=%s-%s user="Ädä \"the\" b\nc\\d"`, what, network, format)
					if format == "json" {
						want = fmt.Sprintf(`"msg":%q,"by":"%s-%s","user":"Ädä \"the\" b\nc\\d"}`, what, network, format)
						var v map[string]any
						if err := json.Unmarshal([]byte(strings.TrimPrefix(got.Text, " ")), &v); err != nil {
							t.Errorf("%q is no JSON: %v", got.Text, err)
						}
					}
					version := "1"
					if network == "unix" {
						version = "0" // as syslog(3) writes
					}
					at, err := time.Parse(time.RFC3339, got.Time)
					if got.Facility != "daemon" || got.Severity != x.severity || got.Program != "sitegate" || got.Process != fmt.Sprint(os.Getpid()) || got.Version != version ||
						err != nil || at.Before(begun.Add(-2*time.Second)) || at.After(time.Now().Add(2*time.Second)) || !strings.HasSuffix(got.Text, want) {
						t.Errorf("got %+v (%v), want %s of sitegate by daemon, with %s", got, err, x.severity, want)
					}
				}
				// A long line comes as one, cut where it is said to be.
				long := network + "-" + format + "-long"
				log.Info(long + strings.Repeat("ü", syslogLine))
				most := syslogLine
				if network == "udp" {
					most = syslogDatagram
				}
				if got := r.with(long, nil); len(got.Text) < most-200 || len(got.Text) > most || strings.ContainsRune(got.Text, '�') {
					t.Errorf("%d bytes of a long line came, want up to %d, whole letters", len(got.Text), most)
				}
				log.Info(network + " " + format + " goes on")
				r.with(network+" "+format+" goes on", nil)
				to.close()
				if lost.Load() != 0 || stderr.Len() != 0 {
					t.Errorf("%d lines lost: %s", lost.Load(), stderr.String())
				}
			})
		}
	}
}
