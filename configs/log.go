package configs

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
)

// Log is what the node writes about itself, and where to.
type Log struct {
	Level  string `key:"level"`  // debug, info, warn or error
	Format string `key:"format"` // text or json
	Target string `key:"target"` // stderr, file or syslog
	// File is where to, for file. One that is larger than FileMB megabytes is put aside as
	// FILE.1, that as FILE.2, of which FileKeep are kept at most.
	File     string `key:"file,path"`
	FileMB   int    `key:"file_mb"`
	FileKeep int    `key:"file_keep"`
	// Syslog is where to, for syslog: unix:///dev/log, udp://, tcp:// or tls://host:port.
	Syslog       string `key:"syslog"`
	SyslogCAFile string `key:"syslog_ca_file,path"` // of tls; empty: whom this system trusts
}

// The targets of the log.
const (
	LogStderr = "stderr"
	LogFile   = "file"
	LogSyslog = "syslog"
)

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// Handler writes to w what a validated Log asks for. replace changes attributes as slog's
// does; it may be nil.
func (l Log) Handler(w io.Writer, replace func(groups []string, a slog.Attr) slog.Attr) slog.Handler {
	o := &slog.HandlerOptions{Level: levels[l.Level], ReplaceAttr: replace}
	if l.Format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// SyslogServer is the network and the address of Syslog, for a validated Log; over TLS the
// network is tls.
func (l Log) SyslogServer() (network, address string) {
	network, address, _ = strings.Cut(l.Syslog, "://")
	return network, address
}

func (l *Log) validate(p *Problems) {
	p.oneOf("log.level", l.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", l.Format, "text", "json")
	p.oneOf("log.target", l.Target, LogStderr, LogFile, LogSyslog)
	if l.Target == LogFile && l.File == "" {
		p.add("log.file", "is missing; name the file that log.target file writes to")
	}
	if l.FileMB < 1 || l.FileMB > 10_000 {
		p.add("log.file_mb", "is %d; choose 1 to 10000", l.FileMB)
	}
	if l.FileKeep < 0 || l.FileKeep > 100 {
		p.add("log.file_keep", "is %d; choose 0 to 100", l.FileKeep)
	}
	if l.Target == LogSyslog && l.Syslog == "" {
		p.add("log.syslog", "is missing; write unix:///dev/log, or udp://, tcp:// or tls:// and host:port of the site's log server")
	}
	if l.Syslog != "" {
		p.syslog("log.syslog", l.Syslog)
	}
	if network, _ := l.SyslogServer(); l.SyslogCAFile != "" && network != "tls" {
		p.add("log.syslog_ca_file", "is for tls:// only; take it out, or have log.syslog begin with tls://")
	}
}

func (p *Problems) syslog(key, s string) {
	u, err := url.Parse(s)
	if err != nil {
		p.add(key, "%q is neither unix:///dev/log nor udp://, tcp:// or tls:// with host:port", mask(s))
		return
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || u.Path == "" || len(u.Path) > maxSocket {
			p.add(key, "%q names no socket; write three slashes: unix:///dev/log", mask(s))
		}
	case "udp", "tcp", "tls":
		if _, _, err := net.SplitHostPort(u.Host); err != nil || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			p.add(key, "%q is not %s://host:port", mask(s), u.Scheme)
			return
		}
		p.address(key, u.Host, reach)
	default:
		p.add(key, "%q is neither unix:///dev/log nor udp://, tcp:// or tls:// with host:port", mask(s))
	}
}
