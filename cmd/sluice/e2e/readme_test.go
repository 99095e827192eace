package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The README's commands are what a newcomer types: each runs here, in order,
// against the demo that `make run` starts.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	d := startDemo(t)
	ran := 0
	for line := range strings.Lines(string(text)) {
		command, _, _ := strings.Cut(strings.TrimSpace(line), " #")
		rest, ok := strings.CutPrefix(command, "./sluice ")
		if !ok {
			continue
		}
		args := strings.Fields(strings.ReplaceAll(rest, "deploy/examples", examplesDir(t)))
		ran++
		// What a job writes takes a moment to be there.
		poll(t, 20*time.Second, command, func() (bool, string) {
			a := d.run("", args...)
			return a.code == 0 && strings.TrimSpace(a.out) != "", a.out + a.err
		})
	}
	if ran < 5 {
		t.Fatalf("the README shows %d commands", ran)
	}
}
