package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// errTorn is the errLine of a file that ends within a line.
var errTorn = fmt.Errorf("%w: it stops in the middle", errLine)

// lineReader reads lines of bounded length and knows where it is.
type lineReader struct {
	file   *os.File // nil when the lines come from elsewhere
	r      *bufio.Reader
	long   []byte // holds a line longer than r's buffer
	offset int64  // behind the last line
}

// openLines reads file between two offsets; the end of the file when to is
// negative.
func openLines(file string, from, to int64) (*lineReader, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if to < 0 {
		to = 1<<63 - 1
	}
	r := newLineReader(io.NewSectionReader(f, from, to-from))
	r.file, r.offset = f, from
	return r, nil
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

func (r *lineReader) close() error {
	if r == nil || r.file == nil {
		return nil
	}
	return r.file.Close()
}

// next returns a line without its line feed, good until the next call; nil at
// the end. A last line without line feed and one that is too long are errLine.
func (r *lineReader) next() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		switch {
		case err == nil && len(r.long) == 0:
			r.offset += int64(len(part))
			return part[:len(part)-1], nil
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
			if len(r.long)+len(part) > maxLine {
				return nil, fmt.Errorf("%w: longer than %d bytes", errLine, maxLine)
			}
			r.long = append(r.long, part...)
			if err == nil {
				r.offset += int64(len(r.long))
				return r.long[:len(r.long)-1], nil
			}
		case errors.Is(err, io.EOF):
			if len(r.long)+len(part) > 0 {
				return nil, errTorn
			}
			return nil, nil
		default:
			return nil, err
		}
	}
}
