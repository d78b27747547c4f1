package client_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
)

// site is a gateway on TLS, and the configuration of a machine of Ann's there.
func site() (*httptest.Server, func(machine string) client.Config) {
	srv := httptest.NewTLSServer(&clienttest.Gateway{
		Users: map[string]string{"ann-token": "ann@site.example"}, Products: []string{"1000"},
	})
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv, func(machine string) client.Config {
		return client.Config{
			Nodes: []string{srv.URL}, Roots: roots,
			Machine: api.Machine{ID: "id-of-" + machine, Name: machine},
			Token:   func(context.Context) (string, error) { return "ann-token", nil },
		}
	}
}

func open(cfg client.Config) *client.Client {
	c, err := client.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A product holds its license while it runs.
func Example() {
	srv, machine := site()
	defer srv.Close()
	c := open(machine("WS-101"))
	defer c.Close()

	ctx := context.Background()
	s, err := c.Start(ctx, "1000", client.WithVersion("24.0.1.7"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("running with", s.License, "as", s.LicenseType)

	work := make(chan struct{})
	close(work) // done at once, in this example
	select {
	case <-work:
	case w := <-s.Warnings():
		fmt.Println("save your work within", w.Left)
	case <-s.Lost():
		fmt.Println("stop:", s.Err())
	}
	if err := s.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("given back")
	// Output:
	// running with lic-1000 as Practitioner
	// given back
}

// A refusal has a sentence for the user and a reason for the program.
func ExampleClient_Start_refused() {
	srv, machine := site()
	defer srv.Close()
	there, here := open(machine("WS-101")), open(machine("WS-202"))
	defer there.Close()
	defer here.Close()

	ctx := context.Background()
	if _, err := there.Start(ctx, "1000"); err != nil {
		log.Fatal(err)
	}
	_, err := here.Start(ctx, "1000")
	if errors.Is(err, client.ErrActiveElsewhere) {
		fmt.Println(err)
	}
	// Output:
	// It seems your Virtuoso license is active on another machine. Please close the application on "WS-101" and try again.
}

// A machine that waits is told when the other one lets go.
func ExampleClient_Wait() {
	srv, machine := site()
	defer srv.Close()
	there, here := open(machine("WS-101")), open(machine("WS-202"))
	defer there.Close()
	defer here.Close()

	ctx := context.Background()
	s, err := there.Start(ctx, "1000")
	if err != nil {
		log.Fatal(err)
	}
	w, err := here.Wait(ctx, "1000")
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	<-w.Done()
	if _, err := here.Start(ctx, "1000"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("running on WS-202")
	// Output:
	// running on WS-202
}

// Whatever happens to a user is told to all their machines.
func ExampleClient_Watch() {
	srv, machine := site()
	defer srv.Close()
	there, here := open(machine("WS-101")), open(machine("WS-202"))
	defer there.Close()
	defer here.Close()

	ctx := context.Background()
	w := there.Watch(ctx)
	<-w.Ready()
	if _, err := there.Start(ctx, "1000"); err != nil {
		log.Fatal(err)
	}
	here.Start(ctx, "1000")
	for n := range w.Notices() {
		fmt.Println(n.Kind, n.Text)
		if n.Kind == api.KindAttempted {
			break
		}
	}
	// Output:
	// granted 1000 runs on WS-101.
	// attempted WS-202 has tried to start.
}

// Token is asked before each request and each connection, and for the next token of a
// connection that is up: whoever keeps a sign-in renews it there.
func ExampleConfig_token() {
	srv, machine := site()
	defer srv.Close()
	cfg := machine("WS-101")
	signedIn := false
	cfg.Token = func(context.Context) (string, error) {
		if !signedIn {
			return "", errors.New("nobody has signed in")
		}
		return "ann-token", nil
	}
	c := open(cfg)
	defer c.Close()

	ctx := context.Background()
	if _, err := c.Me(ctx); errors.Is(err, client.ErrUnauthorized) {
		fmt.Println(err)
	}
	signedIn = true
	me, err := c.Me(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed in as", me.Email)
	// Output:
	// There is no valid sign-in. (nobody has signed in)
	// signed in as ann@site.example
}
