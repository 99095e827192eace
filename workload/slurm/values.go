package slurm

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxTime bounds a time limit; Slurm's own bound is of this order.
const maxTime = 10 * 366 * 24 * time.Hour

// parseTime reads a time limit: min, min:sec, h:m:s, d-h, d-h:m or d-h:m:s.
// Zero, -1, UNLIMITED and INFINITE are no limit, which is 0. Seconds round up to
// whole minutes.
func parseTime(s string) (time.Duration, error) {
	switch strings.ToLower(s) {
	case "-1", "unlimited", "infinite":
		return 0, nil
	}
	days, rest, dashed := strings.Cut(s, "-")
	if !dashed {
		days, rest = "0", s
	}
	fields := strings.Split(rest, ":")
	if len(fields) > 3 {
		return 0, fmt.Errorf("%q is no time: write minutes, min:sec, h:m:s, d-h, d-h:m or d-h:m:s", s)
	}
	var n []int64
	for _, f := range append([]string{days}, fields...) {
		v, err := strconv.ParseUint(f, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is no time: write minutes, min:sec, h:m:s, d-h, d-h:m or d-h:m:s", s)
		}
		n = append(n, int64(v))
	}
	var units []int64
	switch {
	case dashed:
		units = []int64{86400, 3600, 60, 1}
	case len(fields) == 3:
		units = []int64{0, 3600, 60, 1}
	default:
		units = []int64{0, 60, 1}
	}
	seconds := int64(0)
	for i, v := range n {
		seconds += v * units[i]
	}
	minutes := (seconds + 59) / 60
	if minutes > int64(maxTime/time.Minute) {
		return 0, fmt.Errorf("%q is longer than ten years", s)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// parseMemory reads an amount of memory in MiB. Zero means all of a node.
func parseMemory(s string) (int64, error) {
	bad := fmt.Errorf("%q is no amount of memory: write a whole number with K, M, G or T, such as 64G; without a unit it is MiB", s)
	digits := strings.TrimRight(s, "kKmMgGtTbB")
	n, err := strconv.ParseInt(digits, 10, 62)
	if err != nil || n < 0 {
		return 0, bad
	}
	unit := strings.ToLower(s[len(digits):])
	if len(unit) == 2 {
		unit = strings.TrimSuffix(unit, "b")
	}
	shift := 0
	switch unit {
	case "k":
		return (n + 1023) / 1024, nil
	case "", "m":
	case "g":
		shift = 10
	case "t":
		shift = 20
	default:
		return 0, bad
	}
	if n > math.MaxInt64>>(shift+20) {
		return 0, bad
	}
	return n << shift, nil
}

// maxArray bounds the number of jobs of one submission.
const maxArray = 1000

// parseArray reads 0-15, 0-15:4, 1,3,5 and 0-99%8.
func parseArray(s string) (*Array, error) {
	bad := func(why string) error {
		return fmt.Errorf("%q is no array: %s; write 0-15, 0-15:4, 1,3,5 or 0-99%%8", s, why)
	}
	list, limit, throttled := strings.Cut(s, "%")
	a := &Array{Step: 1}
	if throttled {
		n, err := strconv.ParseUint(limit, 10, 31)
		if err != nil || n == 0 {
			return nil, bad("the number after % must be at least 1")
		}
		a.Parallel = int(n)
	}
	for _, part := range strings.Split(list, ",") {
		span, by, stepped := strings.Cut(part, ":")
		first, last, ranged := strings.Cut(span, "-")
		from, err := strconv.ParseUint(first, 10, 31)
		if err != nil {
			return nil, bad("an index must be a whole number from 0")
		}
		to, step := from, uint64(1)
		if ranged {
			if to, err = strconv.ParseUint(last, 10, 31); err != nil || to < from {
				return nil, bad("a range must ascend")
			}
		}
		if stepped {
			if step, err = strconv.ParseUint(by, 10, 31); err != nil || step == 0 || !ranged {
				return nil, bad("a step is a whole number from 1 behind a range")
			}
			a.Step = int(step)
		}
		if (to-from)/step >= maxArray {
			return nil, bad(fmt.Sprintf("it has more than %d indices", maxArray))
		}
		for i := from; i <= to; i += step {
			a.Indices = append(a.Indices, int(i))
		}
		if len(a.Indices) > maxArray {
			return nil, bad(fmt.Sprintf("it has more than %d indices", maxArray))
		}
	}
	slices.Sort(a.Indices)
	a.Indices = slices.Compact(a.Indices)
	if a.Parallel >= len(a.Indices) {
		a.Parallel = 0
	}
	return a, nil
}

// gpus is a count of GPUs of a type, or of any.
type gpus struct {
	model string
	count int
}

const maxCount = 65_536

// parseCount reads N or TYPE:N, the form of --gpus.
func parseCount(s string) (gpus, error) {
	var total gpus
	for part := range strings.SplitSeq(s, ",") {
		name, digits, typed := strings.Cut(part, ":")
		if !typed {
			name, digits = "", part
		}
		n, err := strconv.ParseUint(digits, 10, 31)
		switch {
		case err != nil || n > maxCount || typed && name == "":
			return gpus{}, fmt.Errorf("%q is no number of GPUs: write N or TYPE:N", s)
		case total.count > 0:
			return gpus{}, fmt.Errorf("%q asks for GPUs of several types, which one gang cannot mix: name one", s)
		}
		total = gpus{name, int(n)}
	}
	return total, nil
}

// parseGres reads a list of name[[:type]:count] and returns its GPUs for each
// node, and the names of everything else in it.
func parseGres(s string) (g gpus, others []string, err error) {
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimPrefix(part, "gres:")
		part = strings.TrimPrefix(part, "gres/")
		// A socket binding such as gpu:4(S:0-1) says nothing about the number.
		part, _, _ = strings.Cut(part, "(")
		f := strings.Split(part, ":")
		switch {
		case part == "" || part == "none":
			continue
		case f[0] != "gpu":
			others = append(others, part)
			continue
		case g.count > 0:
			return g, nil, fmt.Errorf("%q asks for GPUs of several types, which one gang cannot mix: name one", s)
		}
		g = gpus{count: 1}
		switch len(f) {
		case 1:
		case 2:
			if n, err := strconv.ParseUint(f[1], 10, 31); err == nil {
				g.count = int(n)
			} else {
				g.model = f[1]
			}
		case 3:
			n, err := strconv.ParseUint(f[2], 10, 31)
			if err != nil {
				return g, nil, fmt.Errorf("%q is no list of gpu:N or gpu:TYPE:N", s)
			}
			g = gpus{f[1], int(n)}
		default:
			return g, nil, fmt.Errorf("%q is no list of gpu:N or gpu:TYPE:N", s)
		}
		if g.count > maxCount {
			return g, nil, fmt.Errorf("%q asks for more than %d GPUs", s, maxCount)
		}
	}
	return g, others, nil
}

// parseNodes reads N or MIN-MAX.
func parseNodes(s string) (from, to int, err error) {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	a, err1 := strconv.ParseUint(low, 10, 31)
	b, err2 := strconv.ParseUint(high, 10, 31)
	if err1 != nil || err2 != nil || a == 0 || b < a || b > maxCount {
		return 0, 0, fmt.Errorf("%q is no number of nodes: write N or MIN-MAX", s)
	}
	return int(a), int(b), nil
}

func parsePositive(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 || n > maxCount {
		return 0, fmt.Errorf("%q is not a whole number from 1 to %d", s, maxCount)
	}
	return int(n), nil
}

// signal is --signal=[R|B:]NAME[@SECONDS].
type signal struct {
	name  string // SIGUSR1
	shell bool   // B: the batch shell alone
	lead  time.Duration
}

// signalNumbers are those of Linux that a job may be asked to save by.
var signalNumbers = map[string]string{"1": "HUP", "2": "INT", "10": "USR1", "12": "USR2", "15": "TERM"}

func parseSignal(s string) (signal, error) {
	g := signal{lead: time.Minute}
	rest, at, timed := strings.Cut(s, "@")
	if timed {
		n, err := strconv.ParseUint(at, 10, 16)
		if err != nil {
			return g, fmt.Errorf("%q: the time after @ is a number of seconds up to 65535", s)
		}
		g.lead = time.Duration(n) * time.Second
	}
	if flags, name, ok := strings.Cut(rest, ":"); ok {
		for _, c := range flags {
			switch c {
			case 'B':
				g.shell = true
			case 'R': // for overlapping reservations, which there are none of
			default:
				return g, fmt.Errorf("%q: %q is not B or R", s, string(c))
			}
		}
		rest = name
	}
	name := strings.TrimPrefix(strings.ToUpper(rest), "SIG")
	if n, ok := signalNumbers[name]; ok {
		name = n
	}
	switch name {
	case "HUP", "INT", "USR1", "USR2", "TERM":
	default:
		return g, fmt.Errorf("%q: a job can be asked to save by HUP, INT, USR1, USR2 or TERM", s)
	}
	g.name = "SIG" + name
	return g, nil
}

// parseDependency reads TYPE:JOB[:JOB...][,TYPE:JOB...]. All of them must hold.
// JOB may be that of an array, or JOB_INDEX: whoever knows the jobs puts the
// ids they stand for in their place.
func parseDependency(s string) (after []dependency, err error) {
	if strings.Contains(s, "?") {
		return nil, fmt.Errorf("%q: alternatives (?) are not built: name jobs that must all have ended, with commas", s)
	}
	for part := range strings.SplitSeq(s, ",") {
		f := strings.Split(part, ":")
		on := ""
		switch f[0] {
		case "afterok":
			on = "success"
		case "afterany":
			on = "end"
		default:
			return nil, fmt.Errorf("%q is not built: afterok:JOB and afterany:JOB are", f[0])
		}
		if len(f) < 2 {
			return nil, fmt.Errorf("%q names no job", part)
		}
		for _, id := range f[1:] {
			id, delay, delayed := strings.Cut(id, "+")
			if delayed {
				return nil, fmt.Errorf("%q: a delay (+%s) is not built", part, delay)
			}
			job, index, indexed := strings.Cut(id, "_")
			n, err := strconv.ParseUint(job, 10, 63)
			if _, err2 := strconv.ParseUint(index, 10, 31); err != nil || n == 0 || indexed && err2 != nil {
				return nil, fmt.Errorf("%q is no job id", id)
			}
			after = append(after, dependency{id, on})
		}
	}
	return after, nil
}

type dependency struct{ job, on string }
