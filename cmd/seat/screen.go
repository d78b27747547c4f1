package main

import "context"

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

// nowhere is the desktop of who wants to see nothing.
type nowhere struct{}

func (nowhere) Show(string, string)   {}
func (nowhere) Flush(context.Context) {}
