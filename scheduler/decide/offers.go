package decide

// kind is what all offers of one class, width and spread over nodes have in
// common. A large problem has a hundred offers to a kind, so prices, node
// checks and place rows are worked out by kind. Kind 0 is that of the offers
// that cannot run.
type kind struct {
	class   int
	width   int64
	perNode int64
	fits    bool // its chunks find their nodes in the empty class
	uses    []placeUse
	held    int // the running offer whose own nodes it stands for, or None
}

type kindKey struct {
	class          int
	width, perNode int64
}

// offerClass is what compileOffers needs to know of a class, side by side.
type offerClass struct {
	devices, idle, energy int64
	room                  int64 // the least cap above
	trainable, nodes      bool
	last                  int32   // kind of the offer before
	kinds                 []int32 // all so far
}

const manyKinds = 24 // of one class; beyond, a table is quicker than a scan

func (in *instance) compileOffers() {
	p := in.p
	n := len(p.Offers)
	in.value, in.offW = make([]int64, n), make([]int64, n)
	in.usable, in.kind = make([]bool, n), make([]int32, n)
	in.out, in.must = make([]int64, len(p.Jobs)), make([]bool, len(p.Jobs))
	in.offLo = make([]int, len(p.Jobs)+1)
	in.gangs = make([]bool, len(p.Classes))
	in.tenRow = make([][]int, p.Tenants)
	for r, row := range p.Rows {
		if row.Kind == RowTenant {
			in.tenRow[row.Tenant] = append(in.tenRow[row.Tenant], r)
		}
	}
	in.kinds = []kind{{class: None, held: None}}
	classes := make([]offerClass, len(p.Classes))
	for c, cl := range p.Classes {
		k := &classes[c]
		*k = offerClass{devices: cl.Devices, idle: cl.IdleWatts, energy: p.Zones[cl.Zone].EnergyMicroPerKWh, room: 1 << 62, trainable: cl.Trainable, nodes: len(cl.Nodes) > 0}
		for _, z := range in.above[c] {
			k.room = min(k.room, in.capZ[z])
		}
	}
	table := map[kindKey]int32{}
	f := 0
	for j := range p.Jobs {
		job := &p.Jobs[j]
		in.offLo[j] = f
		contract := int64(1 << 62)
		for _, r := range in.tenRow[job.Tenant] {
			contract = min(contract, p.Rows[r].Limit)
		}
		class, migrate, resize := None, int64(0), int64(0)
		if job.Current >= 0 {
			class = p.Offers[job.Current].Class
			migrate, resize = spread(job.MigrateMicro, p.Policy.HorizonMinutes), spread(job.ResizeMicro, p.Policy.HorizonMinutes)
			in.out[j] = -spread(job.KillMicro, p.Policy.HorizonMinutes)
		}
		for ; f < n && p.Offers[f].Job == j; f++ {
			o := &p.Offers[f]
			c := &classes[o.Class]
			w := o.WattsMeter - o.Width*c.idle
			v := o.NetMicroPerHour*1000 - w*c.energy
			if class != None && f != job.Current {
				if o.Class == class {
					v -= resize
				} else {
					v -= migrate
				}
			}
			in.offW[f], in.value[f] = w, v
			if !c.trainable || o.Width > c.devices || w > c.room || o.Width > contract {
				continue
			}
			k := c.last
			if f == job.Current && len(job.On) > 0 {
				if !in.packs(o.Class, []int{f}) {
					continue
				}
				in.kinds = append(in.kinds, kind{class: o.Class, width: o.Width, perNode: o.PerNode, fits: true, held: f})
				k = int32(len(in.kinds) - 1)
			} else {
				if x := &in.kinds[k]; x.class != o.Class || x.width != o.Width || x.perNode != o.PerNode {
					k = in.kindOf(c, o, table)
					c.last = k
				}
				if !in.kinds[k].fits {
					continue
				}
			}
			in.kind[f], in.usable[f] = k, true
			if c.nodes && (o.PerNode > 0 || len(job.On) > 0) {
				in.gangs[o.Class] = true
			}
		}
		if job.Current >= 0 {
			in.must[j] = (job.Pinned || job.Protected) && in.usable[job.Current]
		}
	}
	in.offLo[len(p.Jobs)] = n
}

// kindOf finds or makes the kind of an offer.
func (in *instance) kindOf(c *offerClass, o *Offer, table map[kindKey]int32) int32 {
	key := kindKey{o.Class, o.Width, o.PerNode}
	if len(c.kinds) <= manyKinds {
		for _, k := range c.kinds {
			if x := &in.kinds[k]; x.width == o.Width && x.perNode == o.PerNode {
				return k
			}
		}
	} else if k, ok := table[key]; ok {
		return k
	}
	x := kind{class: o.Class, width: o.Width, perNode: o.PerNode, fits: true, held: None}
	if o.PerNode > 0 && c.nodes {
		need := o.Width / o.PerNode
		for _, n := range in.p.Classes[o.Class].Nodes {
			if n.Free >= o.PerNode {
				need--
			}
		}
		x.fits = need <= 0
	}
	in.kinds = append(in.kinds, x)
	k := int32(len(in.kinds) - 1)
	c.kinds = append(c.kinds, k)
	table[key] = k
	return k
}

// placesAt is what offer f takes of the place rows.
func (in *instance) placesAt(f int) []placeUse { return in.kinds[in.kind[f]].uses }
