package main

import (
	"context"
	"time"
)

// notifier shows texts on the desktop. desktop.Notifier is the system's.
type notifier interface {
	Show(title, text string)
	Flush(ctx context.Context) // waits until it was shown
}

// screen is where notices are shown besides stderr.
func (s *seat) screen(o *options) notifier {
	if o.notify == "off" {
		return nowhere{}
	}
	return s.desktop("sitegate")
}

// flush has a desktop show what was said last, if it is quick about it, before seat
// ends.
func flush(ctx context.Context, n notifier) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	n.Flush(ctx)
}

// nowhere is the desktop of who wants to see nothing.
type nowhere struct{}

func (nowhere) Show(string, string)   {}
func (nowhere) Flush(context.Context) {}
