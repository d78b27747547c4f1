package desktop

import (
	"os/user"
	"runtime"
)

// System is what a computer says of itself, and of the vendor's client on it. What is
// not known is empty.
type System struct {
	OS               string // windows, linux, darwin
	Major, Minor     uint32 // of Windows NT
	Build            uint32
	User             string // who is logged in, without the domain
	DotNet           uint32 // release number of .NET Framework 4
	InternetExplorer string // version
	ConnectionClient string // version
}

// Examine asks the system.
func Examine() System {
	s := System{OS: runtime.GOOS}
	if u, err := user.Current(); err == nil {
		s.User = bare(u.Username)
	}
	s.examine()
	return s
}

// bare is a user's name without the domain.
func bare(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '\\' || name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}
