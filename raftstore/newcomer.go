package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"sitegate/license"
	"sitegate/siteca"
)

// JoinConfig is what a new machine joins with.
type JoinConfig struct {
	Dir       string // of the node's store, as Config.Dir will be
	DataDir   string // where its keys are kept, as siteca.OpenKeys will be told
	Node      string
	Advertise string // where its peers will reach it
	Hosts     []string
	Token     Token
	Version   string
	// PrivacyKey is the key for pseudonyms that this machine has. Where it is empty,
	// KeepPrivacyKey is given that of the cluster, if that has one, before the machine has
	// joined; nil: it is not wanted.
	PrivacyKey     []byte
	KeepPrivacyKey func(key []byte) error
}

// Joined is what came of it.
type Joined struct {
	Cluster, Tempo string
	Members        []Peer // this node among them
	Again          bool   // it had joined before, and nothing was done
}

// Join lets this machine into a cluster by a token: it makes a key, makes sure that
// it talks to a node of the token's cluster, shows the token and has the key
// certified. The folders are then ready for Open, which starts without a vote.
//
// Nothing is left behind where the cluster says no (*Denied, *Refused). Where no
// answer came, the same call with the same token finds out.
func Join(ctx context.Context, c JoinConfig) (Joined, error) {
	if !nodeName.MatchString(c.Node) {
		return Joined{}, fmt.Errorf("node name %q: use 1 to 63 letters, digits, dots or dashes", c.Node)
	}
	if err := checkAddress(c.Advertise); err != nil {
		return Joined{}, err
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return Joined{}, err
	}
	defer lock.Close()
	id, fresh, err := c.identity()
	if err != nil {
		return Joined{}, err
	}
	if id.Joined {
		return Joined{Cluster: id.Cluster, Members: id.Members, Again: true}, nil
	}
	key, csr, err := c.key(fresh)
	if err != nil {
		return Joined{}, err
	}
	if err := id.write(filepath.Join(c.Dir, identityFile)); err != nil {
		return Joined{}, err
	}
	r := joinRequest{Protocol: protocol, Secret: c.Token.Secret[:], Node: c.Node, Instance: id.Instance, Address: c.Advertise, CSR: csr, Version: c.Version}
	if license.Level > 1 {
		r.Level = license.Level
	}
	if len(c.PrivacyKey) > 0 {
		r.PrivacyKey = privacyDigest(c.PrivacyKey)
	}
	a, ca, err := c.ask(ctx, r)
	if err == nil {
		err = a.err()
	}
	if err != nil {
		var d *Denied
		var no *Refused
		if fresh && (errors.As(err, &d) || errors.As(err, &no) || neverSent(err)) {
			err = errors.Join(err, c.forget())
		}
		return Joined{}, err
	}
	// The CA with the pin comes first; it may be there a second time.
	k, err := siteca.MakeKeys(c.DataDir, c.Token.Cluster, c.Node, append(ca, a.Also...), a.Certificate, key)
	if err == nil && a.AsOf != 0 {
		err = k.TakenAsOf(int64(a.AsOf))
	}
	if err != nil {
		return Joined{}, fmt.Errorf("what the cluster has answered: %w", err)
	}
	if len(c.PrivacyKey) == 0 && len(a.PrivacyKey) > 0 && c.KeepPrivacyKey != nil {
		if err := c.KeepPrivacyKey(a.PrivacyKey); err != nil {
			return Joined{}, fmt.Errorf("keeping the cluster's key for pseudonyms: %w", err)
		}
	}
	id.Joining, id.Joined, id.Members = false, true, nil
	for _, m := range a.Members {
		id.Members = append(id.Members, Peer(m))
	}
	if err := id.write(filepath.Join(c.Dir, identityFile)); err != nil {
		return Joined{}, err
	}
	return Joined{Cluster: id.Cluster, Tempo: a.Tempo, Members: id.Members}, nil
}

// identity is that of the folder, if it began to join before, or a new one.
func (c JoinConfig) identity() (id identity, fresh bool, err error) {
	path := filepath.Join(c.Dir, identityFile)
	id, err = readIdentity(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		entries, err := os.ReadDir(c.Dir)
		if err == nil && len(entries) > 1 { // the lock
			return id, false, fmt.Errorf("the data folder %s is not empty: move what is in it away, and keep it until you are sure", c.Dir)
		}
		id, err = drawIdentity(c.Node, c.Token.Cluster)
		id.Joining = true
		return id, true, err
	case err != nil:
		return id, false, err
	case id.Joined && id.Node == c.Node && id.Cluster == c.Token.Cluster && !id.Left:
		return id, false, nil
	case !id.Joining || id.Node != c.Node || id.Cluster != c.Token.Cluster:
		return id, false, fmt.Errorf("the data folder %s has the state of node %s of cluster %s in it: move it away, and keep it until you are sure, if this machine is to join as a new one",
			c.Dir, id.Node, id.Cluster)
	}
	return id, false, nil
}

// key is the node's key, the one of an earlier try or a new one, and the request for
// a certificate of it.
func (c JoinConfig) key(fresh bool) (key, csr []byte, err error) {
	file := c.keyFile()
	if !fresh {
		if key, err = os.ReadFile(file); err != nil {
			return nil, nil, fmt.Errorf("reading the key of the first try to join: %w; empty the data folder and use another token", err)
		}
		csr, err = siteca.RequestFor(key, c.Node, c.Hosts)
		return key, csr, err
	}
	if _, err := os.Lstat(file); err == nil {
		return nil, nil, fmt.Errorf("there is a node's key already, %s: move the data folder's cluster and ca away if this machine is to join as a new one", file)
	}
	if key, csr, err = siteca.NewRequest(c.Node, c.Hosts); err != nil {
		return nil, nil, err
	}
	if err := makeDir(filepath.Dir(file)); err != nil {
		return nil, nil, err
	}
	return key, csr, writeFileSync(file, key)
}

func (c JoinConfig) keyFile() string {
	return filepath.Join(siteca.Folder(c.DataDir), siteca.KeyFile)
}

// forget takes back what a try that came to nothing has left.
func (c JoinConfig) forget() error {
	var err error
	for _, file := range []string{c.keyFile(), filepath.Join(c.Dir, identityFile)} {
		if e := os.Remove(file); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// ask goes to one address of the token after the other until one has decided, again
// and again while ctx lasts where they cannot decide now. notSent: no node of the
// cluster was reached.
func (c JoinConfig) ask(ctx context.Context, r joinRequest) (joinAnswer, []byte, error) {
	codec, err := newCodec()
	if err != nil {
		return joinAnswer{}, nil, err
	}
	sent := false
	for {
		var problems []error
		again := false
		for _, address := range c.Token.Addresses {
			a, ca, err := c.askAt(ctx, codec, address, r)
			switch {
			case err == nil && !a.Again:
				return a, ca, nil
			case err == nil:
				again, sent = true, true
				problems = append(problems, fmt.Errorf("%s cannot decide it now", address))
			default:
				sent = sent || !neverSent(err)
				again = again || !neverSent(err)
				problems = append(problems, err)
			}
		}
		err := fmt.Errorf("no member of cluster %s has let this machine in: %w", c.Token.Cluster, errors.Join(problems...))
		if !sent {
			err = notSent{err}
		}
		if !again {
			return joinAnswer{}, nil, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return joinAnswer{}, nil, err
		}
	}
}

// askAt asks one member. The secret is told after the other end has proved itself.
func (c JoinConfig) askAt(ctx context.Context, codec *codec, address string, r joinRequest) (a joinAnswer, ca []byte, err error) {
	dial, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(dial, "tcp", address)
	if err != nil {
		return a, nil, notSent{err}
	}
	defer raw.Close()
	conn := tls.Client(raw, siteca.PinnedTLS(c.Token.Pin, c.Token.Cluster))
	if err := conn.HandshakeContext(dial); err != nil {
		return a, nil, notSent{fmt.Errorf("%s: %w", address, err)}
	}
	if ca, err = siteca.PinnedCA(conn.ConnectionState(), c.Token.Pin, c.Token.Cluster); err != nil {
		return a, nil, notSent{fmt.Errorf("%s: %w", address, err)}
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	err = conn.SetDeadline(time.Now().Add(joinLimit + 2*handshakeLimit))
	if err == nil {
		_, err = conn.Write([]byte{streamJoin})
	}
	if err == nil {
		err = writeMessage(conn, codec, r)
	}
	if err == nil {
		err = readMessage(conn, codec, &a)
	}
	if err != nil {
		return a, nil, fmt.Errorf("%s has not answered: %w", address, err)
	}
	if a.err() == nil && !a.Again && len(a.Certificate) == 0 {
		return a, nil, fmt.Errorf("%s has answered neither yes nor no", address)
	}
	return a, ca, nil
}
