package slurm

import (
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// word is one argument and where it stands.
type word struct{ text, at string }

// directives collects the words of all #SBATCH lines. A directive begins at
// column 0, with or without white space after it; blank lines and comments are
// passed over; the first line of another kind ends the search.
func directives(file string, script []byte) ([]word, error) {
	var words []word
	n := 0
	for line := range strings.Lines(string(script)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		at := fmt.Sprintf("%s:%d", file, n)
		rest, ok := strings.CutPrefix(line, "#SBATCH")
		if !ok {
			rest, ok = strings.CutPrefix(line, "#SLURM")
		}
		if !ok {
			if trimmed := strings.TrimLeft(line, " \t\v\f"); trimmed != "" && trimmed[0] != '#' {
				break
			}
			continue
		}
		tokens, err := tokenize(rest)
		if err != nil {
			return nil, workload.Errorf(workload.Invalid, "%s: %w", at, err)
		}
		if len(tokens) == 1 && (tokens[0] == "hetjob" || tokens[0] == "packjob") {
			return nil, workload.Errorf(workload.Invalid, "%s: %s: jobs of unlike parts are not built", at, tokens[0]).Hint("submit one job for each part and join them with --dependency")
		}
		for _, t := range tokens {
			words = append(words, word{t, at})
		}
	}
	return words, nil
}

// tokenize splits a directive as Slurm does: at white space; quotes group; a
// backslash makes the next character literal, inside quotes too; an unquoted #
// ends the line even inside a word, and so does an empty word.
func tokenize(line string) ([]string, *workload.Error) {
	var tokens []string
	var b strings.Builder
	begun := false
	flush := func() bool {
		if !begun {
			return true
		}
		if b.Len() == 0 {
			return false
		}
		tokens = append(tokens, b.String())
		b.Reset()
		begun = false
		return true
	}
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line):
			i++
			begun = true
			b.WriteByte(line[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == '#':
			flush()
			return checked(tokens)
		case strings.IndexByte(" \t\v\f\r", c) >= 0:
			if !flush() {
				return checked(tokens)
			}
		default:
			begun = true
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, workload.Errorf(workload.Invalid, "unmatched %c", quote).Hint("close the quotation on the same line")
	}
	flush()
	return checked(tokens)
}

func checked(tokens []string) ([]string, *workload.Error) {
	for _, t := range tokens {
		if t[0] == ':' {
			return nil, workload.Errorf(workload.Invalid, "%q: a word of a directive must not begin with a colon", t)
		}
	}
	return tokens, nil
}
