package raftstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// identity says whose data folder it is. Instance tells two folders of the same
// node apart: a folder that was copied or emptied from the one in use.
type identity struct {
	Cluster  string `json:"cluster"`
	Node     string `json:"node"`
	Instance string `json:"instance"`
	Left     bool   `json:"left,omitempty"` // it has left its cluster and must not vote any more
	// Recovering: its recovery has begun and is not complete.
	Recovering bool `json:"recovering,omitempty"`
	// Gone is why, where that was not its own wish.
	Gone string `json:"gone,omitempty"`
	// Joining: a token is being shown, and nobody knows yet what came of it.
	Joining bool `json:"joining,omitempty"`
	// Joined: it was let in by a token. It begins no cluster: the leader finds it.
	// Members are who was there then, to look for.
	Joined  bool   `json:"joined,omitempty"`
	Members []Peer `json:"members,omitempty"`
	// Founders are the instances of the nodes with which it has begun its cluster, by
	// name.
	Founders map[string]string `json:"founders,omitempty"`

	unchecked bool // an earlier program has written it, without a checksum
}

const identityFile = "identity.json"

// ClusterOf is the cluster that a store's folder belongs to; empty: none yet.
func ClusterOf(dir string) (string, error) {
	id, err := readIdentity(filepath.Join(dir, identityFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return id.Cluster, err
}

// lockDir keeps a data folder to this process until the file is closed.
func lockDir(dir string) (*os.File, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the data folder %s is in use by another running node (%w); stop that one, or set another folder", dir, err), f.Close())
	}
	return f, nil
}

// notLost refuses the folder of a member that has no identity (any more).
func notLost(dir, node, cluster string) error {
	if _, err := os.Lstat(filepath.Join(dir, identityFile)); !errors.Is(err, os.ErrNotExist) {
		return nil // identify reads it
	}
	return fmt.Errorf("%s has been a member of cluster %s, and its store in %s was emptied: it does not know any more what it has voted for; "+
		"remove it on another node, sitegate cluster remove %s, move the rest of its data folder away, and join again with a token: sitegate cluster join", node, cluster, dir, node)
}

// identify reads the folder's identity, or gives it one, and refuses a folder of
// another node or cluster. An empty cluster takes what the folder has, or draws
// a new one.
func identify(dir, node, cluster string) (identity, error) {
	path := filepath.Join(dir, identityFile)
	id, err := readIdentity(path)
	if errors.Is(err, os.ErrNotExist) {
		return newIdentity(path, node, cluster)
	}
	if err != nil {
		return identity{}, err
	}
	if id.Node != node {
		return identity{}, fmt.Errorf("the data folder %s belongs to node %q, this node is %q; set the right folder, or the right name", dir, id.Node, node)
	}
	if cluster != "" && id.Cluster != cluster {
		return identity{}, fmt.Errorf("the data folder %s belongs to cluster %s, this node is of %s; set the right folder, or the right cluster", dir, id.Cluster, cluster)
	}
	if id.Recovering {
		return identity{}, fmt.Errorf("the recovery of node %s was interrupted; run sitegate cluster recover again", node)
	}
	if id.Joining {
		return identity{}, fmt.Errorf("node %s has not finished joining its cluster: run sitegate cluster join again, with the same token", node)
	}
	if id.Gone != "" {
		return identity{}, errors.New(id.Gone)
	}
	if id.Left {
		return identity{}, fmt.Errorf("node %s has left its cluster and does not start again: its certificate and the data folder %s can go; keep its service from starting it", node, dir)
	}
	return id, nil
}

// summed is the identity with its checksum on disk, where an earlier program has written
// it without one.
func (id identity) summed(path string) (identity, error) {
	if !id.unchecked {
		return id, nil
	}
	id.unchecked = false
	return id, id.write(path)
}

func readIdentity(path string) (id identity, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return id, fmt.Errorf("reading whose data folder it is: %w", err)
	}
	object, err := CheckedJSON(b)
	if err == nil {
		err = json.Unmarshal(object, &id)
	}
	if err == nil && (id.Instance == "" || id.Node == "" || id.Cluster == "") {
		err = errors.New("something is missing in it")
	}
	if err != nil {
		return identity{}, fmt.Errorf("%s is damaged (%w); restore it from a copy of this very node, or remove the node on another one, sitegate cluster remove, and join anew with an emptied data folder, or, if it is alone, restore the latest backup", path, err)
	}
	id.unchecked = len(object) == len(b)
	return id, nil
}

// leave notes in the folder that its node has left the cluster; gone is why, where
// that was not its own wish.
func (id identity) leave(dir, gone string) error {
	id.Left, id.Gone = true, gone
	return id.write(filepath.Join(dir, identityFile))
}

func (id identity) write(path string) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("writing whose data folder it is: %w", err)
	}
	return writeFileSync(path, WithChecksum(append(b, '\n')))
}

func newIdentity(path, node, cluster string) (identity, error) {
	id, err := drawIdentity(node, cluster)
	if err != nil {
		return identity{}, err
	}
	return id, id.write(path)
}

func drawIdentity(node, cluster string) (identity, error) {
	instance, err := uuid.NewRandom()
	if err != nil {
		return identity{}, fmt.Errorf("drawing an id for the data folder: %w", err)
	}
	if cluster == "" {
		drawn, err := uuid.NewRandom()
		if err != nil {
			return identity{}, fmt.Errorf("drawing an id for the cluster: %w", err)
		}
		cluster = drawn.String()
	}
	return identity{Cluster: cluster, Node: node, Instance: instance.String()}, nil
}
