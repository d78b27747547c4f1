package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/license"
)

func startFor(n, user int, machine string, ttl time.Duration) license.Start {
	c := start(n, user, machine)
	c.TTL = ttl
	return c
}

func heartbeat(n, user int, machine string) license.Renewal {
	return license.Renewal{Session: testID(n), User: userID(user), Machine: license.Machine{ID: machine, Name: machine}}
}

func runs(s *Store, n int) (on bool) {
	s.View(func(st *license.State) { on = st.Session(testID(n)) != nil })
	return on
}

// turned is a monotonic clock that a test turns forward.
type turned struct{ at atomic.Int64 }

func (c *turned) mono() time.Duration    { return time.Duration(c.at.Load()) }
func (c *turned) turn(by time.Duration)  { c.at.Add(int64(by)) }
func (c *turned) use(cfg *Config)        { cfg.mono, cfg.LeaseTick = c.mono, 5*time.Millisecond }
func heartbeats(n int) []license.Renewal { return []license.Renewal{heartbeat(n, 0, "WS-1")} }

func TestLeaseRunsOutAndRenewalKeeps(t *testing.T) {
	const ttl = time.Second // shorter than a site may set, for the test's sake
	s := single(t, t.TempDir(), func(c *Config) { c.LeaseTick = 10 * time.Millisecond })
	do(t, s, fill(2))
	do(t, s, startFor(1, 0, "WS-1", ttl))
	do(t, s, startFor(2, 1, "WS-2", ttl))
	began := time.Now()
	eventually(t, func() error {
		leases, err := s.Renew(limited(t), heartbeats(1))
		if err != nil || len(leases) != 1 || leases[0].Denial != nil || leases[0].TTL != ttl {
			t.Fatalf("renewing: got %+v, %v; want a lease of %v", leases, err, ttl)
		}
		if runs(s, 2) {
			return errors.New("a session without heartbeats still runs")
		}
		return nil
	})
	if ran := time.Since(began); ran < ttl-50*time.Millisecond {
		t.Errorf("a session without heartbeats ran for %v only, want %v", ran, ttl)
	}
	if !runs(s, 1) {
		t.Error("a session that was renewed has expired")
	}
	leases, err := s.Renew(limited(t), []license.Renewal{heartbeat(2, 1, "WS-2")})
	if err != nil || leases[0].Denial == nil || leases[0].Denial.Reason != license.UnknownSession {
		t.Errorf("renewing what has expired: got %+v, %v; want %s", leases, err, license.UnknownSession)
	}
	if got, want := s.leases.size(), 1; got != want {
		t.Errorf("leases counted: got %d, want %d", got, want)
	}
}

func TestPauseExpiresNobody(t *testing.T) {
	var clock turned
	s := single(t, t.TempDir(), clock.use)
	do(t, s, fill(1))
	do(t, s, startFor(1, 0, "WS-1", 180*time.Second))
	before := s.Now()
	clock.turn(time.Hour) // the machine slept
	eventually(t, func() error {
		s.leases.mu.Lock()
		defer s.leases.mu.Unlock()
		if got, want := s.leases.leases[testID(1)].deadline, clock.mono()+180*time.Second; got != want {
			return fmt.Errorf("deadline %v, want %v", got, want)
		}
		return nil
	})
	if !runs(s, 1) {
		t.Error("a session has expired while its leader was paused")
	}
	if s.Now() < before {
		t.Errorf("time ran backwards from %s to %s", before, s.Now())
	}
}

func TestRepeatedStartOutlivesAnExpireUnderWay(t *testing.T) {
	var clock turned
	s := single(t, t.TempDir(), clock.use)
	do(t, s, fill(1))
	do(t, s, startFor(1, 0, "WS-1", 180*time.Second))
	var generation uint64
	s.View(func(st *license.State) { generation = st.Session(testID(1)).Generation })
	do(t, s, startFor(1, 0, "WS-1", 180*time.Second))
	out, err := s.Propose(limited(t), license.Expire{ID: testID(1), Generation: generation})
	if err != nil || out.Denial == nil || !runs(s, 1) {
		t.Errorf("an Expire of an older generation: got %+v, %v; want a denial", out, err)
	}
}

func TestNewLeaderGivesFullLeases(t *testing.T) {
	c := newCluster(t, nil)
	c.do(fill(1))
	const ttl = 200 * time.Second
	c.do(startFor(1, 0, "WS-1", ttl))
	old := c.leader()
	at := old.mono()
	c.crash(old.cfg.Node)
	leader := c.leader()
	leader.leases.mu.Lock()
	l := leader.leases.leases[testID(1)]
	leader.leases.mu.Unlock()
	if l == nil || l.deadline < at+ttl {
		t.Fatalf("lease at the new leader: got %+v, want one of at least %v from the change", l, ttl)
	}
	for _, s := range c.nodes { // on the leader and on a follower
		leases, err := s.Renew(limited(t), heartbeats(1))
		if err != nil || len(leases) != 1 || leases[0].Denial != nil || leases[0].TTL != ttl {
			t.Errorf("renewing on %s: got %+v, %v; want a lease of %v", s.cfg.Node, leases, err, ttl)
		}
	}
	for name, s := range c.nodes {
		if s != leader && s.leases.size() != 0 {
			t.Errorf("%s counts %d leases and does not lead", name, s.leases.size())
		}
	}
}

func TestNothingIsAcknowledgedWithoutAMajority(t *testing.T) {
	c := newCluster(t, func(cfg *Config) { cfg.LeaderWait = 500 * time.Millisecond })
	c.do(fill(1))
	c.do(startFor(1, 0, "WS-1", 180*time.Second))
	leader := c.leader()
	for name := range c.nodes {
		if name != leader.cfg.Node {
			c.crash(name)
		}
	}
	if err := leader.Fresh(limited(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Fresh without a majority: got %v, want %v", err, ErrNotLeader)
	}
	if leases, err := leader.Renew(limited(t), heartbeats(1)); err == nil {
		t.Errorf("a heartbeat without a majority: got %+v, want an error", leases)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if out, err := leader.Propose(ctx, start(2, 0, "WS-1")); err == nil {
		t.Errorf("a proposal without a majority: got %+v, want an error", out)
	}
	if runs(leader, 2) {
		t.Error("what no majority has was applied")
	}
}

func TestHeartbeatWaitsForAnExpiryUnderWay(t *testing.T) {
	var clock turned
	table := newLeaseTable(clock.mono)
	st := license.NewState()
	table.begin(st)
	started := license.Event{Fact: license.Started{Session: &license.Session{ID: testID(1), TTL: time.Minute}}}
	table.follow(license.Start{}, license.Outcome{}, []license.Event{started}, clock.mono())
	clock.turn(time.Minute)
	ids := table.due(clock.mono(), 10)
	if len(ids) != 1 || ids[0] != testID(1) {
		t.Fatalf("due: got %v, want %v", ids, testID(1))
	}
	if got := table.expire(ids, clock.mono()); len(got) != 1 {
		t.Fatalf("marked: got %v, want one", got)
	}
	wait, off := table.touch(testID(1), clock.mono()+time.Minute)
	if wait == nil || off {
		t.Fatal("a heartbeat during an expiry does not wait")
	}
	select {
	case <-wait:
		t.Fatal("the wait ended before the outcome")
	default:
	}
	table.follow(license.Expire{}, license.Outcome{}, []license.Event{{Fact: license.Expired{Session: &license.Session{ID: testID(1)}}}}, clock.mono())
	<-wait
	if got := table.size(); got != 0 {
		t.Errorf("leases left: got %d, want 0", got)
	}

	table.follow(license.Start{}, license.Outcome{}, []license.Event{started}, clock.mono())
	if wait, _ := table.touch(testID(1), clock.mono()+2*time.Minute); wait != nil {
		t.Error("a heartbeat waits for nothing")
	}
	clock.turn(time.Minute)
	if ids := table.due(clock.mono(), 10); len(ids) != 0 {
		t.Errorf("due after a heartbeat: got %v, want none", ids)
	}
	clock.turn(time.Minute)
	ids = table.expire(table.due(clock.mono(), 10), clock.mono())
	wait, _ = table.touch(testID(1), 0)
	table.end() // the leadership is lost
	<-wait
	if _, off := table.touch(ids[0], 0); !off {
		t.Error("a table that was ended still counts heartbeats")
	}
}
