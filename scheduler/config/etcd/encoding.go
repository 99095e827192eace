package etcd

import (
	"encoding/json"
	"strings"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

// note says who made a batch.
type note struct {
	Actor   string           `json:"actor"`
	At      workload.Instant `json:"at"` // ms since 1970
	Comment string           `json:"comment,omitempty"`
}

const header = "# sluice "

// encode puts the note, as one comment line of JSON, above the document.
func encode(n note, d config.Document) string {
	return header + n.line() + "\n" + string(config.Render(d))
}

func (n note) line() string {
	data, err := json.Marshal(n)
	if err != nil { // strings and an integer always marshal
		return "{}"
	}
	return string(data)
}

// noteOf reads the note of a stored document; one written by hand has none.
func noteOf(value string) note {
	var n note
	line, _, _ := strings.Cut(value, "\n")
	if text, ok := strings.CutPrefix(line, header); ok {
		_ = json.Unmarshal([]byte(text), &n) // a damaged note is no note
	}
	return n
}
