package device

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// script is a driver that does as told.
type script struct {
	uuids []string
	err   error
	hang  map[string]chan struct{}
}

func (s *script) Name() string { return "script" }
func (s *script) Discover(context.Context) ([]workload.Device, error) {
	var ds []workload.Device
	for _, u := range s.uuids {
		ds = append(ds, workload.Device{UUID: u, Kind: workload.GPU, Health: workload.Healthy})
	}
	return ds, s.err
}
func (s *script) Sample(_ context.Context, uuid string) (workload.Sample, error) {
	if gate := s.hang[uuid]; gate != nil {
		<-gate // as deaf to its context as a hung driver
	}
	return workload.UnknownSample("", 1), nil
}
func (s *script) Close() error { return nil }

func ids(s *Set) map[string]workload.DeviceID {
	m := map[string]workload.DeviceID{}
	for _, d := range s.Devices() {
		m[d.UUID] = d.ID
	}
	return m
}

func TestSlotsStayWithTheHardware(t *testing.T) {
	d := &script{uuids: []string{"b", "a"}}
	s := NewSet("n1", []Driver{d}, nil, 0)
	s.Discover(t.Context())
	if got := ids(s); got["a"] != "n1/0" || got["b"] != "n1/1" {
		t.Errorf("first sight: %v", got)
	}
	// a is taken out, c is put in, and the agent starts anew.
	d.uuids = []string{"c", "b"}
	s = NewSet("n1", []Driver{d}, s.Slots(), 0)
	s.Discover(t.Context())
	if got := ids(s); got["b"] != "n1/1" || got["c"] != "n1/2" {
		t.Errorf("after an exchange: %v", got)
	}
}

func TestFailureIsNotZeroDevices(t *testing.T) {
	d := &script{uuids: []string{"a"}}
	s := NewSet("n1", []Driver{d}, nil, 0)
	s.Discover(t.Context())
	d.uuids, d.err = nil, errors.New("bus is gone")
	status := s.Discover(t.Context())
	if status[0].Err == nil || status[0].Devices != 0 {
		t.Errorf("status %+v", status)
	}
	devices := s.Devices()
	if len(devices) != 1 || devices[0].Health != workload.Failing || devices[0].Note != "bus is gone" {
		t.Errorf("devices %+v", devices)
	}
	d.uuids, d.err = []string{"a"}, nil
	s.Discover(t.Context())
	if devices := s.Devices(); devices[0].Health != workload.Healthy {
		t.Errorf("it came back, yet is %+v", devices)
	}
}

func TestAHungDeviceDelaysOnlyItself(t *testing.T) {
	gate := make(chan struct{})
	s := NewSet("n1", []Driver{&script{uuids: []string{"a", "b"}, hang: map[string]chan struct{}{"a": gate}}}, nil, 50*time.Millisecond)
	s.Discover(t.Context())
	if _, err := s.Sample(t.Context(), "n1/0"); workload.KindOf(err) != workload.Unavailable || err == nil {
		t.Errorf("hung: %v", err)
	}
	began := time.Now()
	if _, err := s.Sample(t.Context(), "n1/0"); err == nil || time.Since(began) > 40*time.Millisecond {
		t.Errorf("a second call waits for the first: %v after %v", err, time.Since(began))
	}
	if _, err := s.Sample(t.Context(), "n1/1"); err != nil {
		t.Errorf("its neighbour: %v", err)
	}
	close(gate)
	for {
		if _, err := s.Sample(t.Context(), "n1/0"); err == nil {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("it never comes back")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestUnknownDevice(t *testing.T) {
	s := NewSet("n1", nil, nil, 0)
	if _, err := s.Sample(t.Context(), "n1/9"); workload.KindOf(err) != workload.NotFound {
		t.Error(err)
	}
	if !slices.Equal(s.Devices(), []workload.Device{}) {
		t.Error("devices of nothing")
	}
}
