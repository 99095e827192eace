package history

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-project/sluice/workload"
)

// mark remembers how much was durable when Sync last returned. What Open finds
// wrong behind it was being written when the server died and is cut; what it
// finds wrong before it was damaged later, and is never cut.
type mark struct {
	File string `json:"file"`
	Size int64  `json:"size"`
	Head
}

type markFile struct {
	Mark mark `json:"mark"`
	Sum  Hash `json:"sum"` // SHA-256 of the JSON of Mark
}

const markName = "history.mark"

func writeMark(dir string, m mark) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	data, err := json.Marshal(markFile{m, sha256.Sum256(body)})
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, markName+".tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", temp, err)
	}
	if err := os.Rename(temp, filepath.Join(dir, markName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func readMark(dir string) (mark, error) {
	file := filepath.Join(dir, markName)
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, err
	}
	var m markFile
	if err := json.Unmarshal(data, &m); err == nil {
		body, _ := json.Marshal(m.Mark)
		again, _ := json.Marshal(m)
		if m.Sum == sha256.Sum256(body) && string(again)+"\n" == string(data) {
			return m.Mark, nil
		}
	}
	return mark{}, workload.Errorf(workload.Internal, "%s was altered: its checksum does not match", file).
		Hint("check the disk; then move %s away, after which the end of the history is checked by its hashes alone", file)
}
