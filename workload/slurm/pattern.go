package slurm

import (
	"path"
	"strconv"
	"strings"
)

// Names fills the patterns of --output and --error.
type Names struct {
	Job, Name, User, Node string
	ArrayJob, ArrayTask   string // empty outside an array
	Restarts              int
	Step, Task, NodeRank  string // of srun; empty in a batch script
}

// File returns the path of an output file below dir. %% %A %a %b %J %j %N %n
// %r %s %t %u %x are known, each with a width up to 10 to which a number is
// padded; a backslash anywhere turns them off.
func (n Names) File(pattern, dir string) string {
	if !path.IsAbs(pattern) {
		pattern = path.Join(dir, pattern)
	}
	if strings.Contains(pattern, `\`) {
		return strings.ReplaceAll(pattern, `\`, "")
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			continue
		}
		j := i + 1
		for j < len(pattern) && pattern[j] >= '0' && pattern[j] <= '9' {
			j++
		}
		if j == len(pattern) {
			b.WriteString(pattern[i:])
			break
		}
		width, _ := strconv.Atoi(pattern[i+1 : j])
		text, ok := n.field(pattern[j])
		if !ok {
			text = pattern[i : j+1]
		} else if _, err := strconv.ParseUint(text, 10, 64); err == nil {
			text = strings.Repeat("0", max(0, min(width, 10)-len(text))) + text
		}
		b.WriteString(text)
		i = j
	}
	return b.String()
}

// noTask is what Slurm prints for the index of a job that is in no array.
const noTask = "4294967294"

func (n Names) field(c byte) (string, bool) {
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	switch c {
	case '%':
		return "%", true
	case 'A':
		return or(n.ArrayJob, n.Job), true
	case 'a':
		return or(n.ArrayTask, noTask), true
	case 'b':
		i, _ := strconv.Atoi(n.ArrayTask)
		return strconv.Itoa(i % 10), true
	case 'j':
		return n.Job, true
	case 'J':
		if n.Step != "" {
			return n.Job + "." + n.Step, true
		}
		return n.Job, true
	case 'N':
		return n.Node, true
	case 'n':
		return or(n.NodeRank, "0"), true
	case 'r':
		return strconv.Itoa(n.Restarts), true
	case 's':
		return or(n.Step, "batch"), true
	case 't':
		return or(n.Task, "0"), true
	case 'u':
		return n.User, true
	case 'x':
		return n.Name, true
	}
	return "", false
}
