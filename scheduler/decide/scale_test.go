//go:build unix

package decide

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"testing"
)

func cpuMs() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec)*1e3 + float64(u.Utime.Usec+u.Stime.Usec)/1e3
}

func TestScaleProbe(t *testing.T) {
	if os.Getenv("PROBE") == "" {
		t.Skip()
	}
	runtime.GOMAXPROCS(1)
	var devices, jobs int
	var seed uint64
	fmt.Sscanf(os.Getenv("PROBE"), "%d,%d,%d", &devices, &jobs, &seed)
	p := Generate(devices, jobs, ShapeDefault, seed)
	p.Policy.HoldGapPPM = 0
	var w0 int64
	for _, o := range p.Offers {
		w0 += o.Width
	}
	t.Logf("classes %d cells %d offers %d rows %d", len(p.Classes), len(p.Mining), len(p.Offers), len(p.Rows))
	if f := os.Getenv("PROF"); f != "" {
		o, _ := os.Create(f)
		pprof.StartCPUProfile(o)
		defer pprof.StopCPUProfile()
	}
	a := cpuMs()
	in := compile(&p)
	t.Logf("compile %.1f ms places %d", cpuMs()-a, len(in.places))
	in = nil
	a = cpuMs()
	r, w := Solve(&p, nil, Quick)
	t.Logf("quick %.1f ms gap %d work %+v", cpuMs()-a, r.GapPPM, r.Work)
	a = cpuMs()
	r, w = Solve(&p, nil, Budget{})
	t.Logf("cold %.1f ms gap %d work %+v", cpuMs()-a, r.GapPPM, r.Work)
	rng := splitmix(1)
	q := p
	for i := 0; i < 5; i++ {
		q = coinTick(q, &rng)
		a = cpuMs()
		r, w = Solve(&q, w, Budget{})
		t.Logf("tick %.1f ms gap %d work %+v", cpuMs()-a, r.GapPPM, r.Work)
	}
	h := q
	h.Policy.HoldGapPPM = 80000
	h = coinTick(h, &rng)
	for i := 0; i < 2; i++ {
		a = cpuMs()
		r, _ = Solve(&h, w, Budget{})
		t.Logf("hold %.1f ms gap %d %s", cpuMs()-a, r.GapPPM, r.Stage)
	}
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	t.Logf("maxrss %d MB", u.Maxrss/1024)
}
