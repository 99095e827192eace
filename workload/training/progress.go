package training

import (
	"bytes"
	"encoding/json"

	"github.com/sluice-project/sluice/workload"
)

// Progress is how far a job says it is. It appends one JSON object per line to
// SLUICE_PROGRESS, such as {"step":120,"steps":1000,"checkpoint":true}, each in
// a single write; checkpoint is true once that step is durable.
type Progress struct {
	Step  int64 // newest reported
	Steps int64 // of the whole job; 0 = not known
	Saved int64 // step of the newest complete checkpoint in sight; 0 = none
}

// Complete reports whether nothing done so far would be lost.
func (p Progress) Complete() bool { return p.Saved > 0 && p.Saved >= p.Step }

// ProgressTail is how much of the end of the file tells enough, in bytes.
const ProgressTail = 8 << 10

// ParseProgress reads the end of a progress file. Jobs are foreign programs:
// lines that make no sense, such as a first one cut in half, are passed over; a
// tail without any that does is an Invalid error.
func ParseProgress(tail []byte) (Progress, error) {
	var p Progress
	found := false
	for line := range bytes.Lines(tail) {
		var l struct {
			Step       *int64 `json:"step"`
			Steps      int64  `json:"steps"`
			Checkpoint bool   `json:"checkpoint"`
		}
		if json.Unmarshal(line, &l) != nil || l.Step == nil || *l.Step < 0 || l.Steps < 0 {
			continue
		}
		found = true
		p.Step, p.Steps = *l.Step, l.Steps
		if l.Checkpoint {
			p.Saved = *l.Step
		}
	}
	if !found {
		return p, workload.Errorf(workload.Invalid, "no line of the progress file can be read")
	}
	return p, nil
}
