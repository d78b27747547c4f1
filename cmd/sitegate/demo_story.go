package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

// vendorsSentence is what a refused user reads, to the letter (R7).
const vendorsSentence = `It seems your Virtuoso license is active on another machine. Please close the application on "%s" and try again.`

// demoStep is one step of the story: what happens, and the act that does it and
// checks that it came out as it must. The act returns what there was to see.
type demoStep struct {
	title string
	act   func(p *play, ctx context.Context) (detail string, err error)
}

var demoSteps = []demoStep{
	{"the mirror fills through the proxy, and a user signs in through the gateway", (*play).fill},
	{"WS-101 starts a capped product", (*play).start},
	{"WS-202 is refused, and told why; WS-101 hears of it", (*play).refuse},
	{"WS-101 closes it; WS-202, which waited, is told and starts", (*play).takeTurns},
	{"a laptop takes a license along; elsewhere it is refused until it is returned", (*play).checkOut},
	{"the link to the cloud is cut; the site decides by the account's terms", (*play).cut},
	{"the leader is killed; nothing is lost", (*play).kill},
	{"the link is back; usage arrives once, provisional starts are confirmed", (*play).mend},
}

// play is what the steps share: the stage, and who is on it.
type play struct {
	*stage

	ada101, ada202, ada202old, ben7, ben303 *desktop
	ada, ben                                *client.Session // what runs
	ended                                   []string        // sessions and checkouts whose usage must arrive
}

func need(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func (p *play) fill(ctx context.Context) (string, error) {
	began := time.Now()
	var seen api.Status
	err := until(ctx, func() error {
		for _, n := range p.nodes {
			s, err := n.status(ctx)
			if err != nil {
				return err
			}
			if !s.Mirror.Filled || s.Counts.Users != demoUsers || s.Cluster.Leader == "" || !s.Link.Up {
				return fmt.Errorf("%s has %d of %d users, leader %q, link up %t", s.Node, s.Counts.Users, demoUsers, s.Cluster.Leader, s.Link.Up)
			}
			seen = s
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	filled := time.Since(began)
	if err := errors.Join(
		need(seen.Counts.Products == len(p.cloud.Products()), "the mirror has %d products, the cloud %d", seen.Counts.Products, len(p.cloud.Products())),
		need(seen.Counts.Licenses == len(p.cloud.Licenses()), "the mirror has %d licenses, the cloud %d", seen.Counts.Licenses, len(p.cloud.Licenses())),
		need(seen.Autonomy.CappedMS == demoAutonomy.Milliseconds(), "the account's terms are %d ms, want %s", seen.Autonomy.CappedMS, demoAutonomy),
		need(p.only.Refused() == 0, "the cloud refused %d connections that did not come through the proxy", p.only.Refused()),
	); err != nil {
		return "", err
	}
	if p.ada101, err = p.desktop(ctx, emulator.UserA, "WS-101", "25.00.01.10"); err != nil {
		return "", err
	}
	if p.ada202, err = p.desktop(ctx, emulator.UserA, "WS-202", "25.00.01.10"); err != nil {
		return "", err
	}
	if p.ada202old, err = p.desktop(ctx, emulator.UserA, "WS-202", "22.00.00.05"); err != nil {
		return "", err
	}
	if p.ben7, err = p.desktop(ctx, emulator.UserB, "LT-7", "25.00.01.10"); err != nil {
		return "", err
	}
	if p.ben303, err = p.desktop(ctx, emulator.UserB, "WS-303", "25.00.01.10"); err != nil {
		return "", err
	}
	tunnels := p.proxy.Stats()
	return fmt.Sprintf("%d users, %d products, %d licenses in %s; %s signed in at %s; the proxy asked for credentials %d times, %d tunnels",
		seen.Counts.Users, seen.Counts.Products, seen.Counts.Licenses, short(filled), p.ada101.email, demoIssuer, tunnels.Challenged, tunnels.Tunnels), nil
}

func (p *play) start(ctx context.Context) (string, error) {
	began := time.Now()
	s, err := p.ada101.Start(ctx, emulator.ProductCapped, client.WithVersion("24.0.1.7"))
	if err != nil {
		return "", err
	}
	took := time.Since(began)
	p.ada = s
	active := p.cloud.Active(emulator.UserA)
	return fmt.Sprintf("%s, license %s, confirmed by the cloud, in %s", s.LicenseType, s.License, short(took)), errors.Join(
		need(s.LicenseType == "Practitioner", "license type %q, want Practitioner", s.LicenseType),
		need(!s.Provisional, "granted provisionally though the link is up"),
		need(slices.Equal(active, []string{"WS-101"}), "the cloud's books have %v active, want WS-101", active))
}

func (p *play) refuse(ctx context.Context) (string, error) {
	began := time.Now()
	told := p.ada101.expect(func(n api.Notice) bool { return n.Kind == api.KindAttempted && n.Machine == "WS-202" })
	s, err := p.ada202.Start(ctx, emulator.ProductCapped)
	if err == nil {
		return "", fmt.Errorf("granted to %s while WS-101 is active", s.Machine.Name)
	}
	took := time.Since(began)
	sentence, err := refusal(err, client.ErrActiveElsewhere)
	if err != nil {
		return "", err
	}
	want := fmt.Sprintf(vendorsSentence, "WS-101")
	if err := need(strings.Contains(sentence, want), "the user reads %q, want the vendor's sentence %q", sentence, want); err != nil {
		return "", err
	}
	heard, err := told(ctx)
	if err != nil {
		return "", fmt.Errorf("WS-101 did not hear of the attempt: %w", err)
	}
	noticed := heard.Sub(began)
	_, err = p.ada202old.Start(ctx, emulator.ProductCapped)
	older, err := refusal(err, client.ErrActiveElsewhere)
	if err != nil {
		return "", err
	}
	if err := need(!strings.Contains(older, "WS-101") && strings.Contains(older, "active on another machine"),
		"a client before 23.0.1.25 reads %q, want the sentence without a name", older); err != nil {
		return "", err
	}
	return fmt.Sprintf("%q in %s; WS-101 heard of it after %s; an older client is not told the name", want, short(took), short(noticed)), nil
}

func (p *play) takeTurns(ctx context.Context) (string, error) {
	w, err := p.ada202.Wait(ctx, emulator.ProductCapped)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := p.ada.Stop(ctx); err != nil {
		return "", err
	}
	p.ended = append(p.ended, p.ada.ID)
	select {
	case <-w.Done():
	case <-ctx.Done():
		return "", fmt.Errorf("WS-202 was not told that it is free: %w", ctx.Err())
	}
	told := time.Since(began)
	if w.Err() != nil {
		return "", w.Err()
	}
	if p.ada, err = p.ada202.Start(ctx, emulator.ProductCapped); err != nil {
		return "", err
	}
	return fmt.Sprintf("told %s after WS-101 closed it, running after %s", short(told), short(time.Since(began))),
		need(!p.ada.Provisional, "granted provisionally though the link is up")
}

func (p *play) checkOut(ctx context.Context) (string, error) {
	end := time.Now().Add(72 * time.Hour)
	c, err := p.ben7.CheckOut(ctx, emulator.ProductCapped, end)
	if err != nil {
		return "", err
	}
	_, err = p.ben303.Start(ctx, emulator.ProductCapped)
	sentence, err := refusal(err, client.ErrActiveElsewhere)
	if err != nil {
		return "", err
	}
	if err := need(strings.Contains(sentence, `"LT-7"`), "the user reads %q, want it to name LT-7", sentence); err != nil {
		return "", err
	}
	if err := p.ben7.Return(ctx, c.ID); err != nil {
		return "", err
	}
	p.ended = append(p.ended, c.ID)
	if p.ben, err = p.ben303.Start(ctx, emulator.ProductCapped); err != nil {
		return "", err
	}
	return fmt.Sprintf("LT-7 has it until %s; WS-303 refused naming LT-7, and granted after the return", end.UTC().Format("2006-01-02 15:04 MST")), nil
}

func (p *play) cut(ctx context.Context) (string, error) {
	delivered := len(p.cloud.Usage())
	down := p.ada202.expect(func(n api.Notice) bool { return n.Kind == api.KindLinkDown })
	began := time.Now()
	p.proxy.SetLink(proxy.Down)
	heard, err := down(ctx)
	if err != nil {
		return "", fmt.Errorf("the desktops were not told that the link is down: %w", err)
	}
	if err := p.ben.Stop(ctx); err != nil {
		return "", err
	}
	p.ended = append(p.ended, p.ben.ID)
	if p.ben, err = p.ben7.Start(ctx, emulator.ProductCapped); err != nil {
		return "", fmt.Errorf("the account's terms grant %s, but: %w", demoAutonomy, err)
	}
	_, err = p.ada101.Start(ctx, emulator.ProductCapped)
	sentence, err := refusal(err, client.ErrActiveElsewhere)
	if err != nil {
		return "", fmt.Errorf("one machine must hold without the cloud, too: %w", err)
	}
	_, err = p.ben7.CheckOut(ctx, emulator.ProductCapped, time.Now().Add(24*time.Hour))
	if _, err := refusal(err, client.ErrCloudNeeded); err != nil {
		return "", fmt.Errorf("a checkout needs the cloud: %w", err)
	}
	status, err := p.nodes[0].status(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("noticed after %s; the terms grant %s without the cloud: LT-7 granted, provisional; WS-101 refused naming WS-202; a checkout refused",
			short(heard.Sub(began)), demoAutonomy), errors.Join(
			need(p.ben.Provisional, "granted as confirmed though the cloud could not be asked"),
			need(strings.Contains(sentence, `"WS-202"`), "the user reads %q, want it to name WS-202", sentence),
			need(p.ada.Left() > 0, "what ran has lost its right: %v", p.ada.Err()),
			need(len(p.cloud.Usage()) == delivered, "usage reached a cloud that cannot be reached"),
			need(status.Usage.Waiting > 0, "no usage is waiting"))
}

func (p *play) kill(ctx context.Context) (string, error) {
	leader, err := leaderOf(ctx, p.nodes)
	if err != nil {
		return "", err
	}
	granted := func(n api.Notice) bool { return n.Kind == api.KindGranted && n.Product == emulator.ProductCapped2 }
	heardA, heardB := p.ada101.expect(granted), p.ada202.expect(granted)
	leader.kill()
	began := time.Now()
	second, err := p.ada202.Start(ctx, emulator.ProductCapped2)
	if err != nil {
		return "", fmt.Errorf("the next start after the leader was killed: %w", err)
	}
	took := time.Since(began)
	_, err = p.ada101.Start(ctx, emulator.ProductCapped)
	sentence, err := refusal(err, client.ErrActiveElsewhere)
	if err != nil {
		return "", fmt.Errorf("a hold was lost: %w", err)
	}
	for name, heard := range map[string]func(context.Context) (time.Time, error){"WS-101": heardA, "WS-202": heardB} {
		if _, err := heard(ctx); err != nil {
			return "", fmt.Errorf("%s missed a notice: %w", name, err)
		}
	}
	left := p.ada.Left()
	p.ada.Beat()
	if err := until(ctx, func() error { return need(p.ada.Left() > left, "no heartbeat was acknowledged since") }); err != nil {
		return "", err
	}
	me, err := p.ben7.Me(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s killed; the next start was answered after %s; both holds are there; websockets are back without a gap, and a beat got its lease", leader.name, short(took)),
		errors.Join(
			need(second.Provisional, "granted as confirmed though the cloud could not be asked"),
			need(strings.Contains(sentence, `"WS-202"`), "the user reads %q, want it to name WS-202", sentence),
			need(len(me.Sessions) == 1 && me.Sessions[0].ID == p.ben.ID, "the second user's sessions are %v, want %s", me.Sessions, p.ben.ID),
			need(p.ada101.gaps()+p.ada202.gaps() == 0, "a websocket had a gap"))
}

func (p *play) mend(ctx context.Context) (string, error) {
	confirmed := p.ben7.expect(func(n api.Notice) bool { return n.Kind == api.KindConfirmed && n.ID == p.ben.ID })
	began := time.Now()
	p.proxy.SetLink(proxy.Up)
	heard, err := confirmed(ctx)
	if err != nil {
		return "", fmt.Errorf("the provisional start was not confirmed: %w", err)
	}
	times := func() map[string]int {
		n := map[string]int{}
		for _, u := range p.cloud.Usage() {
			n[u.SessionID]++
		}
		return n
	}
	if err := until(ctx, func() error {
		got := times()
		for _, id := range p.ended {
			if got[id] != 1 {
				return fmt.Errorf("the cloud has %d usage records of %s, want 1", got[id], id)
			}
		}
		return nil
	}); err != nil {
		return "", err
	}
	arrived := time.Since(began)
	if err := until(ctx, func() error {
		me, err := p.ada202.Me(ctx)
		if err != nil {
			return err
		}
		for _, s := range me.Sessions {
			if s.Provisional {
				return fmt.Errorf("session %s is still provisional", s.ID)
			}
		}
		return nil
	}); err != nil {
		return "", err
	}
	ada, ben := p.cloud.Active(emulator.UserA), p.cloud.Active(emulator.UserB)
	return fmt.Sprintf("confirmed after %s; %d usage records, each once, after %s; the cloud has %s and %s active",
			short(heard.Sub(began)), len(p.ended), short(arrived), strings.Join(ada, ", "), strings.Join(ben, ", ")), errors.Join(
			need(slices.Equal(ada, []string{"WS-202"}), "the cloud's books have %v active for the first user, want WS-202", ada),
			need(slices.Equal(ben, []string{"LT-7"}), "the cloud's books have %v active for the second user, want LT-7", ben))
}

// refusal returns the sentence of a refusal for the expected reason, and an
// error for anything else.
func refusal(err error, want client.Reason) (string, error) {
	var e *client.Error
	switch {
	case err == nil:
		return "", fmt.Errorf("granted, want a refusal (%s)", want)
	case !errors.Is(err, want):
		return "", fmt.Errorf("got %w, want a refusal (%s)", err, want)
	case errors.As(err, &e):
		return e.Detail, nil
	default:
		return err.Error(), nil
	}
}

// until asks again and again until there is no error or ctx ends.
func until(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// short rounds a duration to what a reader wants to know.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
