package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"sitegate/configs"
	"sitegate/phrase"
	"sitegate/raftstore"
	"sitegate/siteca"
)

// joinVariable is the token in the environment, for containers.
const joinVariable = "SITEGATE_JOIN_TOKEN"

const joinHelp = `
Usage: sitegate cluster join [--token-file FILE|-] --peer-listen HOST:PORT [--config FILE]

Has this machine join a cluster, with a token of one of its members (sitegate
cluster token). The configuration is that of another node with this one's name and
addresses, without what "cluster init" has written into its cluster section; the
data folder is new or empty. The machine makes its own key, makes sure that it talks
to a node of the token's cluster, and gets its certificate from it, and the key by
which people go by the same pseudonyms on all nodes. Who has another one is refused.

Then start it. It has no vote until it has caught up, which "sitegate cluster
members" shows. The token is read from a file, from standard input (-), or from the
environment's SITEGATE_JOIN_TOKEN, and never from the command line, which others on
the machine can see. Where no answer came, the same command again finds out.

Example:
  sitegate cluster join --token-file join.token --peer-listen 10.20.0.2:7443
  sitegate serve
`

// joinTime bounds joining; what a token may take to be decided is less.
const joinTime = 60 * time.Second

func clusterJoin(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster join", joinHelp)
	p.configFlags(f)
	file := f.String("token-file", "", "the file with the token, or - for standard input")
	listen := f.String("peer-listen", "", "host:port of this machine's peer port (default: cluster.listen of the configuration)")
	advertise := f.String("peer-advertise", "", "host:port by which the others reach it, if that is another")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.loadChecked(f)
	if err != nil {
		return err
	}
	m := membership{}.over(c)
	m.Listen, m.Advertise = cmp.Or(*listen, m.Listen), cmp.Or(*advertise, *listen, m.Advertise, m.Listen)
	switch {
	case c.Cluster.Made():
		return usagef("cluster join: the configuration's cluster section is that of a node which was made by cluster init. " +
			"Take id, peers, ca_file, cert_file, key_file and ca_key_file out of it: this machine gets its own")
	case m.Listen == "":
		return usagef("cluster join: say on which address of this machine the other nodes reach it: --peer-listen HOST:PORT")
	}
	text, err := p.joinToken(*file)
	if err != nil {
		return err
	}
	token, err := raftstore.ParseToken(text)
	if err != nil {
		return usagef("cluster join: %w", err)
	}
	l, err := net.Listen("tcp", m.Listen) // what cannot be listened on is better known before the token is used up
	if err != nil {
		return cannotListen("the other nodes", "--peer-listen", err)
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("trying the peer port: %w", err)
	}
	return p.join(ctx, c, m, token)
}

// joinToken reads the token from where it was put.
func (p *program) joinToken(file string) (string, error) {
	const most = 8 << 10
	var in io.Reader
	switch file {
	case "":
		if text := p.getenv(joinVariable); text != "" {
			return text, nil
		}
		return "", usagef("cluster join: where is the token? Say --token-file FILE, or --token-file - for standard input, or set %s", joinVariable)
	case "-":
		in = p.stdin
	default:
		f, err := os.Open(file)
		if err != nil {
			return "", usagef("cluster join: reading the token: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return string(text), nil
}

func (p *program) join(ctx context.Context, c configs.Config, m membership, token raftstore.Token) error {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	c.Cluster = &configs.Cluster{Advertise: m.Advertise}
	key, err := ownPrivacyKey(c)
	if err != nil {
		return err
	}
	given := false
	j, err := raftstore.Join(ctx, raftstore.JoinConfig{Dir: storeDir(c), DataDir: c.DataDir, Node: c.Node, Advertise: m.Advertise,
		Hosts: clientHosts(c), Token: token, Version: buildVersion(), PrivacyKey: key,
		KeepPrivacyKey: func(key []byte) error {
			given = true
			return siteca.WriteFile(privacyKey(c), append(bytes.Clone(key), '\n'))
		}})
	var denied *raftstore.Denied
	if errors.As(err, &denied) {
		_, detail, next := phrase.Denial(phrase.English, denied.Denial, phrase.Names{}, "")
		return fmt.Errorf("the cluster refuses this machine: %s\n%s", detail, wrapped("  ", next))
	}
	if err != nil {
		return fmt.Errorf("joining cluster %s: %w", token.Cluster, err)
	}
	if !j.Again || j.Tempo != "" {
		m.Tempo = j.Tempo
	}
	if err := m.write(c); err != nil {
		return err
	}
	if j.Again {
		fmt.Fprintf(p.stdout, "%s has joined cluster %s before.\n", c.Node, j.Cluster)
	} else {
		fmt.Fprintf(p.stdout, "%s has joined cluster %s, with %s.\n", c.Node, j.Cluster, count(len(j.Members)-1, "other node"))
	}
	if given {
		fmt.Fprintf(p.stdout, "It has the cluster's key for pseudonyms, %s: people go by the same ones on all nodes.\n", privacyKey(c))
	}
	fmt.Fprintf(p.stdout, "Start it: sitegate serve. It votes when it has caught up: sitegate cluster members.\n")
	return nil
}

// ownPrivacyKey is the key for pseudonyms that this machine has already; nil: it has none.
func ownPrivacyKey(c configs.Config) ([]byte, error) {
	file := cmp.Or(c.Privacy.KeyFile, privacyKey(c))
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return readPrivacyKey(file)
}
