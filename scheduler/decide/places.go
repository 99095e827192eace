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
	for f, o := range p.Offers {
		if !in.usable[f] {
			continue
		}
		if o.PerNode > 1 && len(p.Classes[o.Class].Nodes) > 0 {
			perNode[o.Class] = insertSorted(perNode[o.Class], int(o.PerNode))
		}
		if o.Width > 1 {
			widths[o.Class] = insertSorted(widths[o.Class], int(o.Width))
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
	in.onPlaces = make([][]placeUse, len(p.Offers))
	for f, o := range p.Offers {
		for i := first[o.Class]; i < first[o.Class+1] && in.usable[f]; i++ {
			if n := in.placesOf(f, in.places[i]); n > 0 {
				in.onPlaces[f] = append(in.onPlaces[f], placeUse{i, n})
			}
		}
	}
}

// placesOf is how many places of a row offer f takes. A running gang that says
// where it is holds just those nodes.
func (in *instance) placesOf(f int, r placeRow) int64 {
	o := &in.p.Offers[f]
	j := &in.p.Jobs[o.Job]
	switch {
	case r.whole:
		return o.Width / r.t
	case j.Current == f && len(j.On) > 0:
		var n int64
		for _, u := range j.On {
			n += u.Devices / r.t
		}
		return n
	case o.PerNode > 0:
		return o.Width / o.PerNode * (o.PerNode / r.t)
	}
	return 0
}
