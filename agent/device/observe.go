package device

import "github.com/sluice-project/sluice/workload"

// Observer is a driver of devices that work by themselves for somebody else
// and cannot be given work: the agent reports them as held by a foreign hand.
type Observer interface {
	// Observed says who holds a device, or "" where it can be given work.
	Observed(uuid string) string
}

// Observed says who holds a device that only can be observed.
func (s *Set) Observed(id workload.DeviceID) string {
	e, err := s.entry(id)
	if err != nil {
		return ""
	}
	if o, ok := e.driver.(Observer); ok {
		return o.Observed(e.device.UUID)
	}
	return ""
}
