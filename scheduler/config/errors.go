package config

import (
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// MaxErrors bounds the faults reported of one file.
const MaxErrors = 20

// Error is one fault of a file at its place.
type Error struct {
	File       string `json:"file"`
	Line       int    `json:"line"`   // from 1
	Column     int    `json:"column"` // from 1, in characters
	Path       string `json:"path,omitempty"`
	Text       string `json:"text"`
	Suggestion string `json:"suggestion,omitempty"` // the nearest known key
	Snippet    string `json:"snippet,omitempty"`    // the line with the one above it
}

// Error renders the fault in one line and its snippet below.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Text)
	if e.Suggestion != "" {
		fmt.Fprintf(&b, " - did you mean %q?", e.Suggestion)
	}
	if e.Snippet != "" {
		b.WriteString("\n" + e.Snippet)
	}
	return b.String()
}

// Errors are the faults of a file in the order of their places, MaxErrors at
// most. Their kind is workload.Invalid.
type Errors struct {
	List []*Error
	More int // faults beyond MaxErrors
}

func (e *Errors) Error() string {
	parts := make([]string, 0, len(e.List)+1)
	for _, one := range e.List {
		parts = append(parts, one.Error())
	}
	if e.More > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(parts, "\n")
}

// Unwrap gives the errors their kind.
func (e *Errors) Unwrap() error {
	return &workload.Error{Kind: workload.Invalid, Text: "the document is not valid"}
}

// snippet shows a line and the one above it, cut to a terminal's width.
func snippet(lines []string, line int) string {
	if line < 1 || line > len(lines) {
		return ""
	}
	var b strings.Builder
	if line > 1 {
		fmt.Fprintf(&b, "%5d | %s\n", line-1, shorten(lines[line-2]))
	}
	fmt.Fprintf(&b, " >%3d | %s", line, shorten(lines[line-1]))
	return b.String()
}

// shorten bounds a line and replaces what a terminal would act on.
func shorten(line string) string {
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case hiddenRune(r):
			return '?'
		}
		return r
	}, strings.TrimRight(strings.ToValidUTF8(line, "?"), "\r"))
	if runes := []rune(line); len(runes) > 120 {
		return string(runes[:117]) + "..."
	}
	return line
}
