package desktop

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	currentServer  = 0
	currentSession = 0xffffffff
	clientName     = 10 // WTSClientName

	workstation  = 1      // VER_NT_WORKSTATION
	singleUserTS = 0x0100 // VER_SUITE_SINGLEUSERTS: a desktop for one, for administration
)

var wtsQuery = windows.NewLazySystemDLL("wtsapi32.dll").NewProc("WTSQuerySessionInformationW")

// Origin is the name of the machine that a user of a multi-user server comes from,
// where the system tells it (KB0019679): the client of a Remote Desktop or Citrix
// session on a server for many. A desktop that is used from afar is a machine
// itself.
func Origin() (name string, there bool) {
	v := windows.RtlGetVersion()
	if v.ProductType == workstation || v.SuiteMask&singleUserTS != 0 {
		return "", false
	}
	var text *uint16
	var size uint32
	ok, _, _ := wtsQuery.Call(currentServer, currentSession, clientName, uintptr(unsafe.Pointer(&text)), uintptr(unsafe.Pointer(&size)))
	if ok == 0 || text == nil {
		return "", false
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(text)))
	name = windows.UTF16PtrToString(text)
	return name, name != "" // the server's own console has none
}
