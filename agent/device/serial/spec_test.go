package serial

import (
	"testing"

	"github.com/sluice-project/sluice/workload"
)

func TestParsePort(t *testing.T) {
	for in, want := range map[string]PortSpec{
		"/dev/ttyACM1":                                {Path: "/dev/ttyACM1"},
		"/dev/ttyACM1,model=BM1370,chips=4":           {Path: "/dev/ttyACM1", Model: "bm1370", Chips: 4},
		"/dev/pts/3,zero-bits=12":                     {Path: "/dev/pts/3", ZeroBits: 12},
		"/dev/serial/by-id/usb-OSMU_Bitaxe_1,chips=1": {Path: "/dev/serial/by-id/usb-OSMU_Bitaxe_1", Chips: 1},
	} {
		got, err := ParsePort(in)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", in, got, err)
		}
		if again, err := ParsePort(got.String()); err != nil || again != got {
			t.Errorf("%s reads back as %+v, %v", got, again, err)
		}
	}
	for _, in := range []string{"", ",model=bm1370", "/dev/x,model=bm9999", "/dev/x,chips=0", "/dev/x,chips=many", "/dev/x,zero-bits=33", "/dev/x,colour=red", "/dev/x,"} {
		if _, err := ParsePort(in); workload.KindOf(err) != workload.Invalid || err == nil {
			t.Errorf("%q: %v, want invalid", in, err)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add("/dev/ttyACM1,model=bm1370,chips=4,zero-bits=32")
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := ParsePort(s)
		if err != nil {
			return
		}
		if again, err := ParsePort(spec.String()); err != nil || again != spec {
			t.Fatalf("%q reads back as %+v, %v", s, again, err)
		}
	})
}
