// Command mutants breaks the program on purpose, one patch at a time, and sees
// the test that each patch names go red. A mutant that survives means a rule
// that nothing guards.
//
//	go run ./deploy/tools/mutants/main.go [-j 2] [DIRECTORY OR PATCH ...]
//
// A patch begins with two lines, then is what `git diff` prints:
//
//	Breaks: what is broken, in a sentence
//	Caught by: ./package TestName [-args ...]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

type mutant struct {
	file, breaks string
	test         []string // package, test, arguments
}

func read(file string) (mutant, error) {
	m := mutant{file: file}
	data, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "Breaks: "); ok {
			m.breaks = strings.TrimSpace(text)
		} else if text, ok := strings.CutPrefix(line, "Caught by: "); ok {
			m.test = strings.Fields(text)
		}
	}
	if m.breaks == "" || len(m.test) < 2 {
		return m, fmt.Errorf("%s does not say what it breaks and which test catches it", file)
	}
	return m, nil
}

// try reports whether the named test goes red once the patch is applied to the
// tree in dir. A mutant that does not compile proves nothing.
func (m mutant) try(dir string) (caught bool, err error) {
	run := func(name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	patch, err := filepath.Abs(m.file)
	if err != nil {
		return false, err
	}
	if out, err := run("git", "apply", patch); err != nil {
		return false, fmt.Errorf("the patch no longer applies: %s", strings.TrimSpace(out))
	}
	defer run("git", "checkout", "-q", ".")
	args := append([]string{"test", "-count=1", "-timeout=2m", "-run", "^" + m.test[1] + "$", m.test[0]}, m.test[2:]...)
	out, err := run("go", args...)
	switch {
	case err == nil && strings.Contains(out, "no tests to run"):
		return false, fmt.Errorf("%s has no test %s", m.test[0], m.test[1])
	case err == nil:
		return false, nil
	case strings.Contains(out, "--- FAIL: "+m.test[1]), strings.Contains(out, "panic: "):
		return true, nil
	}
	return false, fmt.Errorf("it does not compile or run:\n%s", out[:min(len(out), 1000)])
}

func main() {
	jobs := flag.Int("j", 2, "how many at once")
	flag.Parse()
	if err := work(*jobs, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func patches(args []string) ([]mutant, error) {
	var files []string
	for _, arg := range args {
		if strings.HasSuffix(arg, ".patch") {
			files = append(files, arg)
			continue
		}
		list, err := filepath.Glob(filepath.Join(arg, "*.patch"))
		if err != nil {
			return nil, err
		}
		files = append(files, list...)
	}
	slices.Sort(files)
	var out []mutant
	for _, file := range files {
		m, err := read(file)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no patches in %v", args)
	}
	return out, nil
}

func work(jobs int, args []string) error {
	if len(args) == 0 {
		args = []string{"deploy/mutants"}
	}
	mutants, err := patches(args)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	next := make(chan mutant)
	var mu sync.Mutex
	caught := 0
	var wg sync.WaitGroup
	for i := range jobs {
		dir := filepath.Join(tmp, fmt.Sprint(i))
		if out, err := exec.Command("git", "clone", "-q", "--shared", ".", dir).CombinedOutput(); err != nil {
			return fmt.Errorf("copying the tree: %s", bytes.TrimSpace(out))
		}
		wg.Go(func() {
			for m := range next {
				red, err := m.try(dir)
				verdict := "SURVIVED"
				switch {
				case err != nil:
					verdict = "BROKEN   " + err.Error() + "\n"
				case red:
					verdict = "caught"
				}
				mu.Lock()
				if red {
					caught++
				}
				fmt.Printf("%-9s %s: %s\n", verdict, strings.TrimSuffix(filepath.Base(m.file), ".patch"), m.breaks)
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		next <- m
	}
	close(next)
	wg.Wait()
	fmt.Printf("mutants %d caught %d\n", len(mutants), caught)
	if caught < len(mutants) {
		return fmt.Errorf("%d mutants were not caught", len(mutants)-caught)
	}
	return nil
}
