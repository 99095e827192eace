package workload

import (
	"fmt"
	"strconv"
	"strings"
)

// Identifiers are types so that swapped arguments do not compile.
type (
	// JobID numbers jobs from 1 in the order the log accepted them.
	JobID uint64
	// NodeID names a machine: [a-z0-9-]{1,63}.
	NodeID string
	// DeviceID is "<node>/<slot>", for example "n07/3". A slot belongs to one
	// piece of hardware (by UUID or serial number) for good, whatever order
	// the driver lists its devices in.
	DeviceID string
	// SiteName, HallName, RackName and the names below are those of documents.
	SiteName   string
	HallName   string
	RackName   string
	ModelName  string
	CoinName   string
	TenantName string
	PoolName   string
	// OptionID names one way to mine: a coin, or "coin#n" for the device
	// profile's n-th further power mode of the same algorithm.
	OptionID string
	// Epoch is the fencing epoch of a grant: the log index that made it.
	// Epochs of a device only grow; an agent refuses a lower one.
	Epoch uint64
	// BootID identifies one boot of one machine.
	BootID string
)

// String returns the decimal form that people type.
func (id JobID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ParseJobID reads the decimal form.
func ParseJobID(s string) (JobID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, Errorf(Invalid, "job id %q is not a positive whole number", s)
	}
	return JobID(n), nil
}

// NewDeviceID joins a node and a slot.
func NewDeviceID(node NodeID, slot int) DeviceID {
	return DeviceID(fmt.Sprintf("%s/%d", node, slot))
}

// Node returns the part before the slash.
func (id DeviceID) Node() NodeID {
	node, _, _ := strings.Cut(string(id), "/")
	return NodeID(node)
}

// Slot returns the number after the slash, or -1.
func (id DeviceID) Slot() int {
	_, slot, _ := strings.Cut(string(id), "/")
	n, err := strconv.Atoi(slot)
	if err != nil {
		return -1
	}
	return n
}

// Less orders devices by node name, then by slot as a number, so that n/10
// follows n/9.
func (id DeviceID) Less(other DeviceID) bool {
	if a, b := id.Node(), other.Node(); a != b {
		return a < b
	}
	if a, b := id.Slot(), other.Slot(); a != b {
		return a < b
	}
	return id < other
}

// Coin returns the coin of an option.
func (o OptionID) Coin() CoinName {
	coin, _, _ := strings.Cut(string(o), "#")
	return CoinName(coin)
}

// ValidName reports whether s may name a node, site, tenant or document:
// lower-case letters, digits and hyphens, 1 to 63 of them, as names become
// parts of paths and certificates.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
