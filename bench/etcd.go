package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"sitegate/siteca"
)

// etcd is a cluster of etcd, with TLS to its clients and between its members. A
// claim is a transaction that creates a key with a lease if it is not there; giving
// back deletes it. Clients talk to the leader.
type etcd struct {
	members []*process
	clients []*clientv3.Client
	leases  []clientv3.LeaseID
}

// perConnection is how many of our clients share a connection: etcd's own client
// puts their calls on one.
const perConnection = 8

func startEtcd(ctx context.Context, dir string, o options) (claims, error) {
	e := &etcd{}
	endpoints, conf, err := e.start(ctx, dir, o.nodes)
	if err == nil {
		err = e.connect(ctx, endpoints, conf, o.clients)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *etcd) start(ctx context.Context, dir string, nodes int) (endpoints []string, conf *tls.Config, err error) {
	ca, err := siteca.New("bench", time.Now())
	if err != nil {
		return nil, nil, err
	}
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, ca.CertPEM(), 0o600); err != nil {
		return nil, nil, err
	}
	conf = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	conf.RootCAs.AppendCertsFromPEM(ca.CertPEM())
	ports, err := freePorts(2 * nodes)
	if err != nil {
		return nil, nil, err
	}
	var members []string
	for i := range nodes {
		members = append(members, fmt.Sprintf("m%d=https://127.0.0.1:%d", i, ports[2*i+1]))
	}
	for i := range nodes {
		name := fmt.Sprintf("m%d", i)
		home := filepath.Join(dir, name)
		cert, key, err := ca.Issue(name, []string{"127.0.0.1", "localhost"}, true, time.Now())
		if err != nil {
			return nil, nil, err
		}
		if err := siteca.WritePair(home, "cert.pem", cert, "key.pem", key); err != nil {
			return nil, nil, err
		}
		at, peer := fmt.Sprintf("https://127.0.0.1:%d", ports[2*i]), fmt.Sprintf("https://127.0.0.1:%d", ports[2*i+1])
		certFile, keyFile := filepath.Join(home, "cert.pem"), filepath.Join(home, "key.pem")
		p, err := startProcess(ctx, home, "etcd", "--name", name, "--data-dir", filepath.Join(home, "data"),
			"--listen-client-urls", at, "--advertise-client-urls", at, "--cert-file", certFile, "--key-file", keyFile,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(members, ","),
			"--peer-cert-file", certFile, "--peer-key-file", keyFile, "--peer-trusted-ca-file", caFile, "--peer-client-cert-auth",
			"--log-level", "warn")
		if err != nil {
			return nil, nil, err
		}
		e.members = append(e.members, p)
		endpoints = append(endpoints, at)
	}
	return endpoints, conf, nil
}

// connect finds the leader, and opens connections and a lease for every client.
func (e *etcd) connect(ctx context.Context, endpoints []string, conf *tls.Config, clients int) error {
	dial := func(at ...string) (*clientv3.Client, error) {
		return clientv3.New(clientv3.Config{Endpoints: at, TLS: conf, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	}
	leader := ""
	for i, at := range endpoints {
		err := e.members[i].await(ctx, func() error {
			c, err := dial(at)
			if err != nil {
				return err
			}
			defer c.Close()
			ask, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			st, err := c.Status(ask, at)
			if err == nil && st.Leader == 0 {
				err = errors.New("there is no leader yet")
			}
			if err == nil && st.Header.MemberId == st.Leader {
				leader = at
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if leader == "" {
		return errors.New("no member says that it leads")
	}
	for range (clients + perConnection - 1) / perConnection {
		c, err := dial(leader)
		if err != nil {
			return err
		}
		e.clients = append(e.clients, c)
	}
	for i := range clients {
		l, err := e.clients[i/perConnection].Grant(ctx, 180)
		if err != nil {
			return fmt.Errorf("taking a lease: %w", err)
		}
		e.leases = append(e.leases, l.ID)
	}
	return nil
}

func (e *etcd) claim(ctx context.Context, client, user int) (time.Time, bool, error) {
	c, key := e.clients[client/perConnection], fmt.Sprintf("hold/b-%07d", user)
	got, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, fmt.Sprintf("m-BENCH-%d", client), clientv3.WithLease(e.leases[client]))).Commit()
	if err == nil && !got.Succeeded {
		err = errors.New("somebody holds it")
	}
	if err != nil {
		return time.Time{}, false, err
	}
	over := time.Now()
	gone, err := c.Delete(ctx, key)
	return over, err == nil && gone.Deleted == 0, err
}

func (e *etcd) close() {
	for _, c := range e.clients {
		c.Close()
	}
	for _, p := range e.members {
		p.stop()
	}
}
