package bm

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What other drivers were seen to send.
func TestCommands(t *testing.T) {
	m97, m66, m68, m70 := mustModel("bm1397"), mustModel("bm1366"), mustModel("bm1368"), mustModel("bm1370")
	clock := func(m *Model, p PLL) Command { return Write(All, RegPLL0, m.Register(p)) }
	for want, c := range map[string]Command{
		"55AA520500000A":          Read(All, RegChipID),
		"55AA5305000003":          Inactive(),
		"55AA400500001C":          SetAddress(0),
		"55AA4005020001":          SetAddress(2),
		"55AA4005040003":          SetAddress(4), // a data sheet in circulation prints 15
		"55AA400506001E":          SetAddress(6),
		"55AA4005080007":          SetAddress(8),
		"55AA4205401C0B":          Read(0x40, 0x1c),
		"55AA51090080000000001C":  Write(All, 0x80, 0),
		"55AA4109401800007A3111":  Write(0x40, RegMisc, m97.Baud.At(ResetDivider)),
		"55AA4109283C000006FF0A":  Write(0x28, RegCore, 0x6ff),
		"55AA4109283C8000850113":  Write(0x28, RegCore, 0x80008501),
		"55AA510900A49000FFFF1C":  Write(All, RegRolling, Rolling(0x1fffe000)),
		"55AA510900A80007000003":  Write(All, RegReset, 0x00070000),
		"55AA410900A8000701F015":  Write(0, RegReset, 0x000701f0),
		"55AA51090018FF0FC10000":  Write(All, RegMisc, 0xff0fc100),
		"55AA51090018F000C10004":  Write(All, RegMisc, 0xf000c100),
		"55AA41090018F000C1000C":  Write(0, RegMisc, 0xf000c100),
		"55AA5109003C800085400C":  Write(All, RegCore, 0x80008540),
		"55AA4109003C800082AA05":  Write(0, RegCore, 0x800082aa),
		"55AA5109003C80008DEE1B":  Write(All, RegCore, 0x80008dee),
		"55AA51090058021111 1106": Write(All, 0x58, 0x02111111),
		"55AA510900B9000044800D":  Write(All, 0xb9, 0x00004480),
		"55AA510900281130020003":  Write(All, RegFastUART, m70.Baud.At(m70.Baud.Fast)),
		"55AA51090014000000001C":  Write(All, RegTicket, Ticket(0)),
		"55AA51090014000000F01E":  Write(All, RegTicket, Ticket(4)),
		"55AA51090014000000FC07":  Write(All, RegTicket, Ticket(6)),
		"55AA51090014000000FF08":  Write(All, RegTicket, Ticket(8)),
		"55AA510900140000 80FF04": Write(All, RegTicket, Ticket(9)),
		"55AA510900140000C0FF02":  Write(All, RegTicket, Ticket(10)),
		"55AA51090010000015A40A":  Write(All, RegSweep, 0x15a4),
		"55AA510900084044022107":  clock(m97, PLL{68, 2, 2, 1}),
		"55AA510900084048022116":  clock(m97, PLL{72, 2, 2, 1}),
		"55AA5109000850C202401C":  clock(m66, PLL{194, 2, 5, 1}),
		"55AA5109000850C4024006":  clock(m68, PLL{196, 2, 5, 1}),
		"55AA5109000840A8023003":  clock(m70, PLL{168, 2, 4, 1}),
		"55AA5109000850C0023005":  clock(m70, PLL{192, 2, 4, 1}),
		"55AA5109000840AF026408":  clock(m70, PLL{175, 2, 7, 5}),
		"55AA5109000840BD026501":  clock(m70, PLL{189, 2, 7, 6}),
	} {
		wire := unhex(t, want)
		if got := c.Bytes(); !bytes.Equal(got, wire) {
			t.Errorf("%v is % X, want % X", c, got, wire)
		}
		var r Requests
		var back []Command
		r.Push(append([]byte{0x55, 0x55, 0xaa}, wire...), func(c Command) { back = append(back, c) }, func([]byte) { t.Error("taken for a job") })
		if len(back) != 1 || back[0].Op != c.Op || back[0].Value != c.Value || !bytes.Equal(back[0].Bytes(), wire) {
			t.Errorf("%v is read back as %v", c, back)
		}
	}
	var r Requests
	r.Push(unhex(t, "55AA4005040015"), func(c Command) { t.Errorf("%v has a bad checksum and is taken", c) }, nil)
}

func mustModel(name string) *Model {
	m, err := ByName(name)
	if err != nil {
		panic(err)
	}
	return m
}

func TestReplies(t *testing.T) {
	m70, m97, m62 := mustModel("bm1370"), mustModel("bm1397"), mustModel("bm1362")
	for _, c := range []struct {
		m    *Model
		wire string
		want Reply
	}{
		{m70, "AA55137000000000 06", Reply{Register: Register{Value: 0x13700000}}},
		{m70, "AA5513700000000000 0010", Reply{Register: Register{Value: 0x13700000}}},
		{mustModel("bm1368"), "AA5513680000000000000F", Reply{Register: Register{Value: 0x13680000}}},
		{m97, "AA5513971800000006", Reply{Register: Register{Value: 0x13971800}}},
		{m97, "AA550000C100001802", Reply{Register: Register{Value: 0xc100, Reg: RegMisc}}},
		{m97, "AA550000000004F003", Reply{Register: Register{Chip: 4, Reg: 0xf0}}},
		{m97, "AA5597C328B601639C", Reply{IsNonce: true, Nonce: Nonce{Value: 0xb628c397, Excess: 1, Job: 0x60, Lane: 3}}},
		{m70, "AA551800A640029922F991", Reply{IsNonce: true, Nonce: Nonce{Value: 0x40a60018, Excess: 2, Job: 0x48, Lane: 9, Version: 0x22f9 << 13}}},
		{m62, "AA556DB88EE10104035494", Reply{IsNonce: true, Nonce: Nonce{Value: 0xe18eb86d, Excess: 1, Job: 0, Lane: 4, Version: 0x0354 << 13}}},
		{m70, "AA554C0352750CD205A29C", Reply{IsNonce: true, Nonce: Nonce{Value: 0x7552034c, Excess: 12, Job: 0x68, Lane: 2, Version: 0x05a2 << 13}}},
	} {
		wire := unhex(t, c.wire)
		if CRC5(wire[2:]) != 0 {
			t.Errorf("% X does not come to 0", wire)
		}
		got, err := c.m.ParseReply(wire)
		if err != nil || got != c.want {
			t.Errorf("% X is %+v, %v; want %+v", wire, got, err, c.want)
		}
		again := c.m.AppendRegister(nil, got.Register, len(wire) == 11)
		if got.IsNonce {
			again = c.m.AppendNonce(nil, got.Nonce, len(wire) == 11)
		}
		if !bytes.Equal(again, wire) {
			t.Errorf("% X is encoded again as % X", wire, again)
		}
	}
	if n := uint32(0xe18eb86d); Core(n) != 0x36 || m62.Chip(n, 128)*Interval(128) != 0xdc {
		t.Errorf("core %x, chip %x", Core(n), m62.Chip(n, 128))
	}
	if Core(0x7552034c) != 38 {
		t.Errorf("core %d of the worked share, want 38", Core(0x7552034c))
	}
}

// Two recorded jobs and the header bytes they were made from.
func TestFullJobs(t *testing.T) {
	m := mustModel("bm1370")
	for _, c := range []struct{ header, wire string }{
		{"00000020fd55646bc162b96dfcd4f201a3f4670d1d3996bc96520100000000000000000006ddf5f08c36414b95ea54db71a0c28761a98bcf6355919e044f88725519a7cbd7685468043a021700000000",
			"55AA215668010000 0000 043A0217D76854685519A7CB044F88726355919E61A98BCF71A0C28795EA54DB8C36414B06DDF5F0 00000000 00000000 96520100 1D3996BC A3F4670D FCD4F201 C162B96D FD55646B 00000020721C"},
		{"000000204e3993de3f5316e55f9cbbea5f2446a3a1e7ab5ea25c00000000000000000000cc4ed237564b0203c7053eaeda996c6b8ac583e5e2e2377f1642bb1f1516ab3ddc17d66838fa011700000000",
			"55AA2156180100000000 38FA0117 DC17D668 1516AB3D 1642BB1F E2E2377F 8AC583E5 DA996C6B C7053EAE 564B0203 CC4ED237 00000000 00000000 A25C0000 A1E7AB5E 5F2446A3 5F9CBBEA 3F5316E5 4E3993DE 000000206B18"},
	} {
		wire := unhex(t, c.wire)
		j := Job{ID: wire[4], Header: [80]byte(unhex(t, c.header)), Mask: 0x1fffe000}
		got, err := m.Append(nil, &j)
		if err != nil || !bytes.Equal(got, wire) {
			t.Errorf("the job is\n% X, %v, want\n% X", got, err, wire)
		}
		var r Requests
		r.Push(wire, nil, func(frame []byte) {
			w, err := m.ParseJob(frame)
			if err != nil || w.Header != j.Header || w.ID != j.ID {
				t.Errorf("read back as %+v, %v", w, err)
			}
		})
	}
}

// A job of one midstate as another program composes it; the checksum is its.
func TestMidstateFrame(t *testing.T) {
	frame := unhex(t, "21360001000000 00159E0717 75328E63 A2B36A70 DE604A09E9301DE1256D7EB80EA1E64382DF61141503966C185F502F5574D4BA")
	if got := CRC16(frame); got != 0xd3dc {
		t.Errorf("checksum %04X, want D3DC", got)
	}
	w, err := mustModel("bm1397").ParseJob(frame)
	if err != nil || len(w.Midstate) != 1 || !bytes.Equal(w.Tail[:], unhex(t, "A2B36A70 75328E63 159E0717")) {
		t.Errorf("%+v, %v", w, err)
	}
}
