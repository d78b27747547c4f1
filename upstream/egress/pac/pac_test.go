package pac_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/upstream/egress/pac"
)

// at is a Wednesday.
var at = time.Date(2026, time.November, 18, 14, 30, 15, 0, time.FixedZone("", 3600))

func lookup(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "db.corp.test":
		return []netip.Addr{netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("10.1.2.3")}, nil
	case "six.corp.test":
		return []netip.Addr{netip.MustParseAddr("2001:db8::6")}, nil
	}
	return nil, errors.New("no such name")
}

func compile(t *testing.T, src string, timeout time.Duration) *pac.Script {
	t.Helper()
	s, err := pac.Compile([]byte(src), pac.Config{Timeout: timeout, Lookup: lookup, Now: func() time.Time { return at }, Own: func() netip.Addr { return netip.MustParseAddr("192.0.2.44") }})
	if err != nil {
		t.Fatalf("%v in %s", err, src)
	}
	return s
}

func TestFunctions(t *testing.T) {
	for expression, want := range map[string]string{
		`shExpMatch("www.corp.test", "*.corp.test")`:             "true",
		`shExpMatch("corp.test", "*.corp.test")`:                 "false",
		`shExpMatch("abc", "a?c")`:                               "true",
		`shExpMatch("a.c", "a+c")`:                               "false",
		`shExpMatch("http://h/x.pac", "*://h/*")`:                "true",
		`dnsDomainIs("www.Corp.test", ".corp.TEST")`:             "true",
		`dnsDomainIs("www.corp.test", ".test.corp")`:             "false",
		`isPlainHostName("www")`:                                 "true",
		`isPlainHostName("www.corp.test")`:                       "false",
		`localHostOrDomainIs("www", "www.corp.test")`:            "true",
		`localHostOrDomainIs("www.other.test", "www.corp.test")`: "false",
		`dnsDomainLevels("www.corp.test")`:                       "2",
		`isInNet("10.1.2.3", "10.0.0.0", "255.0.0.0")`:           "true",
		`isInNet("db.corp.test", "10.1.0.0", "255.255.0.0")`:     "true",
		`isInNet("db.corp.test", "10.2.0.0", "255.255.0.0")`:     "false",
		`isInNet("none.test", "0.0.0.0", "0.0.0.0")`:             "false",
		`isInNet("10.1.2.3", "nonsense", "255.0.0.0")`:           "false",
		`dnsResolve("db.corp.test")`:                             "10.1.2.3",
		`dnsResolve("six.corp.test")`:                            "2001:db8::6",
		`dnsResolve("none.test")`:                                "null",
		`isResolvable("db.corp.test")`:                           "true",
		`isResolvable("none.test")`:                              "false",
		`myIpAddress()`:                                          "192.0.2.44",
		`weekdayRange("WED")`:                                    "true",
		`weekdayRange("MON", "FRI")`:                             "true",
		`weekdayRange("sat", "mon", "GMT")`:                      "false",
		`weekdayRange("FRI", "WED")`:                             "true",
		`weekdayRange("FRY")`:                                    "false",
		`dateRange(18)`:                                          "true",
		`dateRange("NOV")`:                                       "true",
		`dateRange(2025)`:                                        "false",
		`dateRange("OCT", "DEC")`:                                "true",
		`dateRange("DEC", "FEB")`:                                "false",
		`dateRange("NOV", "FEB")`:                                "true",
		`dateRange(1, "JUN", 15, "AUG")`:                         "false",
		`dateRange(24, "OCT", 2026, 18, "NOV", 2026)`:            "true",
		`dateRange("JAN", 2026, "OCT", 2026)`:                    "false",
		`dateRange(2026, 2027)`:                                  "true",
		`dateRange(99, "NOV")`:                                   "false",
		`timeRange(14)`:                                          "true",
		`timeRange(13, "GMT")`:                                   "true",
		`timeRange(8, 14)`:                                       "true",
		`timeRange(22, 6)`:                                       "false",
		`timeRange(14, 30, 15, 0)`:                               "true",
		`timeRange(14, 31, 15, 0)`:                               "false",
		`timeRange(14, 30, 15, 14, 30, 15)`:                      "true",
		`timeRange("x")`:                                         "false",
		`typeof eval + typeof Function + typeof JSON + typeof (() => 1).constructor + typeof (function* () {}).constructor`:                                    "undefinedundefinedundefinedundefinedundefined",
		`new RegExp("^a+$").test("aaa") + String(RegExp("b") instanceof RegExp) + /x/.constructor("y").test("y") + "abc".match("b").index + "abc".search(/c/)`: "truetruetrue12",
		`(function () { var s = "(((("; while (s.length < 1e4) s += s; try { return new RegExp(s) } catch (e) { return e.name } })()`:                          "RangeError",
		`alert("hello")`:                                                                                 "undefined",
		`typeof ArrayBuffer + typeof Uint8Array`:                                                         "undefinedundefined",
		`["a", "b"].join(",") + "ab".repeat(2) + "x".padStart(3, "-")`:                                   "a,babab--x",
		`"a.b".replace(".", "-") + [1].concat([2]).length`:                                               "a-b2",
		`((x) => ` + "`${x}`" + `)("es6") + /(?<=a)b/.test("ab")`:                                        "es6true",
		`(function () { try { return "x".repeat(1e9).length } catch (e) { return e.name } })()`:          "RangeError",
		`(function () { try { return new Array(1e9).join("x").length } catch (e) { return e.name } })()`: "RangeError",
	} {
		// The value comes back as the name of a way that is not known, which the error repeats.
		s := compile(t, fmt.Sprintf(`function FindProxyForURL(url, host) { return "SAYS " + String(%s) }`, expression), 0)
		_, err := s.Find(t.Context(), "https://h/", "h")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", "SAYS "+want)) {
			t.Errorf("%s: got %v, want %s", expression, err, want)
		}
	}
}

func TestResults(t *testing.T) {
	for in, want := range map[string]string{
		"DIRECT":                                "[{direct }]",
		"PROXY P1.corp.test:8080; DIRECT":       "[{http p1.corp.test:8080} {direct }]",
		"proxy p1 ; HTTPS p2:8443;SOCKS s:1081": "[{http p1:80} {https p2:8443} {socks5 s:1081}]",
		"SOCKS4 s:1080; HTTP [2001:db8::1]:99":  "[{http [2001:db8::1]:99}]",
		";; PROXY p1:8080 ;":                    "[{http p1:8080}]",
		"":                                      "not taken for a direct connection",
		"SOCKS4 s:1080":                         "no way that is known",
		"DIRECT now":                            "no way that is known",
		"PROXY u:p@p1:8080":                     "no way that is known",
		"PROXY p1:0":                            "no way that is known",
		"PROXY p1:http":                         "no way that is known",
		"PROXY p1\r\nX: y:80":                   "no way that is known",
		strings.Repeat("DIRECT;", 17):           "more than 16 entries",
		strings.Repeat("x", 5000):               "too long",
	} {
		list, err := pac.Parse(in)
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%.60q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("PROXY p1:8080; HTTPS [2001:db8::1]:99; DIRECT")
	f.Add("SOCKS s;;PROXY a:b")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := pac.Parse(s)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%q: got %v, %v", s, list, err)
		}
		for _, e := range list {
			if (e.Kind == pac.Direct) != (e.Address == "") || strings.ContainsAny(e.Address, " \r\n@/;") {
				t.Errorf("%q: got %+v", s, e)
			}
		}
	})
}

// Whatever a file is, it compiles or it does not.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(`function FindProxyForURL(url, host) { return "DIRECT" }`))
	f.Add([]byte("\xff\xfef\x00"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if s, err := pac.Compile(src, pac.Config{}); (s == nil) == (err == nil) {
			t.Errorf("%q: got %v, %v", src, s, err)
		}
	})
}

// The URL and the host are values, whatever is in them.
func TestNothingIsInjected(t *testing.T) {
	s := compile(t, `function FindProxyForURL(url, host) { return url === "http://a/');(function(){return 'PROXY attacker:1'})('" && host === "a\"+x" ? "PROXY good:1" : "PROXY bad:1" }`, 0)
	got, err := s.Find(t.Context(), `http://a/');(function(){return 'PROXY attacker:1'})('`, `a"+x`)
	if err != nil || fmt.Sprint(got) != "[{http good:1}]" {
		t.Errorf("got %v, %v, want [{http good:1}]", got, err)
	}
}

func TestFilesThatAreNoGood(t *testing.T) {
	for src, want := range map[string]string{
		"<html>Sign in</html>":             "web page",
		"function (":                       "no JavaScript",
		strings.Repeat("(", 100_000):       "nested",
		strings.Repeat("a=>", 100_000):     "nested",
		strings.Repeat(" ", pac.MaxFile+1): "larger",
	} {
		if _, err := pac.Compile([]byte(src), pac.Config{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q", src, err, want)
		}
	}
	for src, want := range map[string]string{
		`var x = 1`: "no function FindProxyForURL",
		`function FindProxyForURL() { throw new Error("out of order") }`:             "out of order",
		`function FindProxyForURL() { return null }`:                                 "gives no text",
		`function FindProxyForURL() { }`:                                             "gives no text",
		`function FindProxyForURL() { return {toString: function () {return "x"}} }`: "gives no text",
		`function FindProxyForURL() { return "x".repeat(60000) }`:                    "too much",
		`function FindProxyForURL() { return FindProxyForURL() }`:                    "calls itself",
		`throw "at once"; function FindProxyForURL() { return "DIRECT" }`:            "at once",
	} {
		if _, err := compile(t, src, 0).Find(t.Context(), "https://h/", "h"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

func TestOldEncodings(t *testing.T) {
	const src = `function FindProxyForURL(u, h) { return "ü" === "\u00fc" ? "PROXY p:1" : "PROXY wrong:1" }`
	utf16 := []byte{0xfe, 0xff}
	for _, r := range src {
		utf16 = append(utf16, byte(r>>8), byte(r))
	}
	for name, b := range map[string][]byte{"UTF-8": []byte(src), "UTF-8 with a mark": []byte("\ufeff" + src), "UTF-16": utf16, "Latin-1": []byte(strings.ReplaceAll(src, "ü", "\xfc"))} {
		s, err := pac.Compile(b, pac.Config{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := s.Find(t.Context(), "https://h/", "h"); err != nil || got[0].Address != "p:1" {
			t.Errorf("%s: got %v, %v, want p:1", name, got, err)
		}
	}
}

func TestEndlessLoop(t *testing.T) {
	for _, src := range []string{
		`function FindProxyForURL(url, host) { while (host === "loop") {} return "PROXY p:1" }`,
		`while (true) {} function FindProxyForURL(url, host) { return "PROXY p:1" }`,
	} {
		s := compile(t, src, 50*time.Millisecond)
		for range 20 { // more than may run at once: they end, if not always in time for the next
			if _, err := s.Find(t.Context(), "https://loop/", "loop"); !errors.Is(err, pac.ErrTooLong) && !errors.Is(err, pac.ErrBusy) {
				t.Fatalf("%s: got %v, want %v", src, err, pac.ErrTooLong)
			}
		}
	}
}

// What does not stop is left behind, and there is an end to that, too.
func TestCallsThatDoNotStop(t *testing.T) {
	release := make(chan struct{})
	var inside atomic.Int32
	s, err := pac.Compile([]byte(`function FindProxyForURL(url, host) { if (host !== "fine") dnsResolve(host); return "PROXY p:1" }`), pac.Config{Timeout: 300 * time.Millisecond,
		Lookup: func(context.Context, string) ([]netip.Addr, error) { // deaf to its context, as an engine that is stuck is
			inside.Add(1)
			<-release
			return nil, errors.New("late")
		}})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		_, err := s.Find(t.Context(), "https://h/", fmt.Sprint("h", i))
		if errors.Is(err, pac.ErrBusy) {
			break
		}
		if !errors.Is(err, pac.ErrTooLong) || i > 200 {
			t.Fatalf("call %d: got %v, want %v, and soon %v", i+1, err, pac.ErrTooLong, pac.ErrBusy)
		}
	}
	if got := inside.Load(); got != 8 {
		t.Errorf("%d calls were left behind before none was begun any more, want 8", got)
	}
	if _, err := s.Find(t.Context(), "https://fine/", "fine"); !errors.Is(err, pac.ErrBusy) {
		t.Errorf("got %v, want %v", err, pac.ErrBusy)
	}
	close(release)
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := s.Find(t.Context(), "https://fine/", "fine")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after they have ended: got %v, want an answer", err)
		}
	}
}

func TestEndlessMemory(t *testing.T) {
	for _, body := range []string{`var a = []; for (;;) a.push({x: a.length, y: "some text " + a.length})`, `var s = "0123456789"; for (;;) s += s`} {
		s := compile(t, `function FindProxyForURL(url, host) { `+body+`; return "DIRECT" }`, time.Minute)
		if _, err := s.Find(t.Context(), "https://h/", "h"); !errors.Is(err, pac.ErrTooLarge) {
			t.Errorf("%s: got %v, want %v", body, err, pac.ErrTooLarge)
		}
	}
}

// Engines are used again, and by one call at a time.
func TestManyAtOnce(t *testing.T) {
	s := compile(t, `var n = 0; function FindProxyForURL(url, host) { n++; return "PROXY " + host + ":" + (n > 0 ? 1 : 2) }`, time.Minute)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			host := fmt.Sprintf("h%d", i)
			got, err := s.Find(t.Context(), "https://"+host+"/", host)
			if err != nil || got[0].Address != host+":1" {
				t.Errorf("%s: got %v, %v", host, got, err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkFind(b *testing.B) {
	var src strings.Builder
	src.WriteString("function FindProxyForURL(url, host) {\n")
	for i := range 60 {
		fmt.Fprintf(&src, "if (shExpMatch(host, \"*.site%d.example\") || dnsDomainIs(host, \".corp%d.example\")) return \"PROXY p%d:8080\";\n", i, i, i)
	}
	src.WriteString("return \"PROXY p:8080; DIRECT\" }")
	s, err := pac.Compile([]byte(src.String()), pac.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Find(b.Context(), "https://entitlements.example.com/", "entitlements.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
