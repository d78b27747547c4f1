package configs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"sitegate/upstream/egress"
)

// maxSocket is the longest path of a unix socket that all systems take.
const maxSocket = 103

// OperatorSocket is where "sitegate status" and the like reach the node.
func (c Config) OperatorSocket() string { return filepath.Join(c.DataDir, "operator.sock") }

// CheckFiles reads the files that a configuration names, and returns Problems. It
// keeps nothing of them. A file that is not named is Validate's business. The data
// folder need not be there, but this user must be able to make it and write in it,
// which is tried with a file that is gone at once.
func (c Config) CheckFiles() error {
	var p Problems
	if c.Cloud != nil {
		p.secret("cloud.secret_file", c.Cloud.SecretFile)
	}
	c.Egress.checkFiles(&p)
	if c.Connect != nil {
		c.Connect.checkFiles(&p)
	}
	if cl := c.Cluster; cl != nil {
		p.certificates("cluster.ca_file", cl.CAFile)
		p.pair("cluster.cert_file", cl.CertFile, cl.KeyFile)
		p.private("cluster.ca_key_file", cl.CAKeyFile)
	}
	p.pair("api.cert_file", c.API.CertFile, c.API.KeyFile)
	if c.Relay != nil {
		p.pair("relay.cert_file", c.Relay.CertFile, c.Relay.KeyFile)
		p.pem("relay.signer_file", c.Relay.SignerFile)
	}
	if a := c.Administrators; a != nil {
		p.secret("administrators.client_secret_file", a.ClientSecretFile)
	}
	if a := c.Alerts; a != nil {
		if a.Mail != nil {
			p.secret("alerts.mail.password_file", a.Mail.PasswordFile)
		}
		for i, w := range a.Webhooks {
			p.secret(keyf("alerts.webhooks[%d].secret_file", i+1), w.SecretFile)
		}
	}
	p.secret("privacy.key_file", c.Privacy.KeyFile)
	p.pem("usage.receipt_key_file", c.Usage.ReceiptKeyFile)
	p.certificates("log.syslog_ca_file", c.Log.SyslogCAFile)
	if c.Log.Target == LogFile && c.Log.File != "" {
		p.logFile("log.file", c.Log.File)
	}
	if long := len(c.OperatorSocket()) - maxSocket; long > 0 {
		p.add("data_dir", "is too long by %d bytes for the operator's socket in it; choose a shorter path", long)
	}
	p.writable("data_dir", c.DataDir)
	if b := c.Backup; b != nil && b.Folder != "" {
		if info, err := os.Stat(b.Folder); err != nil || !info.IsDir() {
			p.add("backup.folder", "%s is not there, or no folder; make it, or mount what it is on", b.Folder)
		} else {
			p.writable("backup.folder", b.Folder)
		}
	}
	return p.err()
}

// secret tries whether a file holds one line, for this user's eyes.
func (p *Problems) secret(key, file string) {
	if file == "" {
		return
	}
	if _, err := egress.ReadSecret(file); err != nil {
		p.add(key, "%v", fileError(err))
	}
}

// writable tries whether a folder, or the nearest one above it that is there, can
// be written in.
func (p *Problems) writable(key, dir string) {
	if dir == "" {
		return
	}
	at := filepath.Clean(dir)
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			p.add(key, "%s is not a folder; choose another path", at)
			return
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			p.add(key, "%s cannot be looked at by this user (%v): give it a folder that it owns", dir, reason(err))
			return
		}
		up := filepath.Dir(at)
		if up == at {
			p.add(key, "%s is nowhere on this machine; choose another path", dir)
			return
		}
		at = up
	}
	f, err := os.CreateTemp(at, ".sitegate-check-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	switch {
	case err == nil:
	case at == filepath.Clean(dir):
		p.add(key, "%s cannot be written in by this user (%v): chown it to the user that runs sitegate, or choose another folder", dir, reason(err))
	default:
		p.add(key, "%s is not there and cannot be made by this user in %s (%v): make it, and chown it to the user that runs sitegate, or choose another folder", dir, at, reason(err))
	}
}

// reason is an error of the file system without the path.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// logFile tries whether lines can be added to a file, and leaves nothing behind.
func (p *Problems) logFile(key, file string) {
	_, err := os.Lstat(file)
	f, failed := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if failed == nil {
		failed = f.Close()
	}
	if errors.Is(err, fs.ErrNotExist) && failed == nil {
		failed = os.Remove(file)
	}
	if failed != nil {
		p.add(key, "%s cannot be written by this user (%v): choose a file in a folder that is there and belongs to the user that runs sitegate", file, reason(failed))
	}
}

// pem wants a file that holds a key or a certificate.
func (p *Problems) pem(key, file string) {
	if file == "" {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		p.add(key, "%v", fileError(err))
	} else if block, _ := pem.Decode(data); block == nil {
		p.add(key, "%s holds no key and no certificate in PEM form%s", file, derHint(data))
	}
}

func (p *Problems) certificates(key, file string) {
	if file == "" {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		p.add(key, "%v", fileError(err))
	} else if !x509.NewCertPool().AppendCertsFromPEM(data) {
		p.add(key, "%s holds no certificate in PEM form%s", file, derHint(data))
	}
}

func (p *Problems) pair(key, cert, keyFile string) {
	if cert == "" || keyFile == "" {
		return
	}
	for _, file := range []string{cert, keyFile} {
		if f, err := os.Open(file); err != nil {
			p.add(key, "%v", fileError(err))
			return
		} else {
			_ = f.Close() // only opened to see whether it can be
		}
	}
	p.private(key, keyFile)
	if _, err := tls.LoadX509KeyPair(cert, keyFile); err != nil {
		p.add(key, "%s and %s are not a certificate and its key: %v", cert, keyFile, err)
	}
}

// private tries whether a key is there, and for this user's eyes.
func (p *Problems) private(key, file string) {
	if file == "" {
		return
	}
	info, err := os.Stat(file)
	if err != nil {
		p.add(key, "%v", fileError(err))
	} else if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		p.add(key, "the key %s can be read by everybody on this machine (%v): chmod 600 %s, and have it replaced", file, info.Mode().Perm(), file)
	}
}

func derHint(data []byte) string {
	if bytes.HasPrefix(data, []byte{0x30, 0x82}) {
		return "; it looks like DER: openssl x509 -inform der -in FILE -out FILE.pem"
	}
	return ""
}

func fileError(err error) error {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &pe):
		return fmt.Errorf("there is no file %s", pe.Path)
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &pe):
		return fmt.Errorf("%s cannot be read by this user", pe.Path)
	}
	return err
}
