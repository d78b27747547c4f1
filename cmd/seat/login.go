package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
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
	fs.StringVar(&o.issuer.proxy, "proxy", "", "`URL` of the way there, such as the gateway's CONNECT door: http://HOST:PORT")
	fs.StringVar(&o.issuer.ca, "issuer-ca", "", "`FILE` with the authority the issuer's certificate comes from, in PEM")
	fs.StringVar(&o.issuer.clientID, "client-id", "", "`NAME` of this program at the issuer (default desktop)")
	fs.StringVar(&o.issuer.email, "email", "", "`ADDRESS` to sign in with, where there is no browser")
	fs.StringVar(&o.issuer.passwordFile, "password-file", "", "`FILE` with its password, readable by you alone; - is standard input")
}

// login signs in and writes the token file: in a browser, or with a password where
// one is given.
func login(ctx context.Context, s *seat, o *options, args []string) error {
	i := o.issuer
	switch {
	case len(args) > 0:
		return usagef("login takes no arguments; a password comes from a file")
	case i.url == "":
		return usagef("where is the sign-in? Give --issuer URL, or have IT name it in %s", s.settingsPlace(o))
	case o.tokenFile == "":
		return usagef("where is the token to be kept? Give --token-file FILE")
	case (i.email == "") != (i.passwordFile == ""):
		return usagef("--email and --password-file go together; without them you sign in with a browser")
	}
	k := kept{Issuer: i.url, ClientID: i.clientID, Proxy: i.proxy, IssuerCA: i.ca}
	var err error
	if i.ca != "" { // renewed later, from another folder
		if k.IssuerCA, err = filepath.Abs(i.ca); err != nil {
			return usagef("--issuer-ca: %w", err)
		}
	}
	cfg, err := k.config()
	if err != nil {
		return usagef("%w", err)
	}
	if i.email == "" {
		k.Tokens, err = signin.SignInDevice(ctx, cfg, s.showCode)
	} else {
		var password string
		if password, err = s.password(i.passwordFile); err != nil {
			return usagef("%w", err)
		}
		quick, cancel := context.WithTimeout(ctx, 4*o.timeout) // some pages, some tunnels
		k.Tokens, err = signin.SignIn(quick, cfg, i.email, password)
		cancel()
	}
	if err != nil {
		return i.failed(err)
	}
	where, err := s.keep(ctx, o, k)
	if err != nil {
		return err
	}
	if who := first(i.email, emailOf(k.Access)); who != "" {
		fmt.Fprintln(s.stdout, s.textf("Signed in as %s; the token is in %s%s.", plain(who), o.tokenFile, where))
	} else {
		fmt.Fprintln(s.stdout, s.textf("Signed in; the token is in %s%s.", o.tokenFile, where))
	}
	return nil
}

// showCode tells a person what to do in the browser.
func (s *seat) showCode(p signin.Prompt) error {
	fmt.Fprint(s.stdout, s.textf("Open this page in a browser, on this computer or another one:\n\n    %s\n\nand type in this code, until %s:\n\n    %s\n\n",
		plain(p.URL), clock(p.Until), plain(p.Code)))
	if p.Complete != "" {
		fmt.Fprint(s.stdout, s.textf("Or open this page, with the code in it:\n\n    %s\n\n", plain(p.Complete)))
	}
	_, err := fmt.Fprintln(s.stdout, s.textf("Allow it only if you have started this yourself. Waiting …"))
	return err
}

// keep writes the token file, sealed if there is a keyring to hold the key; where
// says which.
func (s *seat) keep(ctx context.Context, o *options, k kept) (where string, _ error) {
	f := s.tokens(o)
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return "", fmt.Errorf("writing the token file: %w", err)
	}
	unlock, err := lock(ctx, f.path+".lock") // a renewal of the old one must not win
	if err != nil {
		return "", err
	}
	defer unlock()
	key, why, err := f.sealKey(ctx, o.keyring)
	if err != nil {
		return "", &exitError{status: exitFailed, err: err, next: []string{"Unlock the keyring, or keep the token in a file that only you can read: --keyring off."}}
	}
	if err := forgetBound(f.path); err != nil { // it may be somebody else now
		return "", err
	}
	if err := k.save(f.path, key); err != nil {
		return "", err
	}
	if key != nil {
		return s.textf(", sealed with a key in the system's keyring"), nil
	}
	if why != nil {
		return s.textf(", which only you can read (not sealed: %v)", why), nil
	}
	return s.textf(", which only you can read"), nil
}

// emailOf is whom an access token is for, to be shown. It is not checked: the issuer
// has just sent it.
func emailOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		Email string `json:"email"`
	}
	if json.Unmarshal(b, &c) != nil {
		return ""
	}
	return c.Email
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
