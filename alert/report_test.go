package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/alert/smtptest"
	"sitegate/license"
)

func (a at) Reported(_ context.Context, c license.NoteReport) error {
	a.mu.Lock()
	broken := a.broken
	a.mu.Unlock()
	if broken != nil {
		return broken
	}
	if out := a.do(c); out.Denial != nil {
		return fmt.Errorf("refused: %v", out.Denial)
	}
	return nil
}

// hourly is a report of each whole hour.
func hourly(failing *error) Schedule {
	return Schedule{Name: "hour", Last: func(at time.Time) (from, until time.Time) {
		until = at.UTC().Truncate(time.Hour)
		return until.Add(-time.Hour), until
	}, Make: func(_ context.Context, from, until time.Time) (Message, error) {
		if failing != nil && *failing != nil {
			return Message{}, *failing
		}
		return Message{Title: "of " + from.Format("15:04"), Text: "well\n"}, nil
	}}
}

// reports runs a node's reports; what it returns ends them.
func (s *site) reports(node string, of []Schedule, ways ...Way) (stop func()) {
	r := &Reports{Log: at{s, node}, URL: "https://" + node, Schedules: of, After: 10 * time.Minute, Ways: ways, Logger: slog.New(slog.DiscardHandler), Sent: func(string, error) {}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	return func() { cancel(); <-done }
}

// titles are how many messages arrived, and how many different keys they had.
func (b *box) titles() (n, keys int) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	for _, k := range b.keys {
		seen[k] = true
	}
	return len(b.got), len(seen)
}

func (b *box) tries() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tried
}

// A report is sent once by each way after its time is over, whichever nodes lead meanwhile;
// the first is that of the time in which it was set up.
func TestAReportIsSentOnceWhoeverLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight
		s := newSite()
		mail, hook := &box{name: "mail"}, &box{name: "hook"}
		s.lead("gw1")
		for _, node := range []string{"gw1", "gw2", "gw3"} {
			defer s.reports(node, []Schedule{hourly(nil)}, mail, hook)()
		}
		time.Sleep(9 * time.Minute)
		if n, _ := mail.titles(); n != 0 {
			t.Errorf("%d reports before the first is due", n)
		}
		time.Sleep(3 * time.Minute)
		for _, leader := range []string{"gw2", "", "gw3", "gw1"} {
			s.lead(leader)
			time.Sleep(10 * time.Minute)
		}
		for _, b := range []*box{mail, hook} {
			if n, keys := b.titles(); n != 1 || keys != 1 {
				t.Errorf("%s got %d reports with %d keys, want one", b.name, n, keys)
			}
		}
		time.Sleep(3 * time.Hour)
		if n, keys := mail.titles(); n != 4 || keys != 4 {
			t.Errorf("three hours later: %d reports with %d keys, want 4", n, keys)
		}
		s.lead("")
		time.Sleep(5 * time.Hour)
		s.lead("gw2")
		time.Sleep(5 * time.Minute)
		if n, _ := hook.titles(); n != 5 {
			t.Errorf("after five hours without a leader: %d reports, want one more, of the last hour", n)
		}
	})
}

// A way that fails is tried again and keeps no other back; what was sent and could not be
// noted is not sent again by the same leader, and with the same key by the next.
func TestAReportThatCannotBeSentIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite()
		mail, hook := &box{name: "mail"}, &box{name: "hook", err: errors.New("away")}
		s.lead("gw1")
		defer s.reports("gw1", []Schedule{hourly(nil)}, hook, mail)()
		defer s.reports("gw2", []Schedule{hourly(nil)}, hook, mail)()
		time.Sleep(2 * time.Hour)
		if n, _ := mail.titles(); n != 2 {
			t.Errorf("mail got %d reports while the other way is away, want 2", n)
		}
		if n := hook.tries(); n < 8 || n > 16 {
			t.Errorf("it was tried %d times in 110 minutes", n)
		}
		hook.breaks(nil)
		time.Sleep(time.Hour)
		if n, keys := hook.titles(); n == 0 || n != keys {
			t.Errorf("hook got %d reports with %d keys when it was back", n, keys)
		}
		s.mu.Lock()
		s.broken = errors.New("no majority answers")
		s.mu.Unlock()
		before, _ := mail.titles()
		time.Sleep(50 * time.Minute)
		if n, _ := mail.titles(); n != before+1 {
			t.Errorf("%d reports while nothing can be noted, want 1", n-before)
		}
		s.lead("gw2")
		time.Sleep(2 * time.Minute)
		if n, keys := mail.titles(); n != before+2 || keys != before+1 {
			t.Errorf("by the next leader: %d reports with %d keys, want the same once more", n, keys)
		}
	})
}

// What cannot be made is not sent, and made again later.
func TestAReportThatCannotBeMadeIsMadeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken := newSite(), errors.New("too many machines")
		mail := &box{name: "mail"}
		s.lead("gw1")
		stop := s.reports("gw1", []Schedule{hourly(&broken)}, mail)
		time.Sleep(90 * time.Minute)
		if n := mail.tries(); n != 0 {
			t.Errorf("%d tries with nothing to send", n)
		}
		stop()
		broken = nil
		defer s.reports("gw1", []Schedule{hourly(&broken)}, mail)()
		time.Sleep(time.Minute)
		if n, _ := mail.titles(); n != 1 {
			t.Errorf("got %d, want the report that was due", n)
		}
	})
}

// A mail has the text in it and the table with it; a webhook the numbers.
func TestAReportAsMailAndForAWebhook(t *testing.T) {
	pair, trust := certificate(t)
	server := &smtptest.Server{Certificate: pair}
	server.Start(t)
	s := newSite()
	r := &Reports{Log: at{s, "gw1"}, URL: "https://gw1.site.test"}
	m, err := r.make(t.Context(), Schedule{Name: "week", Make: func(context.Context, time.Time, time.Time) (Message, error) {
		return Message{Title: "Wochenbericht 2026-W47", Text: "Größte Spitze\n\tRoad 9\n", Table: []byte("section,item\nproduct,road\n"), TableName: "sitegate-2026-W47.csv", Report: json.RawMessage(`{"products":[]}`)}, nil
	}}, time.Unix(0, 0), time.Unix(3600, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := mailBy(server, trust).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := server.Got()
	if len(got) != 1 || got[0].ID() != "<"+m.Key+"@site.test>" || got[0].Message.Header.Get("Subject") != "[sitegate] Wochenbericht 2026-W47" {
		t.Fatalf("got %+v, want one with its key and title", got)
	}
	text := got[0].Body
	for _, want := range []string{"sitegate-2026-W47.csv", "text/csv"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	plain, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(text)))
	if !strings.Contains(string(plain), "Größte Spitze") || !strings.Contains(string(plain), "https://gw1.site.test/console") {
		t.Errorf("the text is %s", plain)
	}
	body, err := json.Marshal(m)
	if err != nil || !strings.Contains(string(body), `"report":{"products":[]}`) || !strings.Contains(string(body), `"state":"report"`) || strings.Contains(string(body), "section,item") {
		t.Errorf("a webhook gets %s, %v", body, err)
	}
}
