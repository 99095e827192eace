package decide

import "encoding/binary"

// firstComeFirst gives the places of jobs that no figure tells apart to the
// earliest of them. Local search inserts and drops in an order of its own, and
// a person whose job waits while a later twin starts is owed a reason that does
// not exist. Value and shortfalls stay the same to the last unit.
func (s *state) firstComeFirst() {
	in, p := s.in, s.in.p
	var groups [][]int
	at := map[string]int{}
	var key []byte
	for j, job := range p.Jobs {
		if job.Current != None || in.must[j] || in.offLo[j] == in.offLo[j+1] {
			continue
		}
		key = key[:0]
		for _, v := range []int64{int64(job.Tenant), int64(job.Priority), in.out[j]} {
			key = binary.AppendVarint(key, v)
		}
		for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
			o := p.Offers[f]
			for _, v := range []int64{int64(o.Class), o.Width, o.PerNode, o.NetMicroPerHour, o.WattsMeter} {
				key = binary.AppendVarint(key, v)
			}
		}
		g, ok := at[string(key)]
		if !ok {
			g = len(groups)
			at[string(key)] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], j)
	}
	for _, twins := range groups {
		var taken []int // by position among the job's offers
		for _, j := range twins {
			if f := s.offer[j]; f != None {
				taken = append(taken, f-in.offLo[j])
			}
		}
		if len(taken) == 0 || len(taken) == len(twins) {
			continue
		}
		for _, j := range twins {
			s.setOffer(j, None)
		}
		for i, rel := range taken {
			s.setOffer(twins[i], in.offLo[twins[i]]+rel)
		}
	}
}
