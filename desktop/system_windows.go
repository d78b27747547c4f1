package desktop

import (
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// uninstall are where programs say their names and versions.
var uninstall = []string{
	`SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`,
	`SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall`,
}

// examine reads the registry. What is not there stays empty.
func (s *System) examine() {
	v := windows.RtlGetVersion()
	s.Major, s.Minor, s.Build = v.MajorVersion, v.MinorVersion, v.BuildNumber
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full`, registry.QUERY_VALUE); err == nil {
		if n, _, err := k.GetIntegerValue("Release"); err == nil {
			s.DotNet = uint32(n)
		}
		k.Close()
	}
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Internet Explorer`, registry.QUERY_VALUE); err == nil {
		if s.InternetExplorer, _, err = k.GetStringValue("svcVersion"); err != nil { // from 10 on
			s.InternetExplorer, _, _ = k.GetStringValue("Version")
		}
		k.Close()
	}
	for _, at := range uninstall {
		if s.ConnectionClient == "" {
			s.ConnectionClient = installed(at, "connection client")
		}
	}
}

// installed is the version of the first program there whose name contains part.
func installed(at, part string) string {
	all, err := registry.OpenKey(registry.LOCAL_MACHINE, at, registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return ""
	}
	defer all.Close()
	names, err := all.ReadSubKeyNames(-1)
	if err != nil {
		return ""
	}
	for _, name := range names {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, at+`\`+name, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		shown, _, _ := k.GetStringValue("DisplayName")
		version, _, _ := k.GetStringValue("DisplayVersion")
		k.Close()
		if strings.Contains(strings.ToLower(shown), part) {
			return version
		}
	}
	return ""
}
