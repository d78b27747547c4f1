package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"sitegate/emulator"
	"sitegate/load"
	"sitegate/load/desk"
	"sitegate/siteca"
	"sitegate/upstream/cloudapi"
)

// hubSite is a bench hub in a process of its own, and an issuer for its users.
type hubSite struct {
	addr  string
	tls   *tls.Config // nil: in the clear
	users []desk.User

	told   string // address that things are said at
	http   *http.Client
	server *emulator.Server
	cmd    *exec.Cmd
	done   chan struct{}
	log    string
	remove func()
}

// newHub starts it. close ends it, also after an error.
func newHub(ctx context.Context, o *benchFlags, users int, secure bool) (*hubSite, error) {
	h := &hubSite{remove: func() {}, http: &http.Client{Timeout: callPatience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	dir, remove, err := tempDir()
	if err != nil {
		return h, err
	}
	h.remove, h.log = remove, filepath.Join(dir, "hub.log")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return h, fmt.Errorf("listening for the issuer: %w", err)
	}
	issuer := "https://" + ln.Addr().String()
	cloud := &emulator.Emulator{Issuer: issuer, TokenTTL: benchToken}
	if h.server, err = emulator.Serve(ln, cloud, "127.0.0.1"); err != nil {
		return h, err
	}
	caFile := filepath.Join(dir, "issuer-ca.pem")
	if err := os.WriteFile(caFile, h.server.CAPEM, 0o600); err != nil {
		return h, fmt.Errorf("writing what the hub needs: %w", err)
	}
	if secure {
		if err := h.certify(dir); err != nil {
			return h, err
		}
	}
	for i := range users {
		cloud.PutUser(cloudapi.User{ID: benchUser(i), Country: "DE"})
		token, err := cloud.UserToken(issuer, benchUser(i), benchToken)
		if err != nil {
			return h, err
		}
		h.users = append(h.users, desk.User{Token: token})
	}
	ports, err := freePorts(2)
	if err != nil {
		return h, err
	}
	h.addr, h.told = ports[0], ports[1]
	o.tell("starting a hub for %s", count(users, "client"))
	return h, h.start(ctx, "--dir", dir, "--issuer", issuer, "--issuer-ca", caFile, "--listen", h.addr, "--publish", h.told,
		"--users", strconv.Itoa(users), "--tls="+strconv.FormatBool(secure))
}

// certify makes a certificate for the hub, which its clients trust.
func (h *hubSite) certify(dir string) error {
	ca, err := siteca.New("bench", time.Now())
	if err != nil {
		return err
	}
	cert, key, err := ca.Issue("hub", []string{"127.0.0.1"}, false, time.Now())
	if err != nil {
		return err
	}
	h.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	h.tls.RootCAs.AppendCertsFromPEM(ca.CertPEM())
	return errors.Join(os.WriteFile(filepath.Join(dir, hubCert), cert, 0o600), os.WriteFile(filepath.Join(dir, hubKey), key, 0o600))
}

func (h *hubSite) start(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	out, err := os.Create(h.log)
	if err != nil {
		return fmt.Errorf("opening the log of the hub: %w", err)
	}
	defer out.Close() // the child has its own
	h.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, append([]string{"bench", "hub"}, args...)...)
	h.cmd.Stdout, h.cmd.Stderr = out, out
	h.cmd.WaitDelay = 10 * time.Second
	if err := h.cmd.Start(); err != nil {
		return fmt.Errorf("starting the hub: %w", err)
	}
	h.done = make(chan struct{})
	go func() {
		h.cmd.Wait() // how it ended is in its log
		close(h.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	var ended error
	err = until(ctx, func() error {
		select {
		case <-h.done:
			ended = errors.New("the hub has ended")
			return nil
		default:
		}
		return h.post(ctx, "/collect")
	})
	return errors.Join(err, ended)
}

// publish tells a user something of so many bytes, or everybody.
func (h *hubSite) publish(ctx context.Context, user string, size int) error {
	return h.post(ctx, "/?"+url.Values{"user": {user}, "size": {strconv.Itoa(size)}}.Encode())
}

func (h *hubSite) post(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.told+path, nil)
	if err != nil {
		return err
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the hub answered %s", resp.Status)
	}
	return nil
}

// resident is the memory of the hub in bytes, after it has given back what it can.
func (h *hubSite) resident(ctx context.Context) (uint64, error) {
	for range 2 {
		if err := h.post(ctx, "/collect"); err != nil {
			return 0, err
		}
	}
	return load.ProcessRSS(h.cmd.Process.Pid), nil
}

// explain adds the end of the hub's log to an error.
func (h *hubSite) explain(err error) error {
	if b, readErr := os.ReadFile(h.log); readErr == nil && len(b) > 0 {
		err = fmt.Errorf("%w\n\nThe log of the hub:\n%s", err, b[max(0, len(b)-4096):])
	}
	return err
}

func (h *hubSite) close() {
	if h.done != nil {
		h.cmd.Process.Kill()
		<-h.done
	}
	if h.server != nil {
		h.server.Close()
	}
	h.remove()
}
