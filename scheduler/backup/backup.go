// Package backup is the file that `sluice cluster snapshot` writes and reads: the
// replicated state and where its history stands, with a checksum over all. It is
// a package because a server writes the file and a command line without a server
// reads it.
//
// The file is lines of text: the format's name, a header, where the history
// stands, the state, and the SHA-256 of the four before it. The middle two are
// what a server's own snapshots hold.
package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/sluice-project/sluice/scheduler/history"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

const (
	format  = "sluice-backup 1\n"
	trailer = "sha256 %s\n"
	// trailerSize is the length of the last line.
	trailerSize = int64(len("sha256 ") + 2*sha256.Size + 1)
)

// Header says where a backup comes from. Index and Term are those of the newest
// entry that the state holds.
type Header struct {
	Cluster string           `json:"cluster"`
	Server  string           `json:"server"`
	Version string           `json:"version"` // of the program that wrote it
	Index   uint64           `json:"index"`
	Term    uint64           `json:"term"`
	Wall    workload.Instant `json:"wall_ms"` // real clock of the writer
	// Stale is set where no server led: what other servers had acknowledged may
	// be missing.
	Stale bool `json:"stale,omitempty"`
}

// Write writes a backup. body writes where the history stands and the state, as
// Body describes them.
func Write(w io.Writer, h Header, body io.WriterTo) error {
	sum := sha256.New()
	both := io.MultiWriter(w, sum)
	if _, err := io.WriteString(both, format); err != nil {
		return err
	}
	if err := json.NewEncoder(both).Encode(h); err != nil {
		return err
	}
	if _, err := body.WriteTo(both); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, trailer, hex.EncodeToString(sum.Sum(nil)))
	return err
}

// Body is the two lines of a backup that a server's own snapshots hold too.
type Body struct {
	History history.Head
	State   *state.State
}

type bodyHeader struct {
	History history.Head `json:"history"`
}

var _ io.WriterTo = Body{}

// WriteTo writes the lines.
func (b Body) WriteTo(w io.Writer) (int64, error) {
	count := &counter{w: w}
	if err := json.NewEncoder(count).Encode(bodyHeader{b.History}); err != nil {
		return count.n, err
	}
	return count.n, b.State.Save(count)
}

// ReadBody reads what WriteTo wrote.
func ReadBody(r io.Reader) (Body, error) {
	in := bufio.NewReader(r)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return Body{}, fmt.Errorf("reading the head of a snapshot: %w", err)
	}
	var h bodyHeader
	if err := json.Unmarshal(line, &h); err != nil {
		return Body{}, fmt.Errorf("reading the head of a snapshot: %w", err)
	}
	s, err := state.Load(in)
	return Body{h.History, s}, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// File is a backup that was read and whose checksum is right.
type File struct {
	Header
	Body
	SHA256 string
	Size   int64 // bytes
}

// Open reads a backup. Errors: NotFound, and Invalid for a file that is none, is
// cut short or was altered; nothing of such a file is used.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, workload.Errorf(workload.NotFound, "there is no file %s", name)
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out, err := read(f, info.Size())
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "%s is no whole backup: %w", name, err).
			Hint("take another copy of the file, or an older backup")
	}
	return out, nil
}

func read(f io.ReaderAt, size int64) (*File, error) {
	begin := make([]byte, len(format))
	if _, err := f.ReadAt(begin, 0); err != nil || string(begin) != format {
		return nil, fmt.Errorf("it does not begin with %q", bytes.TrimSpace([]byte(format)))
	}
	if size < int64(len(format))+trailerSize {
		return nil, errors.New("it is cut short")
	}
	last := make([]byte, trailerSize)
	if _, err := f.ReadAt(last, size-trailerSize); err != nil {
		return nil, err
	}
	said, ok := bytes.CutPrefix(bytes.TrimSuffix(last, []byte("\n")), []byte("sha256 "))
	if !ok {
		return nil, errors.New("it is cut short: the line with its checksum is missing")
	}
	sum, err := digest(io.NewSectionReader(f, 0, size-trailerSize))
	if err != nil {
		return nil, err
	}
	out := &File{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}
	if out.SHA256 != string(said) {
		return nil, fmt.Errorf("it was altered: its checksum is %.16s..., not %.16s... as its last line says", out.SHA256, said)
	}
	in := bufio.NewReader(io.NewSectionReader(f, int64(len(format)), size-trailerSize-int64(len(format))))
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &out.Header); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	if out.Body, err = ReadBody(in); err != nil {
		return nil, err
	}
	if out.State.Index != out.Index {
		return nil, fmt.Errorf("its header tells of entry %d, its state of entry %d", out.Index, out.State.Index)
	}
	return out, nil
}

func digest(r io.Reader) (hash.Hash, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return h, err
}
