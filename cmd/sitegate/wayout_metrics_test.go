package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/emulator/proxy"
	"sitegate/upstream/egress"
)

// What the way out does is in the metrics, from the first attempt to the secret that is not sent any more.
func TestMetricsOfTheWayOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := proxy.Start(ln, proxy.Config{Users: map[string]string{"svc": "right"}, Hosts: map[string]string{"a.test:1": ln.Addr().String()}})
	defer p.Close()
	dir := t.TempDir()
	password, pac := filepath.Join(dir, "password"), filepath.Join(dir, "proxy.pac")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(password, "wrong")
	write(pac, "function FindProxyForURL(u, h) { return 'PROXY "+p.Addr()+"; PROXY 127.0.0.1:9' }")
	d, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Name: "main", Address: p.Addr(), Username: "svc", PasswordFile: password}}, PAC: &egress.PAC{File: pac}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newWayOutMetrics(d))
	dial := func() {
		if c, err := d.DialContext(t.Context(), "tcp", "a.test:1"); err == nil {
			c.Close()
		}
	}
	gather := func() map[string]float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				name := strings.TrimPrefix(f.GetName(), "sitegate_egress_")
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				found[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return found
	}
	wants := func(found map[string]float64, want map[string]float64) {
		t.Helper()
		for name, v := range want {
			if got, there := found[name]; !there || got != v {
				t.Errorf("%s is %v (there: %t), want %v", name, got, there, v)
			}
		}
	}
	wants(gather(), map[string]float64{"secret_stopped main": 0, "secret_stops_total": 0, "proxy_state main unknown": 1, "proxy_state pac unknown": 1})
	for range 3 {
		dial()
	}
	found := gather()
	wants(found, map[string]float64{"attempts_total main proxy_auth_rejected": 3, "secret_stopped main": 1, "secret_stops_total": 1, "proxy_state main locked": 1,
		"proxy_state main well": 0, "proxy_state pac well": 1, "proxy_rest_seconds main": 0})
	if age, there := found["pac_age_seconds"]; !there || age < 0 || age > 60 {
		t.Errorf("the PAC file's age is %v (there: %t), want that of a file just read", age, there)
	}
	if wait := found["secret_wait_seconds main"]; wait <= 0 || wait > 600 {
		t.Errorf("the secret waits for %v s, want ten minutes", wait)
	}
	for name := range found {
		if strings.Contains(name, "127.0.0.1") {
			t.Errorf("%s has a label that the PAC file has made", name)
		}
	}
	write(password, "right")
	dial()
	wants(gather(), map[string]float64{"attempts_total main ok": 1, "secret_stopped main": 0, "secret_wait_seconds main": 0, "proxy_state main well": 1})
}
