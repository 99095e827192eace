package main

import (
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether a stream is a terminal. A character device alone
// would not do: /dev/null is one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// painter colours words, or leaves them where colour is not wanted. No meaning
// is carried by colour alone.
type painter bool

func (p painter) paint(c colour, s string) string {
	if !p || c == plain || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

func (a *app) painter(tty bool) painter {
	switch a.view.color {
	case "always":
		return true
	case "never":
		return false
	}
	return painter(tty && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb")
}

// clean replaces control characters and those that reorder or hide text, so
// that no text from elsewhere can drive or deceive the reader's terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func useColour(use string) colour {
	switch use {
	case "training", "active", "succeeded", "ready", "leader":
		return green
	case "mining":
		return cyan
	case "draining", "probation", "queued", "waiting", "held", "unknown":
		return yellow
	case "quarantined", "offline", "lost", "failed", "unreachable", "fenced", "stopped":
		return red
	case "parked", "cancelled":
		return dim
	}
	return plain
}
