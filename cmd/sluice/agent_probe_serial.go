package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial"
	"github.com/sluice-project/sluice/workload"
)

// parsePorts reads --serial.
func parsePorts(list []string) ([]serial.PortSpec, error) {
	var specs []serial.PortSpec
	for _, text := range list {
		spec, err := serial.ParsePort(text)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// probeLimit bounds a probe: all line speeds are tried.
const probeLimit = 30 * time.Second

// probeSerial shows what chips answer on a port. One that is in use is not
// disturbed: its holder is asked.
func (a *app) probeSerial(ctx context.Context, port, format string) error {
	spec, err := serial.ParsePort(port)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	st, err := serial.Probe(ctx, spec)
	if err != nil {
		return err
	}
	if format == "json" {
		raw, err := json.Marshal(struct {
			Model  workload.ModelName `json:"model"`
			Sample workload.Sample    `json:"sample"`
			Chain  serial.Status      `json:"chain"`
		}{st.ModelName(), st.Sample(), st})
		if err != nil {
			return err
		}
		return a.showJSON(raw)
	}
	l := lines{a: a}
	l.add("model", "%s", st.ModelName())
	l.add("state", "%s", strings.TrimSuffix(st.State+"; "+st.Note, "; "))
	l.add("line", "%d baud, %d bytes of noise", st.Baud, st.NoiseBytes)
	if st.Hashrate >= 0 && st.HashrateError >= 0 && st.State == "mining" {
		l.add("hashrate", "%s +- %s %% of %s expected", workload.FormatHashrate(st.Hashrate), workload.Decimal(int64(st.HashrateError)*100, 1), workload.FormatHashrate(st.ExpectedHashrate))
	} else {
		l.add("hashrate", "%s expected", workload.FormatHashrate(st.ExpectedHashrate))
	}
	if st.Nonces > 0 {
		l.add("nonces", "%d, %d wrong, %d twice", st.Nonces, st.HardwareErrors, st.Duplicates)
	}
	if st.MilliC >= 0 {
		l.add("temperature", "%s C", workload.Decimal(st.MilliC*1000, 1))
	}
	l.print()
	return nil
}
