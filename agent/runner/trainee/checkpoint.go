package trainee

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A checkpoint is magic(8) step(8) config(32) params(8 each) sha256(32), all
// integers little-endian; the digest covers everything before it.
const (
	magic    = "SLTRAIN1"
	fileSize = len(magic) + 8 + sha256.Size + 8*numParams + sha256.Size
	prefix   = "ckpt-"
	suffix   = ".bin"
	tempMark = ".part"
)

// errTorn reports a file that is not a whole checkpoint.
var errTorn = errors.New("torn or damaged")

// digest names the configuration on which a checkpoint depends. The number of
// steps is left out: a run may be extended.
func digest(seed uint64) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "two moons, tanh %d-%d-%d-1, batch %d, rate %g, noise %g, seed %d",
		inputs, hidden, hidden, batch, learnRate, noise, seed))
}

func encode(step int64, config [sha256.Size]byte, params []float64) []byte {
	b := make([]byte, 0, fileSize)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(step))
	b = append(b, config[:]...)
	for _, p := range params {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p))
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decode returns errTorn for a damaged file and ErrOtherRun for a sound one of
// another configuration.
func decode(b []byte, config [sha256.Size]byte) (step int64, params []float64, err error) {
	if len(b) != fileSize || string(b[:len(magic)]) != magic {
		return 0, nil, errTorn
	}
	body, sum := b[:fileSize-sha256.Size], b[fileSize-sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(sum) {
		return 0, nil, errTorn
	}
	body = body[len(magic):]
	step = int64(binary.LittleEndian.Uint64(body))
	if step < 0 {
		return 0, nil, errTorn
	}
	if [sha256.Size]byte(body[8:]) != config {
		return 0, nil, ErrOtherRun
	}
	body = body[8+sha256.Size:]
	params = make([]float64, numParams)
	for i := range params {
		params[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:]))
	}
	return step, params, nil
}

// store keeps the two newest good checkpoints of one run in a directory.
type store struct {
	dir      string
	config   [sha256.Size]byte
	previous int64 // last good one of this directory; 0 = none, step 0 is never worth keeping
}

// prepare makes the directory and removes what an interrupted save left.
func (s *store) prepare() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("trainee: checkpoint directory: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, prefix+"*"+tempMark))
	if err != nil {
		return fmt.Errorf("trainee: checkpoint directory: %w", err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("trainee: checkpoint directory: %w", err)
		}
	}
	return nil
}

func fileName(step int64) string { return fmt.Sprintf("%s%012d%s", prefix, step, suffix) }

// stepOf is the inverse of fileName.
func stepOf(name string) (int64, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if digits, ok2 := strings.CutSuffix(digits, suffix); ok && ok2 {
		step, err := strconv.ParseInt(digits, 10, 64)
		return step, err == nil && step >= 0
	}
	return 0, false
}

// save writes the step so that after a power cut either all of it or none of
// it is there: temporary file, fsync, rename, fsync of the directory. Older
// ones than the previous good one are then removed.
func (s *store) save(step int64, params []float64) (int64, error) {
	fail := func(err error) (int64, error) {
		return 0, fmt.Errorf("trainee: save step %d: %w", step, err)
	}
	final := filepath.Join(s.dir, fileName(step))
	if err := writeSync(final+tempMark, encode(step, s.config, params)); err != nil {
		os.Remove(final + tempMark)
		return fail(err)
	}
	if err := os.Rename(final+tempMark, final); err != nil {
		return fail(err)
	}
	if err := syncDir(s.dir); err != nil {
		return fail(err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fail(err)
	}
	for _, e := range entries {
		if n, ok := stepOf(e.Name()); ok && n != step && n != s.previous {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return fail(err)
			}
		}
	}
	s.previous = step
	return int64(fileSize), nil
}

func writeSync(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// checkpoint is one loaded file; own says it lies in the run's own directory.
type checkpoint struct {
	step   int64
	params []float64
	own    bool
}

// load returns the newest sound checkpoint of the store's directory and the
// further ones. Damaged files are reported through note and passed over; a
// sound one of another run is ErrOtherRun.
func (s *store) load(further []string, note func(format string, args ...any)) (checkpoint, bool, error) {
	type candidate struct {
		path string
		step int64
		own  bool
	}
	var found []candidate
	for i, dir := range append([]string{s.dir}, further...) {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return checkpoint{}, false, fmt.Errorf("trainee: resume: %w", err)
		}
		for _, e := range entries {
			if step, ok := stepOf(e.Name()); ok {
				found = append(found, candidate{filepath.Join(dir, e.Name()), step, i == 0})
			}
		}
	}
	// Newest first; the stable sort keeps the own directory ahead at a tie.
	slices.SortStableFunc(found, func(a, b candidate) int {
		switch {
		case a.step > b.step:
			return -1
		case a.step < b.step:
			return 1
		}
		return 0
	})
	for _, c := range found {
		b, err := readBounded(c.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rank 0 replaced it while we, another rank, were looking
		}
		if err != nil {
			return checkpoint{}, false, fmt.Errorf("trainee: resume: %w", err)
		}
		step, params, err := decode(b, s.config)
		if err == nil && step != c.step {
			err = errTorn
		}
		if errors.Is(err, errTorn) {
			note("checkpoint %s is %v, trying the one before", filepath.Base(c.path), err)
			continue
		}
		if err != nil {
			return checkpoint{}, false, fmt.Errorf("%s: %w", c.path, err)
		}
		return checkpoint{step, params, c.own}, true, nil
	}
	return checkpoint{}, false, nil
}

// readBounded reads at most one byte more than a checkpoint has.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(fileSize)+1))
}
