package serial

import (
	"errors"
	"io"
	"os"

	ser "go.bug.st/serial"
	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/workload"
)

// Port is one serial line. Close makes a Read that waits return.
type Port interface {
	io.ReadWriteCloser
	// SetBaud changes the speed of the host's side.
	SetBaud(baud int) error
}

// slowBaud is what chips listen to after a reset.
const slowBaud = 115200

type port struct{ ser.Port }

func (p port) SetBaud(baud int) error { return p.SetMode(mode(baud)) }

// mode raises both control lines, explicitly: some adapters wire one of them to
// the chips' reset.
func mode(baud int) *ser.Mode {
	return &ser.Mode{BaudRate: baud, DataBits: 8, InitialStatusBits: &ser.ModemOutputBits{DTR: true, RTS: true}}
}

// openPort opens a line at the slow speed. Conflict: another program has it.
// NotFound: no such port. Denied: no permission.
func openPort(path string) (Port, error) {
	clear, err := exclusive(path)
	if err != nil {
		return nil, err
	}
	m := mode(slowBaud)
	if isPTY(path) {
		m.InitialStatusBits = nil // it has no such lines
	}
	p, err := ser.Open(path, m)
	if err != nil {
		clear()
		return nil, portError(path, err)
	}
	clear()
	return port{p}, nil
}

// exclusive refuses a port that another program keeps for itself. The kernel
// would do so too, but not for root, and two programs on one chain ruin both.
// The function returned is called once the port is open.
func exclusive(path string) (func(), error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, portError(path, err)
	}
	if isPTY(path) {
		// The other end keeps a pseudo-terminal open, so the mark of a holder
		// that was killed stays; our lock tells what is true.
		return func() { unix.IoctlSetInt(fd, unix.TIOCNXCL, 0); unix.Close(fd) }, nil
	}
	taken, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL)
	if err == nil && taken != 0 {
		unix.Close(fd)
		return nil, workload.Errorf(workload.Conflict, "serial port %s: another program has it", path)
	}
	return func() { unix.Close(fd) }, nil
}

// ptyMajor is the device number of pseudo-terminals.
const ptyMajor = 136

func isPTY(path string) bool {
	major, _, err := deviceNumber(path)
	return err == nil && major == ptyMajor
}

// deviceNumber names a port whatever path leads to it.
func deviceNumber(path string) (major, minor uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, portError(path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return 0, 0, workload.Errorf(workload.Invalid, "%s is not a serial port", path)
	}
	return unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)), nil
}

func portError(path string, err error) error {
	kind := workload.Unavailable
	var pe *ser.PortError
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		kind = workload.NotFound
	case errors.Is(err, os.ErrPermission):
		kind = workload.Denied
	case errors.Is(err, unix.EBUSY):
		kind = workload.Conflict
	case errors.As(err, &pe):
		switch pe.Code() {
		case ser.PortBusy:
			kind = workload.Conflict
		case ser.PermissionDenied:
			kind = workload.Denied
		case ser.PortNotFound:
			kind = workload.NotFound
		}
	}
	e := workload.Errorf(kind, "serial port %s: %w", path, err)
	if kind == workload.Denied {
		return e.Hint("add the account to the group that owns the port, usually dialout")
	}
	return e
}
