package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"sitegate/configs"
	"sitegate/raftstore"
	"sitegate/siteca"
)

// membership is what a node's data folder keeps of its place in a cluster, beside
// its keys. The folder of a node that has always been alone has none.
type membership struct {
	Listen    string `json:"listen"`          // the peer port
	Advertise string `json:"advertise"`       // how the others reach it
	Tempo     string `json:"tempo,omitempty"` // of the cluster, when it joined

	unchecked bool // the file has no checksum: an earlier program has written it, or somebody took it out
}

func membershipFile(c configs.Config) string {
	return filepath.Join(siteca.Folder(c.DataDir), "member.json")
}

// readMembership reads it; false: there is none.
func readMembership(c configs.Config) (m membership, there bool, err error) {
	data, err := os.ReadFile(membershipFile(c))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	var object []byte
	if err == nil {
		object, err = raftstore.CheckedJSON(data)
	}
	if err == nil {
		err = json.Unmarshal(object, &m)
	}
	if err != nil {
		return membership{}, false, fmt.Errorf("reading this node's place in its cluster, %s: %w; restore the file from a copy of this node; where you have edited it, see that it is right and take the line of its checksum out", membershipFile(c), err)
	}
	m.unchecked = len(object) == len(data)
	return m, true, nil
}

func (m membership) write(c configs.Config) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = siteca.WriteFile(membershipFile(c), raftstore.WithChecksum(append(data, '\n')))
	}
	if err != nil {
		return fmt.Errorf("keeping this node's place in its cluster: %w", err)
	}
	return nil
}

// over are the settings of the configuration, where it has them, over what is kept.
func (m membership) over(c configs.Config) membership {
	if cl := c.Cluster; cl != nil {
		m = membership{Listen: cmp.Or(cl.Listen, m.Listen), Advertise: cmp.Or(cl.Advertise, m.Advertise), Tempo: cmp.Or(cl.Tempo, m.Tempo)}
	}
	return m
}

// peering is who a node is to the others, and where they reach it.
type peering struct {
	cluster string
	keys    *siteca.Keys
	membership
	kept bool // the data folder knows of a cluster
}

// openPeering reads it from the data folder, with what the configuration adds. A node
// that is alone gets a CA and a certificate of its own at its first start.
func openPeering(c configs.Config, log *slog.Logger) (p peering, err error) {
	kept, there, err := readMembership(c)
	if err != nil {
		return p, err
	}
	if there && kept.unchecked {
		if err := kept.write(c); err != nil {
			return p, err
		}
	}
	p.membership, p.kept = kept.over(c), there
	if p.cluster, err = clusterOf(c); err != nil {
		return p, err
	}
	renewEnded(c, p.cluster, log)
	if c.Cluster.Made() {
		p.keys, err = siteca.AdoptKeys(c.DataDir, p.cluster, c.Node, c.Cluster.CAFile, c.Cluster.CertFile, c.Cluster.KeyFile)
		if err != nil {
			return p, fmt.Errorf("this node's certificates (cluster.ca_file, cert_file, key_file): %w", err)
		}
	} else if p.keys, err = ownKeys(c, p.cluster, there, log); err != nil {
		return p, err
	}
	return p, takeCAKey(c, p.keys, log)
}

// takeCAKey keeps the CA's key that the operator has named, where the data folder has none.
func takeCAKey(c configs.Config, keys *siteca.Keys, log *slog.Logger) error {
	cl := c.Cluster
	if cl == nil || cl.CAKeyFile == "" || keys.Signs() {
		return nil
	}
	if cl.Made() {
		made, err := os.ReadFile(cl.CAFile)
		if err == nil && !keys.Trusts(made) {
			log.Warn("the site's CA was replaced: its old key is of no use and can be destroyed, and its settings taken out", "setting", "cluster.ca_key_file", "file", cl.CAKeyFile)
			return nil
		}
	}
	key, err := os.ReadFile(cl.CAKeyFile)
	if err == nil {
		err = keys.TakeCAKey(key)
	}
	if err != nil {
		return fmt.Errorf("the key of the site's CA (cluster.ca_key_file): %w", err)
	}
	return nil
}

// renewEnded has a node that holds the CA's key renew its own certificate, if that has ended
// while the node was off: nobody else may be there to do it. Where it cannot, what is read
// next says why.
func renewEnded(c configs.Config, cluster string, log *slog.Logger) {
	if _, err := siteca.OpenKeys(c.DataDir, cluster, c.Node); err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	if k, err := siteca.RenewOwn(c.DataDir, cluster, c.Node, clientHosts(c), time.Now()); err == nil {
		log.Warn("this node's certificate had ended while the node was off, and was renewed", "ends", k.Expires())
	}
}

// clusterOf is the cluster a node is of: by its configuration, its data, or its CA;
// or a new one.
func clusterOf(c configs.Config) (string, error) {
	if c.Cluster.Made() {
		return c.Cluster.ID, nil
	}
	id, err := raftstore.ClusterOf(storeDir(c))
	if err != nil || id != "" {
		return id, err
	}
	if id, err = siteca.ClusterOf(filepath.Join(siteca.CAFolder(c.DataDir), siteca.CAFile)); err != nil || id != "" {
		return id, err
	}
	return uuid.NewString(), nil
}

// ownKeys are the keys in the data folder, made anew for a node that is alone. One
// that is not alone cannot make them.
func ownKeys(c configs.Config, cluster string, member bool, log *slog.Logger) (*siteca.Keys, error) {
	k, err := siteca.OpenKeys(c.DataDir, cluster, c.Node)
	if err == nil && !(k.Signs() && !member && k.Due(nil, time.Now())) {
		return k, nil
	}
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || member) {
		return nil, fmt.Errorf("this node's certificate in %s: %w; if it is lost, remove the node on another one, sitegate cluster remove %s, and join again with an empty data folder",
			siteca.Folder(c.DataDir), err, c.Node)
	}
	dir := siteca.CAFolder(c.DataDir)
	ca, made, err := siteca.Ensure(dir, cluster, time.Now())
	if err != nil {
		return nil, fmt.Errorf("the site CA: %w", err)
	}
	if made {
		log.Info("made a site CA; clients that are to trust this node need it", "file", filepath.Join(dir, siteca.CAFile), "fingerprint", ca.Fingerprint())
	}
	return siteca.IssueOwn(c.DataDir, c.Node, ca, clientHosts(c), time.Now())
}

// clientHosts are the names and addresses by which clients reach this node.
func clientHosts(c configs.Config) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	add := func(h string) {
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if u, err := url.Parse(c.API.URL); err == nil {
		add(u.Hostname())
	}
	if c.Relay != nil {
		if u, err := url.Parse(c.Relay.URL); err == nil {
			add(u.Hostname())
		}
	}
	if c.Cluster != nil {
		host, _, _ := net.SplitHostPort(c.Cluster.Advertise) // empty where there is none
		add(host)
	}
	return hosts
}
