package agent

import "testing"

func FuzzParseRun(f *testing.F) {
	f.Add("j7-a1-s3")
	f.Add("m0-e5-s1")
	f.Fuzz(func(t *testing.T, name string) { parseRun(name) })
}

func TestParseRun(t *testing.T) {
	if job, attempt, start, ok := parseRun("j7-a12-s345"); !ok || job != 7 || attempt != 12 || start != 345 {
		t.Error(job, attempt, start, ok)
	}
	for _, bad := range []string{"", "m0-e5-s1", "j-a1-s1", "j7-a1", "j7-ax-s1", "j7-a1-s1-x"} {
		if _, _, _, ok := parseRun(bad); ok {
			t.Errorf("%q is taken for a training run", bad)
		}
	}
}
