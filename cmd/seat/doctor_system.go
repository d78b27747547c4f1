package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"sitegate/desktop"
)

const (
	dotNet462 = 394802 // release number of .NET Framework 4.6.2

	clientPractitioner = "10.0.18"   // R13: below, use counts as pooled
	clientNames        = "23.0.1.25" // R7: from here on a refusal names the machine
)

// checkSystem looks at what the vendor's client needs (R26), and at names that keep it
// from being installed or updated (R20). said is the client's version as a flag or
// setting has it.
func checkSystem(s desktop.System, said string, f *findings) {
	checkName(s.User, f)
	if s.OS != "windows" {
		f.add(skip, "system", s.OS, "the vendor's CONNECTION Client runs on Windows only; seat does not need it", "")
	} else {
		checkWindows(s, f)
	}
	checkClient(first(said, s.ConnectionClient), f)
}

func checkName(user string, f *findings) {
	odd := strings.IndexFunc(user, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" ._-", r)
	})
	switch {
	case user == "":
		f.add(skip, "user name", "", "the system does not tell it", "")
	case odd >= 0:
		f.add(warn, "user name", user, "has special characters, with which the CONNECTION Client cannot be installed", "Have IT install it under another account.")
	case strings.Contains(user, " "):
		f.add(warn, "user name", user, "has a space, with which the CONNECTION Client cannot be updated", "Have IT update it under another account.")
	default:
		f.add(pass, "user name", user, "has nothing in it that an installation stumbles over", "")
	}
}

func checkWindows(s desktop.System, f *findings) {
	nt := fmt.Sprintf("Windows NT %d.%d, build %d", s.Major, s.Minor, s.Build)
	if s.Major < 6 || s.Major == 6 && s.Minor < 2 {
		f.add(fail, "system", "", nt+" is too old for today's CONNECTION Client (Windows 8.1, 10, Server 2012, 2016 and later)", "Ask IT for a newer computer, or for the client's older version.")
	} else {
		f.add(pass, "system", "", nt, "")
	}
	switch {
	case s.DotNet == 0:
		f.add(warn, "system", ".NET", "no .NET Framework 4 was found", "Have IT install .NET Framework 4.6.2 or later.")
	case s.DotNet < dotNet462:
		f.add(fail, "system", ".NET", fmt.Sprintf("the .NET Framework is older than 4.6.2 (release %d)", s.DotNet), "Have IT install .NET Framework 4.6.2 or later.")
	default:
		f.add(pass, "system", ".NET", "4.6.2 or later", "")
	}
	if v := s.InternetExplorer; v != "" && older(v, "9") {
		f.add(fail, "system", "Internet Explorer", v+" is older than 9, which the sign-in window needs", "Have IT update it.")
	}
}

func checkClient(version string, f *findings) {
	const ask = "Have IT install the newest CONNECTION Client."
	switch {
	case version == "":
		f.add(skip, "client", "", "no CONNECTION Client was found, and none was named (--client-version)", "")
	case older(version, clientPractitioner):
		f.add(fail, "client", version, "is older than 10.00.18: use is not recorded as Practitioner and may cost", ask)
	case older(version, clientNames):
		f.add(warn, "client", version, "is older than 23.0.1.25: a refusal does not name the other machine", ask)
	default:
		f.add(pass, "client", version, "is new enough", "")
	}
}

// older reports whether one version, with dots and perhaps leading zeros, comes before
// another.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range bs {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		y, _ = strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return false
}
