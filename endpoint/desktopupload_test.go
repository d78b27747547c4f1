package endpoint

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/upstream/cloudapi"
)

// newUploadRig lets files go to where the stand-in takes them.
func newUploadRig(t *testing.T, change ...func(*Config)) *desktopRig {
	return newDesktopRig(t, append([]func(*Config){func(c *Config) {
		u, err := url.Parse(c.Relay.Posting)
		if err != nil {
			t.Fatal(err)
		}
		c.Relay.UploadHosts = []string{u.Host}
	}}, change...)...)
}

// place asks where a file goes; path is that at the gateway, with its signature.
func (d *desktopRig) place(t *testing.T, below string) (path string) {
	t.Helper()
	a := d.call(t, "", "GET", cloudapi.PathLocation+below+"?ultId=a-1&prdId=1234&lng=en", nil)
	var l cloudapi.Location
	if err := json.Unmarshal(a.raw, &l); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.raw)
	}
	path, ok := strings.CutPrefix(l.Endpoint, "https://licenses.example:8443/usage-files/")
	if !ok || len(l.Info.Signature) < 20 || l.ID == "" {
		t.Fatalf("got %s, want a place at this gateway, with the vendor's signature", a.raw)
	}
	return "/usage-files/" + path + l.Info.Signature
}

const sheet = "UltimateId,PrincipalId,ProductId,UsageCountryISO,FeatureString,IMSId,MachineName,ComputerSID,Username,UserSID,PolicyId,ProductVersion,ProjectId,CorrelationId,LogVersion,LogPostingSource,UsageType,StartTimeUTC,EndTimeUTC,EntryDate,PartitionId\r\n" +
	"a-1,p,1234,DE,,ada,WS-101,s,ada,s,p,1,,r-1,1,Offline,Production,a,b,c,1\r\n"

func TestUsageFilesReachThePlaceThatTheVendorNamed(t *testing.T) {
	d := newUploadRig(t)
	for i, below := range []string{cloudapi.LocationUsageLog, cloudapi.LocationFeatureLog} {
		path := d.place(t, below)
		var seen http.Header
		d.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				seen = r.Header.Clone()
			}
			return false
		})
		a := d.call(t, "", "PUT", path, sheet, header{"Content-Type": "text/csv", cloudapi.BlobTypeHeader: cloudapi.BlobType, "Authorization": "Bearer secret", "Cookie": "a=b"})
		if a.StatusCode != 201 || len(d.cloud.UsageRows()) != i+1 {
			t.Fatalf("%d %s; the vendor has %d rows, want %d", a.StatusCode, a.raw, len(d.cloud.UsageRows()), i+1)
		}
		if seen.Get("Authorization") != "" || seen.Get("Cookie") != "" || seen.Get(cloudapi.BlobTypeHeader) != cloudapi.BlobType || seen.Get("Content-Type") != "text/csv" {
			t.Errorf("the place got %v", seen)
		}
		d.breaks(nil)
		_, signature, _ := strings.Cut(path, "sig=")
		if log := d.log.String(); signature == "" || strings.Contains(log, signature) {
			t.Errorf("the signature is in the log: %s", log)
		}
	}
	if got := d.cloud.UsageRows()[0][5]; got != "ada" {
		t.Errorf("the row is of %s", got)
	}
}

// A client that puts files and posts nothing is heard of by them; by files from elsewhere,
// which anybody can make, it is not.
func TestUsageFilesRenewTheSessionsOfTheirAddress(t *testing.T) {
	d := newUploadRig(t)
	d.gives(t, d.bearer(t, "ada"), "WS-101", "1234")
	elsewhere := &http.Client{Transport: &http.Transport{TLSClientConfig: d.Client().Transport.(*http.Transport).TLSClientConfig,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}}
	t.Cleanup(elsewhere.CloseIdleConnections)
	for _, c := range []struct {
		what   string
		body   string
		by     *http.Client
		renews bool
	}{
		{"its file", sheet, d.Client(), true},
		{"one from elsewhere", sheet, elsewhere, false},
		{"another machine's", strings.ReplaceAll(sheet, "WS-101", "WS-202"), d.Client(), false},
		{"another user's", strings.ReplaceAll(sheet, ",ada,WS", ",ben,WS"), d.Client(), false},
		{"of what was checked out", strings.ReplaceAll(sheet, "Offline", "Checkout"), d.Client(), false},
	} {
		before := d.node.renewed()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, d.URL+d.place(t, cloudapi.LocationUsageLog), strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(cloudapi.BlobTypeHeader, cloudapi.BlobType)
		resp, err := c.by.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := d.node.renewed() > before; got != c.renews || resp.StatusCode != http.StatusCreated {
			t.Errorf("%s: %s, renewed is %v, want %v", c.what, resp.Status, got, c.renews)
		}
	}
}

func TestFilesGoNowhereElse(t *testing.T) {
	d := newUploadRig(t)
	path := d.place(t, cloudapi.LocationUsageLog)
	at, signature, _ := strings.Cut(path, "?")
	other := d.place(t, cloudapi.LocationUsageLog)
	_, others, _ := strings.Cut(other, "?")
	before := d.asked.Load()
	for what, path := range map[string]string{
		"no signature": at, "another one's": at + "?" + others, "more than it": path + "&comp=list", "a place nobody named": "/usage-files/ABC?" + signature, "below it": at + "/x?" + signature,
	} {
		if a := d.call(t, "", "PUT", path, sheet, header{cloudapi.BlobTypeHeader: cloudapi.BlobType}); a.StatusCode != 404 {
			t.Errorf("%s: %d %s, want 404", what, a.StatusCode, a.raw)
		}
	}
	if a := d.call(t, "", "PUT", path, strings.Repeat("x", cloudapi.MaxUsageFile+1), header{cloudapi.BlobTypeHeader: cloudapi.BlobType}); a.StatusCode != 413 {
		t.Errorf("too large: %d %s, want 413", a.StatusCode, a.raw)
	}
	if n := len(d.cloud.UsageRows()); n != 0 || d.asked.Load() != before {
		t.Errorf("the vendor has %d rows, and was asked", n)
	}

	place := func(uri string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(cloudapi.Location{Status: "success", Endpoint: uri, Info: cloudapi.LocationInfo{Signature: "?sig=very-secret"}})
			return true
		}
	}
	for uri, code := range map[string]string{
		"https://elsewhere.test/a": relayRedirected, "http://" + strings.TrimPrefix(d.vendor.URL, "https://") + "/a": relayBadAnswer,
		d.vendor.URL + "/a?b": relayBadAnswer, "https://127.0.0.1/a": relayRedirected,
	} {
		d.breaks(place(uri))
		d.withholds(t, d.call(t, "", "GET", cloudapi.PathLocation+cloudapi.LocationUsageLog+"?ultId=a", nil), 502, code)
	}
	d.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
		io.WriteString(w, `{"status":"success","epUri":"a"`)
		return true
	})
	d.withholds(t, d.call(t, "", "GET", cloudapi.PathLocation+cloudapi.LocationUsageLog+"?ultId=a", nil), 502, relayBadAnswer)
	d.breaks(nil)
	path = d.place(t, cloudapi.LocationUsageLog)
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Location", "https://elsewhere.test/a?"+r.URL.RawQuery)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	})
	d.withholds(t, d.call(t, "", "PUT", path, sheet, header{cloudapi.BlobTypeHeader: cloudapi.BlobType}), 502, relayRedirected)
	_, secret, _ := strings.Cut(path, "sig=")
	eventually(t, "a line about the last one", func() bool { return strings.Count(d.log.String(), `"reason":"`+relayRedirected) >= 1 })
	if log := d.log.String(); strings.Contains(log, "very-secret") || strings.Contains(log, secret) {
		t.Errorf("a signature is in the log: %s", log)
	}
}

func TestPlacesAreForgotten(t *testing.T) {
	p := newPlaces()
	now := time.Now()
	id := p.keep(place{until: now.Add(placeLife)})
	if _, there := p.find(id, now.Add(placeLife-time.Second)); !there {
		t.Error("it is gone too early")
	}
	if _, there := p.find(id, now.Add(placeLife)); there {
		t.Error("it is there still")
	}
	for range maxPlaces + 10 {
		p.keep(place{until: now.Add(placeLife)})
	}
	if len(p.known) > maxPlaces {
		t.Errorf("%d are remembered, want %d at most", len(p.known), maxPlaces)
	}
}

// Several people behind one address put their files at once; however slow they are, there is
// room for those of others.
func TestSlowFilesOfAnAddressLeaveRoom(t *testing.T) {
	d := newUploadRig(t)
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	roots := &tls.Config{RootCAs: d.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	begin := func() net.Conn {
		c, err := tls.DialWithDialer(from, "tcp", d.Listener.Addr().String(), roots)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.Write([]byte("PUT " + d.place(t, cloudapi.LocationUsageLog) + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nUl")); err != nil {
			t.Fatal(err)
		}
		return c
	}
	under := func() int {
		p := d.e.relay.places
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.all
	}
	var slow []net.Conn
	for i := range uploadOfAddress {
		slow = append(slow, begin())
		eventually(t, "a file of the address on its way", func() bool { return under() == i+1 })
	}
	for i := range uploadRoom {
		head := make([]byte, 4096)
		n, err := begin().Read(head)
		if err != nil || !strings.HasPrefix(string(head[:n]), "HTTP/1.1 503 ") || !strings.Contains(string(head[:n]), relayBusy) {
			t.Errorf("file %d of the same address: %v %q, want 503 %s", i+1+uploadOfAddress, err, head[:n], relayBusy)
		}
	}
	put := func() answer {
		return d.call(t, "", "PUT", d.place(t, cloudapi.LocationUsageLog), sheet, header{"Content-Type": "text/csv", cloudapi.BlobTypeHeader: cloudapi.BlobType})
	}
	if a := put(); a.StatusCode != 201 {
		t.Errorf("another address: %d %s, want 201", a.StatusCode, a.raw)
	}
	for _, c := range slow {
		c.Close()
	}
	eventually(t, "nothing on its way", func() bool { return under() == 0 })
}

func TestRoomForFilesIsBounded(t *testing.T) {
	p := newPlaces()
	at := netip.MustParseAddr
	enters := func(what, from string, want bool) {
		t.Helper()
		if got := p.enter(at(from)); got != want {
			t.Errorf("%s: %s gets room: %t, want %t", what, from, got, want)
		}
	}
	for range uploadOfAddress {
		enters("one address", "10.0.0.1", true)
	}
	enters("one address", "10.0.0.1", false)
	for i := range uploadOfNetwork - uploadOfAddress {
		enters("its network", fmt.Sprint("10.0.0.", 2+i), true)
	}
	enters("its network", "10.0.0.9", false)
	for i := range uploadRoom - uploadOfNetwork {
		enters("all", fmt.Sprint("10.0.1.", i), true)
	}
	enters("all", "10.0.2.1", false)
	p.leave(at("10.0.1.0"))
	enters("after another one has left", "10.0.0.1", false)
	enters("after another one has left", "10.0.2.1", true)
	for range uploadOfAddress {
		p.leave(at("10.0.0.1"))
	}
	enters("after its own have left", "10.0.0.1", true)
	p = newPlaces()
	for i := range uploadOfAddress {
		enters("a /64 is one address", fmt.Sprintf("2001:db8::%d", i), true)
	}
	enters("a /64 is one address", "2001:db8::99", false)
	enters("another /64", "2001:db8:0:1::1", true)
	for range uploadOfAddress {
		p.leave(at("2001:db8::"))
	}
	p.leave(at("2001:db8:0:1::1"))
	if p.all != 0 || len(p.under) != 0 {
		t.Errorf("%d files and %v are left, want none", p.all, p.under)
	}
}
