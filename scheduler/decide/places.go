package decide

// A place row says: when every chunk of d devices counts floor(d/t) places,
// the chunks cannot take more than the sum of floor(free/t) places. It follows,
// for every t, from the packing of each node, and with the whole class taken as
// one node from its device count. It closes much of the gap where gang sizes
// do not divide what they run on. Duals.Place prices the rows in the order
// built here: class by class, first by nodes, then by count, t ascending over
// the distinct PerNode, then widths, of the class's usable offers; rows that
// round nothing off are left out.
type placeRow struct {
	class int
	whole bool // the class as one node
	t     int64
	limit int64
}

type placeUse struct {
	row int
	n   int64
}

func (in *instance) compilePlaces() {
	p := in.p
	perNode, widths := make([][]int, len(p.Classes)), make([][]int, len(p.Classes))
	for _, k := range in.kinds[1:] {
		if !k.fits {
			continue
		}
		if k.perNode > 1 && len(p.Classes[k.class].Nodes) > 0 {
			perNode[k.class] = insertSorted(perNode[k.class], int(k.perNode))
		}
		if k.width > 1 {
			widths[k.class] = insertSorted(widths[k.class], int(k.width))
		}
	}
	first := make([]int, len(p.Classes)+1)
	for c, cl := range p.Classes {
		first[c] = len(in.places)
		for _, t := range perNode[c] {
			row, uneven := placeRow{class: c, t: int64(t)}, false
			for _, n := range cl.Nodes {
				row.limit += n.Free / row.t
				uneven = uneven || n.Free%row.t != 0
			}
			if uneven {
				in.places = append(in.places, row)
			}
		}
		for _, t := range widths[c] {
			if cl.Devices%int64(t) != 0 {
				in.places = append(in.places, placeRow{class: c, whole: true, t: int64(t), limit: cl.Devices / int64(t)})
			}
		}
	}
	first[len(p.Classes)] = len(in.places)
	for i := range in.kinds[1:] {
		k := &in.kinds[i+1]
		for r := first[k.class]; r < first[k.class+1] && k.fits; r++ {
			if n := in.placesOf(k, in.places[r]); n > 0 {
				k.uses = append(k.uses, placeUse{r, n})
			}
		}
	}
}

// placesOf is how many places of a row an offer of kind k takes. A running gang
// that says where it is holds just those nodes.
func (in *instance) placesOf(k *kind, r placeRow) int64 {
	switch {
	case r.whole:
		return k.width / r.t
	case k.held != None:
		var n int64
		for _, u := range in.p.Jobs[in.p.Offers[k.held].Job].On {
			n += u.Devices / r.t
		}
		return n
	case k.perNode > 0:
		return k.width / k.perNode * (k.perNode / r.t)
	}
	return 0
}
