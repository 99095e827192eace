package training

import (
	"encoding/json"

	"github.com/sluice-project/sluice/workload"
)

// Progress is what a job writes to SLUICE_PROGRESS, as one JSON object that
// replaces the last one by a rename.
type Progress struct {
	Step  int64  `json:"step"`
	Steps int64  `json:"steps,omitempty"` // 0 = not known
	Saved int64  `json:"saved"`           // step of the newest complete checkpoint
	Note  string `json:"note,omitempty"`
}

// Complete reports whether nothing done so far would be lost.
func (p Progress) Complete() bool { return p.Saved > 0 && p.Saved >= p.Step }

// MaxProgress bounds the file in bytes.
const MaxProgress = 4096

// ParseProgress reads a progress file; jobs are foreign programs, so whatever
// does not make sense is an Invalid error.
func ParseProgress(data []byte) (Progress, error) {
	var p Progress
	if len(data) > MaxProgress {
		return p, workload.Errorf(workload.Invalid, "progress file is longer than %d bytes", MaxProgress)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return Progress{}, workload.Errorf(workload.Invalid, "progress file is not readable: %w", err)
	}
	if p.Step < 0 || p.Steps < 0 || p.Saved < 0 {
		return Progress{}, workload.Errorf(workload.Invalid, "progress file has a negative step")
	}
	if len(p.Note) > 200 {
		p.Note = p.Note[:200]
	}
	return p, nil
}
