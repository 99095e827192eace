package device

import "github.com/sluice-project/sluice/workload"

// Equipper is a driver whose devices are worked by a process that must know
// more of them than their UUID, such as where on the network they are. Such a
// process sets the device's power itself.
type Equipper interface {
	// Equip returns environment for a workload on the device; it may hold
	// secrets. Denied: the device cannot be worked. NotFound: no such device.
	Equip(uuid string) ([]string, error)
}

// Equip returns what a workload on a device must know; false where the driver
// has nothing to add.
func (s *Set) Equip(id workload.DeviceID) ([]string, bool, error) {
	e, err := s.entry(id)
	if err != nil {
		return nil, false, err
	}
	equipper, ok := e.driver.(Equipper)
	if !ok {
		return nil, false, nil
	}
	env, err := equipper.Equip(e.device.UUID)
	return env, true, err
}
