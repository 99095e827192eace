package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/workload"
)

// record is all that an agent keeps on disk beside its run directories.
type record struct {
	Durable reconcile.Durable `json:"durable"`
	// PlanBody and PlanSignature are the newest plan obeyed, as signed: it is
	// verified again when it is read back.
	PlanBody      []byte `json:"plan_body,omitempty"`
	PlanSignature []byte `json:"plan_signature,omitempty"`
	// Journal holds the reports that no leader has acknowledged.
	Journal []reconcile.Report `json:"journal,omitempty"`
	Slots   map[string]int     `json:"slots,omitempty"`
	// Ladder is the place of sick devices on the health ladder, by UUID: a
	// restart must not take a quarantine for health.
	Ladder map[string]health.State `json:"ladder,omitempty"`
	Market market                  `json:"market,omitzero"`
}

// market maps the node's clock to the market clock.
type market struct {
	Wall   workload.Instant `json:"wall"`
	Market workload.Instant `json:"market"`
	Speed  int64            `json:"speed"`
	// Late is how far the market clock may be ahead, in market milliseconds.
	Late workload.Instant `json:"late,omitempty"`
}

// at converts; zero where no leader has told the market clock yet.
func (m market) at(wall workload.Instant) workload.Instant {
	if m.Speed == 0 {
		return 0
	}
	return m.Market + (wall-m.Wall)*workload.Instant(m.Speed)
}

// store writes the record with a checksum, atomically, and keeps the previous
// generation for a file that a disk has torn.
type store struct {
	dir  string
	lock *os.File
}

const (
	stateFile    = "agent.state"
	previousFile = "agent.state.previous"
	magic        = "sluice-agent-1 "
)

// openStore locks a data directory. It returns a Conflict error while another
// agent has it: two agents would run everything twice.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, workload.Errorf(workload.Unavailable, "data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "data directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, workload.Errorf(workload.Conflict, "another agent uses %s", dir).Hint("stop it, or give this one its own data directory")
	}
	return &store{dir: dir, lock: lock}, nil
}

func (s *store) close() error { return s.lock.Close() }

// load reads the newest intact generation. note says what was wrong with a
// newer one.
func (s *store) load() (rec record, note string, err error) {
	for i, name := range []string{stateFile, previousFile} {
		data, readErr := os.ReadFile(filepath.Join(s.dir, name))
		if errors.Is(readErr, os.ErrNotExist) {
			continue
		}
		rec, decodeErr := decodeRecord(data)
		if decodeErr = errors.Join(readErr, decodeErr); decodeErr != nil {
			note += fmt.Sprintf("%s is damaged: %v; ", name, decodeErr)
			continue
		}
		if i > 0 && note == "" {
			note = stateFile + " is missing; "
		}
		return rec, note, nil
	}
	if note != "" {
		// Starting from nothing would forget every epoch.
		return record{}, note, workload.Errorf(workload.Internal, "agent state in %s: %s", s.dir, note).
			Hint("restore it, or remove both files once nothing runs on this node and the leader has fenced it")
	}
	return record{}, "", nil
}

func (s *store) save(rec record) error {
	data, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	current, tmp := filepath.Join(s.dir, stateFile), filepath.Join(s.dir, "."+stateFile)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// The current file is linked, not moved: there is no moment without one.
	previous, link := filepath.Join(s.dir, previousFile), filepath.Join(s.dir, "."+previousFile)
	os.Remove(link)
	if err := os.Link(current, link); err == nil {
		if err := os.Rename(link, previous); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, current); err != nil {
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func encodeRecord(rec record) ([]byte, error) {
	body, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append([]byte(magic+hex.EncodeToString(sum[:])+"\n"), body...), nil
}

func decodeRecord(data []byte) (record, error) {
	head, body, ok := bytes.Cut(data, []byte("\n"))
	digits, isOurs := bytes.CutPrefix(head, []byte(magic))
	if !ok || !isOurs {
		return record{}, errors.New("not an agent's state")
	}
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != string(digits) {
		return record{}, errors.New("checksum differs")
	}
	var rec record
	err := json.Unmarshal(body, &rec)
	return rec, err
}

// now of three clocks.
func (a *Agent) now() reconcile.Now {
	wall := workload.Instant(a.config.Now().UnixMilli())
	return reconcile.Now{Wall: wall, Boot: a.config.Boottime(), Market: a.record.Market.at(wall), Speed: a.record.Market.Speed, Late: a.record.Market.Late}
}

// maxJournal bounds the reports kept while no leader can be reached.
const maxJournal = 8192

// trim forgets the oldest mining reports first: the leader learns from the
// next Hello what mines, but a training end is told only once.
func trim(journal []reconcile.Report) []reconcile.Report {
	over := len(journal) - maxJournal
	if over <= 0 {
		return journal
	}
	kept := make([]reconcile.Report, 0, maxJournal)
	for _, r := range journal {
		if over > 0 && r.Job == 0 {
			over--
			continue
		}
		kept = append(kept, r)
	}
	return kept[max(len(kept)-maxJournal, 0):]
}

const saveEvery = time.Second
