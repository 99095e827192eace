package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/runner/shim"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
)

// maxTails bounds how many logs one session may read at once.
const maxTails = 64

// tail begins or ends the reading of one log.
func (a *Agent) tail(s *session, r *pb.LogRequest) {
	if stop, ok := s.tails[r.GetId()]; ok {
		stop()
		delete(s.tails, r.GetId())
	}
	if r.GetCancel() {
		return
	}
	if len(s.tails) >= maxTails {
		a.send(chunk(&pb.LogChunk{Id: r.GetId(), End: true, Error: "too many logs are being read"}))
		return
	}
	dir, ok := a.runDir(r.GetJob(), r.GetAttempt())
	if !ok {
		a.send(chunk(&pb.LogChunk{Id: r.GetId(), Offset: r.GetOffset(), End: true, Error: fmt.Sprintf("no log of job %d is on this node", r.GetJob())}))
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.tails[r.GetId()] = cancel
	a.wg.Go(func() {
		defer cancel()
		stream(ctx, s, r, dir)
		a.call(s.ctx, func() { delete(s.tails, r.GetId()) })
	})
}

// followEvery is how often a log that is followed is looked at.
const followEvery = 100 * time.Millisecond

// stream sends a log from an offset to its end, and on as it grows while the
// workload runs.
func stream(ctx context.Context, s *session, r *pb.LogRequest, dir string) {
	offset := max(r.GetOffset(), 0)
	buf := make([]byte, 32<<10)
	for {
		// Asked before reading: what was written until the end is then read.
		_, err := os.Stat(filepath.Join(dir, shim.ExitFile))
		over := err == nil || !r.GetFollow()
		n, at, err := shim.ReadLog(dir, offset, buf)
		c := &pb.LogChunk{Id: r.GetId(), Offset: at, Data: append([]byte(nil), buf[:n]...)}
		if err != nil {
			c.End, c.Error = true, "the log is gone"
		}
		c.End = c.End || (n == 0 && over)
		if n > 0 || c.End {
			select {
			case s.logs <- chunk(c):
			case <-ctx.Done():
				return
			}
			offset = at + int64(n)
		}
		if c.End {
			return
		}
		if n == 0 {
			select {
			case <-time.After(followEvery):
			case <-ctx.Done():
				return
			}
		}
	}
}

func chunk(c *pb.LogChunk) *pb.AgentMessage {
	return &pb.AgentMessage{Body: &pb.AgentMessage_Log{Log: c}}
}

// runDir finds the newest run of an attempt, or of the newest attempt when it
// is 0.
func (a *Agent) runDir(job uint64, attempt int32) (string, bool) {
	root := filepath.Dir(a.runner.Dir("x"))
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", false
	}
	best, bestAttempt, bestStart := "", -1, -1
	for _, e := range entries {
		j, at, st, ok := parseRun(e.Name())
		if !ok || j != job || (attempt != 0 && at != int(attempt)) {
			continue
		}
		if at > bestAttempt || (at == bestAttempt && st > bestStart) {
			best, bestAttempt, bestStart = e.Name(), at, st
		}
	}
	return filepath.Join(root, best), best != ""
}

// parseRun reads the id of a training run, "j7-a1-s3".
func parseRun(name string) (job uint64, attempt, start int, ok bool) {
	f := strings.Split(name, "-")
	if len(f) != 3 || len(f[0]) < 2 || len(f[1]) < 2 || len(f[2]) < 2 || f[0][0] != 'j' || f[1][0] != 'a' || f[2][0] != 's' {
		return 0, 0, 0, false
	}
	job, err := strconv.ParseUint(f[0][1:], 10, 64)
	if err != nil {
		return 0, 0, 0, false
	}
	if attempt, err = strconv.Atoi(f[1][1:]); err != nil {
		return 0, 0, 0, false
	}
	start, err = strconv.Atoi(f[2][1:])
	return job, attempt, start, err == nil
}
