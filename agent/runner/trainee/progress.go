package trainee

import (
	"encoding/json"
	"fmt"
	"os"
)

// ProgressEnv names the environment variable with the progress file.
const ProgressEnv = "SLUICE_PROGRESS"

// Progress is one line of the progress file. Checkpoint is true once the step
// is durable, and Bytes is then the size of the file.
type Progress struct {
	Step       int64   `json:"step"`
	Steps      int64   `json:"steps"`
	Loss       float64 `json:"loss"`
	Checkpoint bool    `json:"checkpoint"`
	Bytes      int64   `json:"bytes"`
}

func (r *run) openProgress() error {
	name := r.cfg.Getenv(ProgressEnv)
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("trainee: progress file: %w", err)
	}
	r.progress = f
	return nil
}

func (r *run) closeProgress() {
	if r.progress != nil {
		r.progress.Close()
	}
}

// report appends one line in a single write, so that a reader never sees two
// lines mixed.
func (r *run) report(loss float64, checkpointBytes int64) error {
	if r.progress == nil {
		return nil
	}
	line, err := json.Marshal(Progress{
		Step: r.net.step, Steps: r.cfg.Steps, Loss: loss, Checkpoint: checkpointBytes > 0, Bytes: checkpointBytes,
	})
	if err == nil {
		_, err = r.progress.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("trainee: progress file: %w", err)
	}
	return nil
}
