package decide

import "slices"

// firstComeFirst gives the places of jobs that no figure tells apart to the
// earliest of them. Local search inserts and drops in an order of its own, and
// a person whose job waits while a later twin starts is owed a reason that does
// not exist. Value and shortfalls stay the same to the last unit.
func (s *state) firstComeFirst() {
	in, p := s.in, s.in.p
	var groups [][]int
	at := map[uint64]int{}
	for j, job := range p.Jobs {
		if job.Current != None || in.must[j] || in.offLo[j] == in.offLo[j+1] {
			continue
		}
		g, ok := at[in.printOf(j)]
		if ok && !in.twins(groups[g][0], j) {
			continue // two jobs with one print: as rare as it is harmless
		}
		if !ok {
			g = len(groups)
			at[in.printOf(j)] = g
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

// printOf is the same for jobs that no figure tells apart.
func (in *instance) printOf(j int) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(in.p.Jobs[j].Tenant)<<8 + uint64(in.p.Jobs[j].Priority)
	for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
		h = (h ^ uint64(in.kind[f])) * odd
		h = (h ^ h>>29 ^ uint64(in.value[f])) * odd
	}
	return h
}

// twins tells whether two waiting jobs differ in nothing but their place.
func (in *instance) twins(a, b int) bool {
	x, y := &in.p.Jobs[a], &in.p.Jobs[b]
	lo, hi, from, till := in.offLo[a], in.offLo[a+1], in.offLo[b], in.offLo[b+1]
	return x.Tenant == y.Tenant && x.Priority == y.Priority && in.out[a] == in.out[b] && slices.Equal(in.kind[lo:hi], in.kind[from:till]) &&
		slices.Equal(in.value[lo:hi], in.value[from:till]) && slices.Equal(in.offW[lo:hi], in.offW[from:till])
}
