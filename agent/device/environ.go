package device

import "github.com/sluice-project/sluice/workload"

// Environer is a driver whose devices a workload can only find by what it is
// told: a serial port has no UUID that a miner could look for.
type Environer interface {
	// Environ lists variables, as NAME=value, for a workload on the device.
	Environ(uuid string) []string
}

// Environ is what a workload on a device must be told.
func (s *Set) Environ(id workload.DeviceID) []string {
	e, err := s.entry(id)
	if err != nil {
		return nil
	}
	if v, ok := e.driver.(Environer); ok {
		return v.Environ(e.device.UUID)
	}
	return nil
}
