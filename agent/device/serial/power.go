package serial

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Waits of a power cycle.
const (
	resetHold   = 100 * time.Millisecond // the reset line low, and again until chips answer
	unplugged   = 2 * time.Second        // without the bus
	returnLimit = 10 * time.Second       // for the port to come back
)

// cyclePort takes chips through their reset as hard as the port's USB identity
// allows: by the reset line where there is one, or else by taking the device off
// the bus and letting it on again. NotFound: the port has neither. A bring-up
// alone does not revive a chip that has hung.
func cyclePort(ctx context.Context, sys, path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return portError(path, err)
	}
	p, ok := usbOf(sys, filepath.Base(real))
	if !ok {
		return workload.Errorf(workload.NotFound, "serial port %s is not on USB: its power cannot be cycled from here", path)
	}
	if q := productOf(p); q != nil && q.reset {
		all, err := usbPorts(sys)
		if err != nil {
			return workload.Errorf(workload.Unavailable, "%w", err)
		}
		control, err := openPort(filepath.Join(filepath.Dir(real), siblings(all, p)[0].Name))
		if err != nil {
			return err
		}
		defer control.Close()
		return pulseReset(ctx, control)
	}
	return reauthorise(ctx, p.dir, path)
}

// The control channel of bitaxe-raw: little-endian length of the whole packet,
// id, bus, page, command, data.
const (
	controlPageGPIO  = 6
	controlPinReset  = 0
	controlErrorMark = 0xff
)

func appendGPIO(b []byte, id, pin, level byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, 7)
	return append(b, id, 0, controlPageGPIO, pin, level)
}

// pulseReset holds the chips' reset line down for a moment.
func pulseReset(ctx context.Context, control io.ReadWriter) error {
	for i, level := range []byte{0, 1} {
		if _, err := control.Write(appendGPIO(nil, byte(i+1), controlPinReset, level)); err != nil {
			return workload.Errorf(workload.Unavailable, "reset line: %w", err)
		}
		if err := controlAnswer(control, byte(i+1)); err != nil {
			return err
		}
		if !pause(ctx, resetHold) {
			return ctx.Err()
		}
	}
	return nil
}

// controlAnswer reads the answer to a request: length of the data, id, data.
func controlAnswer(r io.Reader, id byte) error {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return workload.Errorf(workload.Unavailable, "reset line: %w", err)
	}
	n := binary.LittleEndian.Uint16(head[:])
	if n > 64 || head[2] != id {
		return workload.Errorf(workload.Unavailable, "reset line: the control port answers out of turn")
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return workload.Errorf(workload.Unavailable, "reset line: %w", err)
	}
	if n == 2 && data[0] == controlErrorMark {
		return workload.Errorf(workload.Unavailable, "reset line: the control port refuses with %#x", data[1])
	}
	return nil
}

// reauthorise unplugs a device in software. It does not cut the bus power on
// most hubs, but it resets what hangs on the adapter's lines.
func reauthorise(ctx context.Context, dir, path string) error {
	file := filepath.Join(dir, "authorized")
	if err := os.WriteFile(file, []byte("0"), 0); err != nil {
		return workload.Errorf(workload.Denied, "%w", err)
	}
	ok := pause(ctx, unplugged)
	// Also when we are to end: a device must not be left off the bus.
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		return workload.Errorf(workload.Unavailable, "%w", err)
	}
	for end := time.Now().Add(returnLimit); ok && time.Now().Before(end); ok = pause(ctx, 100*time.Millisecond) {
		if _, _, err := deviceNumber(path); err == nil {
			return nil
		}
	}
	return workload.Errorf(workload.NotFound, "serial port %s did not come back after its power cycle", path)
}
