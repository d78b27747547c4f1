package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/client/signin"
)

type issuerOptions struct {
	url, email, passwordFile, proxy, ca, clientID string
}

func loginFlags(fs *pflag.FlagSet, o *options) {
	fs.StringVar(&o.issuer.url, "issuer", "", "`URL` of the sign-in")
	fs.StringVar(&o.issuer.email, "email", "", "e-mail address to sign in with")
	fs.StringVar(&o.issuer.passwordFile, "password-file", "", "`FILE` with the password, readable by you alone; - is standard input")
	fs.StringVar(&o.issuer.proxy, "proxy", "", "`URL` of the way there, such as the gateway's CONNECT door: http://HOST:PORT")
	fs.StringVar(&o.issuer.ca, "issuer-ca", "", "`FILE` with the authority the issuer's certificate comes from, in PEM")
	fs.StringVar(&o.issuer.clientID, "client-id", "", "name of this program at the issuer (default desktop)")
}

// login signs in and writes the token file.
func login(ctx context.Context, s *seat, o *options, args []string) error {
	i := o.issuer
	var missing []string
	for _, f := range [][2]string{{"--issuer", i.url}, {"--email", i.email}, {"--password-file", i.passwordFile}, {"--token-file", o.tokenFile}} {
		if f[1] == "" {
			missing = append(missing, f[0])
		}
	}
	if len(missing) > 0 {
		return usagef("login needs %s", strings.Join(missing, ", "))
	}
	if len(args) > 0 {
		return usagef("login takes no arguments; the password comes from a file")
	}
	password, err := s.password(i.passwordFile)
	if err != nil {
		return usagef("%w", err)
	}
	k := kept{Issuer: i.url, ClientID: i.clientID, Proxy: i.proxy, IssuerCA: i.ca}
	if i.ca != "" { // renewed later, from another folder
		if k.IssuerCA, err = filepath.Abs(i.ca); err != nil {
			return usagef("--issuer-ca: %w", err)
		}
	}
	cfg, err := k.config()
	if err != nil {
		return usagef("%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*o.timeout) // some pages, some tunnels
	defer cancel()
	k.Tokens, err = signin.SignIn(ctx, cfg, i.email, password)
	if err != nil {
		return i.failed(err)
	}
	if err := k.save(o.tokenFile); err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "Signed in as %s; the token is in %s.\n", plain(i.email), o.tokenFile)
	return nil
}

// password is a file's first line.
func (s *seat) password(path string) (string, error) {
	var b []byte
	if path == "-" {
		var err error
		if b, err = bufio.NewReader(io.LimitReader(s.stdin, 1024)).ReadBytes('\n'); err != nil && err != io.EOF {
			return "", fmt.Errorf("reading the password: %w", err)
		}
	} else {
		info, err := os.Stat(path)
		if err == nil {
			err = private(path, info)
		}
		if err == nil {
			b, err = os.ReadFile(path)
		}
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return "", errors.New("the password file begins with an empty line")
	}
	return string(line), nil
}
