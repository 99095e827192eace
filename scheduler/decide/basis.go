package decide

import (
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

// relaxBasis is where everything in a relaxation rests. In a Warm Work names
// offers by job and kind, in a start by position.
type relaxBasis struct {
	Work  []workID   `json:"work"`
	Row   []lp.Place `json:"row"`
	Job   []lp.Place `json:"job"`
	Keep  []lp.Place `json:"keep"`
	Enter []lp.Place `json:"enter"`
	Offer []lp.Place `json:"offer"` // as Work
	Aux   []lp.Place `json:"aux"`

	work []int // as Work, offers of the problem at hand
}

type workID struct {
	Job  int32 `json:"j"`
	Kind int32 `json:"k"`
}

// rest copies where a relaxation of the same problem can start from.
func (x *relaxation) rest() *relaxBasis {
	b := &relaxBasis{work: slices.Clone(x.work), Row: clonePlaces(x.rowAt), Job: clonePlaces(x.jobAt),
		Keep: clonePlaces(x.keepAt), Enter: clonePlaces(x.entAt), Aux: clonePlaces(x.auxAt), Offer: make([]lp.Place, len(x.work))}
	for i, f := range x.work {
		b.Offer[i] = x.offAt[f]
	}
	return b
}

// keepBasis copies what the next round can start from.
func (x *relaxation) keepBasis() *relaxBasis { return x.rest().named(x.in) }

func clonePlaces(x []lp.Place) []lp.Place { return append([]lp.Place{}, x...) }

// carry translates a stored basis. Rows that are new have their activity basic,
// columns that are new rest at nothing; what is gone leaves holes that lp mends.
func (b *relaxBasis) carry(in *instance, s *stored, cell, job, row, place, kind []int) *relaxBasis {
	p := in.p
	coins := 0
	seenCoin := make([]bool, p.Coins)
	for _, r := range in.coins {
		if m := in.rows[r].coin; !seenCoin[m] {
			seenCoin[m] = true
			coins++
		}
	}
	fixed := s.Classes + s.Zones
	tail := 1 + len(in.tiers) // moves and tiers
	if coins > 0 {
		tail += coins + 1
	}
	if len(b.Row) != fixed+len(s.Places)+len(s.Rows)+tail || len(b.Job) != len(s.Jobs) || len(b.Keep) != len(s.Cells) ||
		len(b.Enter) != len(s.Cells) || len(b.Aux) != len(s.Rows)+coins+1 || len(b.Offer) != len(b.Work) {
		return nil // targets or coins are others
	}
	for _, w := range b.Work {
		if w.Job < 0 || int(w.Job) >= len(s.Jobs) || w.Kind < 0 || int(w.Kind) >= len(s.Kinds) {
			return nil
		}
	}
	basic := func(x []lp.Place, m []int, n int) []lp.Place {
		if m == nil {
			return x
		}
		out := make([]lp.Place, n)
		for i := range out {
			out[i] = lp.Basic
		}
		for i, v := range x {
			if m[i] != None {
				out[m[i]] = v
			}
		}
		return out
	}
	out := &relaxBasis{Keep: moved(b.Keep, cell, len(p.Mining)), Enter: moved(b.Enter, cell, len(p.Mining)), Job: basic(b.Job, job, len(p.Jobs))}
	at := fixed
	out.Row = append(out.Row, b.Row[:fixed]...)
	out.Row = append(out.Row, basic(b.Row[at:at+len(s.Places)], place, len(in.places))...)
	at += len(s.Places)
	out.Row = append(out.Row, basic(b.Row[at:at+len(s.Rows)], row, len(p.Rows))...)
	at += len(s.Rows)
	out.Row = append(out.Row, b.Row[at:]...)
	out.Aux = append(out.Aux, moved(b.Aux[:len(s.Rows)], row, len(p.Rows))...)
	out.Aux = append(out.Aux, b.Aux[len(s.Rows):]...)
	for i, w := range b.Work {
		j := to(job, int(w.Job))
		if j == None {
			continue
		}
		if f := in.offerOf(j, s.Kinds[w.Kind], to(kind, int(w.Kind))); f != None {
			out.work, out.Offer = append(out.work, f), append(out.Offer, b.Offer[i])
		}
	}
	return out
}

// named is a translated basis in the form that a Warm keeps.
func (b *relaxBasis) named(in *instance) *relaxBasis {
	if b == nil {
		return nil
	}
	out := *b
	out.Work, out.work = make([]workID, len(b.work)), nil
	for i, f := range b.work {
		out.Work[i] = workID{int32(in.p.Offers[f].Job), in.kind[f]}
	}
	return &out
}

// resume takes a translated basis.
func (x *relaxation) resume(b *relaxBasis) {
	copy(x.rowAt, b.Row)
	copy(x.jobAt, b.Job)
	copy(x.keepAt, b.Keep)
	copy(x.entAt, b.Enter)
	copy(x.auxAt, b.Aux)
	for i, f := range b.work {
		if x.bring(f) {
			x.offAt[f] = b.Offer[i]
		}
	}
}
