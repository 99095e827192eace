package slurm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// maxHosts bounds what a nodelist may stand for.
const maxHosts = 65_536

// Compress writes nodes in Slurm's short form, in the order given: neighbours
// with one prefix and consecutive numbers of one width become a range.
func Compress(nodes []string) string {
	var out []string
	for i := 0; i < len(nodes); {
		prefix, digits := splitNumber(nodes[i])
		if digits == "" {
			out = append(out, nodes[i])
			i++
			continue
		}
		var ranges []string
		count := 0
		for i < len(nodes) {
			p, d := splitNumber(nodes[i])
			if p != prefix || d == "" {
				break
			}
			first, last := d, d
			for i++; i < len(nodes); i++ {
				p, next := splitNumber(nodes[i])
				if p != prefix || !follows(last, next) {
					break
				}
				last = next
				count++
			}
			count++
			if first == last {
				ranges = append(ranges, first)
			} else {
				ranges = append(ranges, first+"-"+last)
			}
		}
		if count == 1 {
			out = append(out, prefix+digits)
		} else {
			out = append(out, prefix+"["+strings.Join(ranges, ",")+"]")
		}
	}
	return strings.Join(out, ",")
}

func splitNumber(s string) (prefix, digits string) {
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' && len(s)-i < 18 {
		i--
	}
	return s[:i], s[i:]
}

// follows reports whether b is the number after a, written as Slurm would
// write it: zeros in front only to keep the width.
func follows(a, b string) bool {
	x, err1 := strconv.ParseUint(a, 10, 64)
	y, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || y != x+1 {
		return false
	}
	return fmt.Sprintf("%0*d", len(a), y) == b
}

// Expand lists the nodes of a nodelist such as n[01-03,07],gpu1. The error is
// Invalid.
func Expand(list string) ([]string, error) {
	var out []string
	depth, start := 0, 0
	for i := 0; i <= len(list); i++ {
		switch {
		case i < len(list) && list[i] == '[':
			depth++
		case i < len(list) && list[i] == ']':
			depth--
		case i == len(list) || list[i] == ',' && depth == 0:
			if part := strings.TrimSpace(list[start:i]); part != "" {
				nodes, err := expandPart(part)
				if err != nil {
					return nil, err
				}
				if out = append(out, nodes...); len(out) > maxHosts {
					return nil, workload.Errorf(workload.Invalid, "a nodelist of more than %d nodes", maxHosts)
				}
			}
			start = i + 1
		}
		if depth < 0 || depth > 1 {
			break
		}
	}
	if depth != 0 {
		return nil, workload.Errorf(workload.Invalid, "nodelist %.80q: brackets do not match", list)
	}
	return out, nil
}

func expandPart(part string) ([]string, error) {
	open := strings.IndexByte(part, '[')
	if open < 0 {
		return []string{part}, nil
	}
	end := strings.IndexByte(part, ']')
	if end < open {
		return nil, workload.Errorf(workload.Invalid, "nodelist %.80q: brackets do not match", part)
	}
	var tails []string
	for r := range strings.SplitSeq(part[open+1:end], ",") {
		first, last, ranged := strings.Cut(r, "-")
		if !ranged {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 62)
		b, err2 := strconv.ParseUint(last, 10, 62)
		if err1 != nil || err2 != nil || b < a || b-a >= maxHosts || len(tails) > maxHosts {
			return nil, workload.Errorf(workload.Invalid, "nodelist %.80q: %q is no range", part, r)
		}
		for n := a; n <= b; n++ {
			tails = append(tails, fmt.Sprintf("%0*d", len(first), n))
		}
	}
	rest, err := expandPart(part[end+1:])
	if err != nil {
		return nil, err
	}
	if len(rest)*len(tails) > maxHosts {
		return nil, workload.Errorf(workload.Invalid, "a nodelist of more than %d nodes", maxHosts)
	}
	var out []string
	for _, t := range tails {
		for _, r := range rest {
			out = append(out, part[:open]+t+r)
		}
	}
	return out, nil
}

// TasksPerNode spreads tasks over nodes as evenly as it goes, the first nodes
// taking what is left over; with perNode that many are put on each while they
// last.
func TasksPerNode(tasks, nodes, perNode int) []int {
	out := make([]int, max(nodes, 0))
	for i := range out {
		if perNode > 0 {
			out[i] = min(perNode, tasks)
			tasks -= out[i]
			continue
		}
		out[i] = tasks / (nodes - i)
		if tasks%(nodes-i) != 0 {
			out[i]++
		}
		tasks -= out[i]
	}
	return out
}

// Repeats writes counts in Slurm's short form: 2(x3),1.
func Repeats(counts []int) string {
	var out []string
	for i := 0; i < len(counts); {
		j := i
		for j < len(counts) && counts[j] == counts[i] {
			j++
		}
		text := strconv.Itoa(counts[i])
		if j-i > 1 {
			text += fmt.Sprintf("(x%d)", j-i)
		}
		out = append(out, text)
		i = j
	}
	return strings.Join(out, ",")
}
