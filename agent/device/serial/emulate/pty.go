package emulate

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pty is a pseudo-terminal: the chips' end, and the other one's name.
type pty struct {
	*os.File          // the chips' end
	line     *os.File // the host's end, held open: the line exists while nobody uses it
	path     string
}

func openPTY() (p *pty, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("emulate: open a pseudo-terminal: %w", err)
	}
	p = &pty{File: os.NewFile(uintptr(fd), "/dev/ptmx")}
	defer func() {
		if err != nil {
			p.File.Close()
		}
	}()
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("emulate: number of the pseudo-terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("emulate: unlock the pseudo-terminal: %w", err)
	}
	p.path = "/dev/pts/" + strconv.Itoa(n)
	if p.line, err = os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	if err := raw(int(p.line.Fd())); err != nil {
		p.line.Close()
		return nil, fmt.Errorf("emulate: %s: %w", p.path, err)
	}
	return p, nil
}

// raw makes a line carry bytes as they are, at the speed chips wake up with.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CBAUD|unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL | unix.BOTHER
	t.Ispeed, t.Ospeed = 115200, 115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS2, t)
}

// baud is the speed that the host has set.
func (p *pty) baud() int {
	t, err := unix.IoctlGetTermios(int(p.line.Fd()), unix.TCGETS2)
	if err != nil {
		return 0
	}
	return int(t.Ospeed)
}
