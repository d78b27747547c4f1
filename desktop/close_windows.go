package desktop

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const wmClose = 0x0010

var postMessage = windows.NewLazySystemDLL("user32.dll").NewProc("PostMessageW")

// ErrNoWindow: the program has no window that could be closed.
var ErrNoWindow = errors.New("it has no window that could be closed")

// AskToClose asks a program to end, so that it can ask its user to save: WM_CLOSE to
// the windows of it and of what it has started, as a click on their corner does. What
// has no window is not asked.
func AskToClose(p *os.Process) error {
	family, err := descendants(uint32(p.Pid))
	if err != nil {
		return err
	}
	asked := 0
	each := syscall.NewCallback(func(w windows.HWND, _ uintptr) uintptr {
		var pid uint32
		windows.GetWindowThreadProcessId(w, &pid)
		if family[pid] && windows.IsWindowVisible(w) {
			if ok, _, _ := postMessage.Call(uintptr(w), wmClose, 0, 0); ok != 0 {
				asked++
			}
		}
		return 1 // go on
	})
	if err := windows.EnumWindows(each, nil); err != nil {
		return err
	}
	if asked == 0 {
		return ErrNoWindow
	}
	return nil
}

// descendants are a process and all that it has started: programs often have a
// launcher. Windows gives a number anew when its process has ended, so a child is
// one only if it is younger.
func descendants(pid uint32) (map[uint32]bool, error) {
	all, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(all)
	parent := map[uint32]uint32{}
	e := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(all, &e); err == nil; err = windows.Process32Next(all, &e) {
		parent[e.ProcessID] = e.ParentProcessID
	}
	family := map[uint32]bool{pid: true}
	for grown := true; grown; {
		grown = false
		for child, of := range parent {
			if family[of] && !family[child] && begun(of) <= begun(child) {
				family[child], grown = true, true
			}
		}
	}
	return family, nil
}

// begun is when a process began, in ns since 1970; zero: it may not be asked, or
// is gone.
func begun(pid uint32) int64 {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return 0
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(h, &created, &exited, &kernel, &user) != nil {
		return 0
	}
	return created.Nanoseconds()
}
